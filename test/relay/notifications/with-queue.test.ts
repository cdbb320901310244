/**
 * Dispatcher, notifier and the real queue together, with a wall clock that a test sets: what takes hours and days.
 * Every notification comes out at a hop of the sender.
 */
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';

import type { RetryConfig } from '../../../src/config/config.js';
import type { NewEnvelope, QueuedMessage, Spool } from '../../../src/queue/spool.js';
import { Dispatcher } from '../../../src/relay/dispatcher.js';
import { openNotifier } from '../../../src/relay/notifications/sender-notifier.js';
import type { Answer, FakeHop } from '../../support/fake-hop.js';
import { openQueue } from '../open-queue.js';
import { closedPort, fakeHop, routeTo, smtp, until } from '../relay-rig.js';
import { hour, minute, originalText } from './fixtures.js';
import { one, parseReport, type ParsedReport } from './mime.js';

const retry: RetryConfig = { firstMs: 5 * minute, maxMs: hour, expireMs: 120 * hour };

class Rig {
  nowMs = Date.now();
  readonly spool: Spool;
  readonly senders: FakeHop;

  private constructor(spool: Spool, senders: FakeHop) {
    this.spool = spool;
    this.senders = senders;
  }

  /** @param port of the hop of the recipients */
  static async open(port: number): Promise<Rig> {
    const rig = new Rig(await openQueue(), await fakeHop());
    const { spool, senders } = rig;
    const log = pino({ level: 'silent' });
    const counter = { of: () => ({ value: 0 }) };
    const routes = {
      out: routeTo([smtp(port)], { retry }),
      back: routeTo([smtp(senders.port)], { name: 'back', retry }),
    };
    const now = (): number => rig.nowMs;
    const dispatcher = new Dispatcher({
      spool,
      routes,
      hostname: 'mx.example.org',
      log,
      now,
      meters: {
        relayDeliveriesTotal: counter,
        relayAmbiguousTotal: counter,
        relayHopsResting: counter,
        relaySeconds: { of: () => ({ observe: () => undefined }) },
      },
      notifier: openNotifier({
        config: {
          hostname: 'mx.example.org',
          postmaster: 'postmaster@example.org',
          domains: [{ names: ['example.org'], recipients: { kind: 'any' }, route: 'back' }],
          listeners: [],
          routes,
          notifications: {
            enabled: true,
            delayAfterMs: 4 * hour,
            route: undefined,
            templateFile: undefined,
            perSenderPerHour: 20,
            perHour: 1000,
            keepFailedMs: hour,
          },
        },
        spool,
        log,
        now,
        meters: { relayNotificationsTotal: counter },
      }),
    });
    onTestFinished(() => dispatcher.stop(100));
    dispatcher.start();
    return rig;
  }

  async send(envelope: Partial<NewEnvelope> = {}): Promise<string> {
    const writer = this.spool.begin(this.nowMs);
    writer.write(Buffer.from(originalText));
    await writer.commit({
      reversePath: 'sender@example.org',
      recipients: [{ address: 'joe@example.net', route: 'out' }],
      body: undefined,
      smtpUtf8: false,
      arrivedAtMs: this.nowMs,
      listener: 'mx',
      clientAddress: '192.0.2.1',
      clientName: 'client.example',
      user: '',
      sessionId: 'S',
      ...envelope,
    });
    return writer.id;
  }

  /** Lets so much time pass, then tries it: waits for the end of that attempt. */
  async retryAfter(id: string, ms: number): Promise<void> {
    const before = attempts(this.find(id));
    this.nowMs += ms;
    await this.spool.retry(id);
    await until(() => attempts(this.find(id)) !== before, 'an attempt');
  }

  /** Undefined: it has left the queue. */
  find(id: string): QueuedMessage | undefined {
    try {
      return this.spool.show(id);
    } catch {
      return undefined;
    }
  }

  async reports(count: number): Promise<ParsedReport[]> {
    await until(() => this.senders.messages.length >= count, `${count} notifications`);
    expect(this.senders.messages.every(({ from }) => from === '')).toBe(true);
    return this.senders.messages.map(({ body }) => parseReport(body));
  }
}

