/** What an operator or the config holds back: frozen routes, rates. And what is kept or removed in the end. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';

import type { CarryOutcome } from '../../src/relay/carrier.js';
import type { Notifier } from '../../src/relay/notifier.js';
import { minAttemptsToExpire } from '../../src/relay/retry-schedule.js';
import { fakeHop, RelayRig, retry, routeTo, smtp, told, until } from './relay-rig.js';

const body = 'Subject: x\r\n\r\ntext\r\n';
const day = 86_400_000;

describe('a frozen route', () => {
  it('makes no new attempt, another route does, and thawing lets all go', async () => {
    const [cold, warm] = [await fakeHop(), await fakeHop()];
    const rig = new RelayRig([
      routeTo([smtp(cold.port)], { name: 'cold' }),
      routeTo([smtp(warm.port)], { name: 'warm' }),
    ]);
    rig.dispatcher.freeze(['cold', 'unknown']);
    rig.start();
    for (const route of ['cold', 'warm', 'cold', 'warm'])
      rig.spool.add(body, { recipients: [{ address: 'a@example.test', route }] });
    await rig.settled(2);
    expect([cold.connections, warm.messages.length, rig.spool.leased]).toEqual([0, 2, 0]);
    rig.dispatcher.freeze([]);
    await rig.settled(4);
    expect(cold.messages).toHaveLength(2);
    expect(rig.events('relay.frozen')).toMatchObject([{ route: 'cold' }]);
    expect(rig.events('relay.thawed')).toMatchObject([{ route: 'cold' }]);
  });

  it('lets what is under way finish and gives back what was leased ahead', async () => {
    let answer: (() => void) | undefined;
    const end = ({ socket }: { socket: { write(text: string): boolean } }): undefined =>
      void (answer = () => void socket.write('250 2.0.0 taken\r\n'));
    const hop = await fakeHop();
    const rig = new RelayRig(routeTo([smtp(hop.port)], { connections: 1 }));
    await rig.deliver(body);
    hop.answers = { end };
    rig.dispatcher.freeze(['out']);
    for (let i = 0; i < 5; i++) rig.spool.add(body);
    rig.dispatcher.freeze([]);
    await until(() => answer !== undefined && rig.spool.leased === 2, 'one is under way, one leased ahead');
    rig.dispatcher.freeze(['out']);
    expect(rig.spool.leased).toBe(1);
    answer?.();
    await rig.settled(2);
    await until(() => rig.dispatcher.busy === 0, 'nothing is under way');
    expect([rig.spool.leased, rig.spool.entries.size]).toEqual([0, 4]);
    hop.answers = {};
    rig.dispatcher.freeze([]);
    await rig.settled(6);
  });

  it('does not let its mail expire, however old', async () => {
    const hop = await fakeHop({ answers: { MAIL: '451 4.3.0 later' } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    rig.dispatcher.freeze(['out']);
    rig.start();
    rig.spool.add(body, { arrivedAtMs: Date.now() - 30 * day }, minAttemptsToExpire);
    rig.spool.onRetry?.('out');
    rig.spool.onDue?.('out');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([rig.spool.settlements.length, rig.spool.entries.size, hop.connections]).toEqual([0, 1, 0]);
    rig.dispatcher.freeze([]);
    await rig.settled(1);
    expect(rig.spool.settlements.map(told)).toEqual([['failed expired: 451 4.3.0 later']]);
  });
});

describe('a rate', () => {
  it('is kept, shared by the workers, and waiting for it is no attempt', async () => {
    let now = 1_000;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
    onTestFinished(() => clock.mockRestore());
    const hop = await fakeHop();
    const rig = new RelayRig(routeTo([smtp(hop.port)], { messagesPerSecond: 20 }), { workers: 4 });
    for (let i = 0; i < 12; i++) rig.spool.add(body);
    rig.start();
    await rig.settled(5);
    await until(() => rig.spool.leased === 0, 'no more is leased');
    expect(hop.messages).toHaveLength(5);
    expect([...rig.spool.entries.values()].map(({ message }) => message.attempts)).toEqual(
      Array.from({ length: 7 }, () => 1),
    );
    now += 400;
    rig.spool.onDue?.('out');
    await rig.settled(7);
    await until(() => rig.spool.leased === 0, 'no more is leased');
    expect(hop.messages).toHaveLength(7);
    now += 10_000;
    rig.spool.onDue?.('out');
    await rig.settled(12);
  });

  it('is waited for without being woken', async () => {
    const hop = await fakeHop();
    const rig = new RelayRig(routeTo([smtp(hop.port)], { messagesPerSecond: 10 }));
    for (let i = 0; i < 13; i++) rig.spool.add(body);
    rig.start();
    await rig.settled(13);
    expect(hop.messages).toHaveLength(13);
  });
});

function teller(change: Partial<Notifier> = {}): Notifier & { asked: CarryOutcome[] } {
  const asked: CarryOutcome[] = [];
  return {
    asked,
    owes: (_lease, outcome) => {
      asked.push(outcome);
      return outcome.results.some(({ state }) => state === 'failed');
    },
    conclude: (_lease, outcome) =>
      Promise.resolve({
        results: outcome.results.map((result) => ({ ...result, state: 'bounced' as const })),
        delayNotified: true,
      }),
    ...change,
  };
}

describe('the notifier', () => {
  it('is asked before a failure is settled, and what he says is settled', async () => {
    const hop = await fakeHop({ answers: { RCPT: '550 5.1.1 no' } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]), { notifier: teller() });
    const settlement = await rig.deliver(body);
    expect(told(settlement)).toEqual(['bounced 550 5.1.1 no']);
    expect(settlement.note).toMatchObject({ delayNotified: true, attempt: { reply: '550 5.1.1 no' } });
    expect([rig.spool.entries.size, rig.deliveries.get('out failed')]).toEqual([0, 1]);
  });

  it('sees expired recipients as failed', async () => {
    const notifier = teller();
    const hop = await fakeHop({ answers: { MAIL: '451 4.3.0 later' } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]), { notifier });
    rig.spool.add(body, { arrivedAtMs: Date.now() - 2 * day }, minAttemptsToExpire);
    await rig.start().settled(1);
    expect(notifier.asked[0]?.results).toMatchObject([
      { state: 'failed', lastReply: 'expired: 451 4.3.0 later' },
    ]);
    expect(rig.spool.settlements.map(told)).toEqual([['bounced expired: 451 4.3.0 later']]);
  });

  it('that owes nothing costs no promise: conclude is not called', async () => {
    const conclude = vi.fn();
    const hop = await fakeHop();
    const rig = new RelayRig(routeTo([smtp(hop.port)]), {
      notifier: teller({ owes: () => false, conclude }),
    });
    await rig.deliver(body);
    expect(conclude).not.toHaveBeenCalled();
  });
});

function wordyRefusal({ line }: { line: string }): string {
  return line.includes('<b@') ? `450 4.2.0 ${'x'.repeat(400)}` : '250 ok';
}

describe('the note of an attempt', () => {
  it('names hop and reply of what stays in the queue', async () => {
    const hop = await fakeHop({ answers: { RCPT: wordyRefusal } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    const { note } = await rig.deliver(body, 'a', 'b');
    expect(note?.attempt).toMatchObject({ route: 'out', hop: `127.0.0.1:${hop.port}` });
    expect(note?.attempt?.reply).toMatch(/^450 4\.2\.0 x{200,}$/);
    expect(note?.attempt?.reply.length).toBeLessThanOrEqual(256);
  });

  it('is left out where all is delivered', async () => {
    const hop = await fakeHop();
    expect((await new RelayRig(routeTo([smtp(hop.port)])).deliver(body)).note).toBeUndefined();
  });
});

describe('mail that failed and nobody was told of', () => {
  it('is kept for as long as the config says since it failed, then removed with a log line', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const rig = new RelayRig(routeTo([{ kind: 'maildir', path: '/dev/null/none' }]), {
      keepFailedMs: 3 * day,
    });
    // It arrived long ago and failed now: an expiry.
    const id = rig.spool.add(body, { arrivedAtMs: Date.now() - 10 * day }, minAttemptsToExpire);
    rig.start();
    await vi.waitFor(() => expect(rig.spool.settlements).toHaveLength(1));
    expect(rig.spool.show(id).state).toBe('failed');
    await vi.advanceTimersByTimeAsync(2 * day);
    expect(rig.spool.entries.size).toBe(1);
    await vi.advanceTimersByTimeAsync(day + 120_000);
    expect(rig.spool.entries.size).toBe(0);
    expect(rig.events('relay.failed-removed')).toMatchObject([{ qid: id, level: 40 }]);
  });
});

it('F-30: expiry asks for attempts and age both, whatever the clock does', async () => {
  const hop = await fakeHop({ answers: { MAIL: '451 4.3.0 later' } });
  let shiftMs = 0;
  const rig = new RelayRig(routeTo([smtp(hop.port)], { retry: { ...retry, firstMs: 300, maxMs: 300 } }), {
    now: () => Date.now() + shiftMs,
  });
  rig.spool.add(body);
  rig.start();
  await rig.settled(1);
  // Ten years ahead: old at once, and tried once.
  shiftMs = 3650 * day;
  await rig.settled(2);
  expect(
    told(rig.spool.settlements[1] ?? { id: '', results: [], nextAttemptAtMs: 0, note: undefined }),
  ).toEqual(['pending 451 4.3.0 later']);
  // And back: due in ten years, and tried all the same.
  shiftMs = 0;
  await rig.settled(3);
  expect(rig.spool.settlements[2]?.results[0]?.state).toBe('pending');
});