function attempts(message: QueuedMessage | undefined): number {
  return message?.routes[0]?.ended ?? -1;
}

function hopSaying(RCPT: Answer): Promise<FakeHop> {
  return fakeHop({ answers: { RCPT } });
}

test('C-122: a hop that always says later: a delay once, then the end with 4.4.7 and its last words', async () => {
  const hop = await hopSaying('451 4.7.1 Come back later');
  const rig = await Rig.open(hop.port);
  const id = await rig.send();
  await until(() => attempts(rig.find(id)) === 1, 'the first attempt');
  await rig.retryAfter(id, hour);
  expect(rig.senders.messages).toEqual([]);
  await rig.retryAfter(id, 3 * hour);
  const [delay] = await rig.reports(1);
  expect(one(delay?.groups[1] ?? [], 'action')).toBe('delayed');
  expect(one(delay?.groups[1] ?? [], 'status')).toBe('4.7.1');
  await rig.retryAfter(id, 10 * hour);
  await rig.retryAfter(id, 105 * hour);
  await rig.retryAfter(id, hour);
  const [, end] = await rig.reports(2);
  expect(one(end?.groups[1] ?? [], 'action')).toBe('failed');
  expect(one(end?.groups[1] ?? [], 'status')).toBe('4.4.7');
  expect(one(end?.groups[1] ?? [], 'diagnostic-code')).toBe('smtp; 451 4.7.1 Come back later');
  await until(() => rig.find(id) === undefined, 'it leaves the queue');
});

test('a hop that nobody reaches: a delay, then the end, in our words', async () => {
  const rig = await Rig.open(await closedPort());
  const id = await rig.send();
  await until(() => attempts(rig.find(id)) === 1, 'the first attempt');
  await rig.retryAfter(id, hour);
  await rig.retryAfter(id, 4 * hour);
  const [delay] = await rig.reports(1);
  expect(one(delay?.groups[1] ?? [], 'action')).toBe('delayed');
  expect(one(delay?.groups[1] ?? [], 'diagnostic-code')).toMatch(/^x-postern; .*ECONNREFUSED/);
  await rig.retryAfter(id, 120 * hour);
  const [, end] = await rig.reports(2);
  expect(one(end?.groups[1] ?? [], 'status')).toBe('4.4.7');
  expect(end?.groups[1]?.map(([name]) => name)).not.toContain('remote-mta');
});

test('C-071: of three recipients the refused one is told at once, the delayed one later, the delivered one never', async () => {
  const hop = await hopSaying(({ line }) =>
    line.includes('<a@') ? '550 5.1.1 no' : line.includes('<b@') ? '450 4.2.0 later' : '250 ok',
  );
  const rig = await Rig.open(hop.port);
  const recipients = ['a', 'b', 'c'].map((name) => ({ address: `${name}@example.net`, route: 'out' }));
  const id = await rig.send({ recipients });
  const [failure] = await rig.reports(1);
  expect(failure?.groups.length).toBe(2);
  expect(one(failure?.groups[1] ?? [], 'final-recipient')).toBe('rfc822; a@example.net');
  await until(() => attempts(rig.find(id)) === 1, 'it is settled');
  expect(rig.find(id)?.recipients.map(({ state }) => state)).toEqual(['bounced', 'pending', 'delivered']);
  await rig.retryAfter(id, hour);
  await rig.retryAfter(id, 4 * hour);
  const [, delay] = await rig.reports(2);
  expect(delay?.groups.length).toBe(2);
  expect(one(delay?.groups[1] ?? [], 'final-recipient')).toBe('rfc822; b@example.net');
});

test('F-30: a clock that jumps days ahead makes nobody late or expired before real attempts', async () => {
  const hop = await hopSaying('451 4.7.1 Come back later');
  const rig = await Rig.open(hop.port);
  const id = await rig.send();
  await until(() => attempts(rig.find(id)) === 1, 'the first attempt');
  await rig.retryAfter(id, 10 * 365 * 24 * hour);
  expect(rig.find(id)?.recipients[0]?.state).toBe('pending');
  expect(rig.senders.messages).toEqual([]);
});
