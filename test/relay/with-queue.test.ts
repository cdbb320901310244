/** The relay over the real queue: what it leases, settles and gives back is what LMDB holds afterwards. */
import { pino } from 'pino';
import { describe, expect, it, onTestFinished, vi } from 'vitest';

import type { RouteConfig } from '../../src/config/config.js';
import type { NewEnvelope, NewRecipient, Spool } from '../../src/queue/spool.js';
import { Dispatcher } from '../../src/relay/dispatcher.js';
import { FakeHop } from '../support/fake-hop.js';
import { openQueue } from './open-queue.js';
import { closedPort, fakeHop, routeTo, smtp, until } from './relay-rig.js';

function isEmpty(spool: Spool): boolean {
  return Object.values(spool.stats().messages).every((count) => count === 0);
}

function relay(spool: Spool, ...routes: readonly RouteConfig[]): Dispatcher {
  const dispatcher = new Dispatcher({
    spool,
    routes: Object.fromEntries(routes.map((route) => [route.name, route])),
    hostname: 'mx.example.org',
    log: pino({ level: 'silent' }),
    meters: {
      relayDeliveriesTotal: { of: () => ({ value: 0 }) },
      relayAmbiguousTotal: { of: () => ({ value: 0 }) },
      relayHopsResting: { of: () => ({ value: 0 }) },
      relaySeconds: { of: () => ({ observe: () => undefined }) },
    },
  });
  onTestFinished(() => dispatcher.stop(100));
  dispatcher.start();
  return dispatcher;
}

function queue(spool: Spool, body: Buffer | string, ...names: string[]): Promise<string> {
  return queueFor(
    spool,
    body,
    names.map((name) => ({ address: `${name}@example.test`, route: 'out' })),
  );
}

async function queueFor(
  spool: Spool,
  body: Buffer | string,
  recipients: readonly NewRecipient[],
): Promise<string> {
  const writer = spool.begin(Date.now());
  const bytes = Buffer.from(body);
  for (let at = 0; at < bytes.length; at += 16_384) {
    while (writer.congested) await new Promise((resolve) => setTimeout(resolve, 1));
    writer.write(bytes.subarray(at, at + 16_384));
  }
  const envelope: NewEnvelope = {
    reversePath: 'sender@example.org',
    recipients,
    body: undefined,
    smtpUtf8: false,
    arrivedAtMs: Date.now(),
    listener: 'mx',
    clientAddress: '192.0.2.1',
    clientName: 'client.example',
    user: '',
    sessionId: 'S',
  };
  await writer.commit(envelope);
  return writer.id;
}

const answerByName = ({ line }: { line: string }): string =>
  line.includes('<b@') ? '450 4.2.0 later' : line.includes('<c@') ? '550 5.1.1 no' : '250 ok';

const body = 'Received: by mx\r\n\r\n.dot\r\nend\r\n';

describe('with the real queue', () => {
  it('what was queued before and after the start is delivered, and the queue is empty', async () => {
    const spool = await openQueue();
    const hop = await fakeHop();
    await queue(spool, body, 'a');
    relay(spool, routeTo([smtp(hop.port)]));
    await Promise.all(Array.from({ length: 50 }, (_, i) => queue(spool, body, `r${i}`)));
    await until(() => hop.messages.length === 51, 'all are delivered');
    await until(() => isEmpty(spool), 'the queue is empty');
    expect(new Set(hop.messages.map((message) => message.body.toString()))).toEqual(new Set([body]));
    expect(new Set(hop.messages.flatMap((message) => message.recipients)).size).toBe(51);
    expect(spool.leased).toBe(0);
  });

  it('a large message is streamed as it was', async () => {
    const spool = await openQueue();
    const hop = await fakeHop();
    relay(spool, routeTo([smtp(hop.port)]));
    const large = Buffer.from('.line of text\r\n.\r\n'.repeat(80_000));
    await queue(spool, large, 'a');
    await until(() => hop.messages.length === 1, 'it is delivered');
    expect(hop.messages[0]?.body.equals(large)).toBe(true);
  });

  it('F-26: each recipient has its own state, and an operator sees the replies', async () => {
    const spool = await openQueue();
    const hop = await fakeHop({ answers: { RCPT: answerByName } });
    relay(spool, routeTo([smtp(hop.port)]));
    const id = await queue(spool, body, 'a', 'b', 'c');
    await until(() => spool.show(id).state === 'deferred', 'it is settled');
    expect(spool.show(id).recipients).toMatchObject([
      { address: 'a@example.test', state: 'delivered', lastReply: '250 2.0.0 taken' },
      { address: 'b@example.test', state: 'pending', lastReply: '450 4.2.0 later' },
      { address: 'c@example.test', state: 'failed', lastReply: '550 5.1.1 no' },
    ]);
    expect(spool.show(id).nextAttemptAtMs).toBeGreaterThan(Date.now());
    hop.answers = {};
    await spool.retry(id);
    await until(() => isEmpty(spool), 'the retry delivers the rest');
    expect(hop.messages.map((message) => message.recipients)).toEqual([
      ['a@example.test'],
      ['b@example.test', 'c@example.test'],
    ]);
  });

  it.each(['retry', 'release'] as const)(
    "an operator's %s goes to a hop that rests after failures, at once",
    async (call) => {
      // The clock of the rests stands still: none of them ends by itself.
      const clock = vi.spyOn(performance, 'now').mockReturnValue(1_000);
      onTestFinished(() => clock.mockRestore());
      const spool = await openQueue();
      const port = await closedPort();
      relay(spool, routeTo([smtp(port)]));
      const id = await queue(spool, body, 'a');
      await until(() => spool.show(id).state === 'deferred', 'the hop cannot be reached');
      const hop = await new FakeHop().listen(port);
      onTestFinished(() => hop.close());
      if (call === 'release') await spool.hold(id);
      await spool[call](id);
      await until(() => isEmpty(spool), 'it is delivered');
      expect(hop.messages).toHaveLength(1);
    },
  );

  it('what is cut by a stop stays pending and is delivered by the next relay', async () => {
    const spool = await openQueue();
    const hop = await fakeHop({ answers: { end: () => undefined } });
    const first = relay(spool, routeTo([smtp(hop.port)]));
    const id = await queue(spool, body, 'a');
    await until(() => hop.commands.includes('DATA'), 'it is under way');
    await first.stop(50);
    expect(spool.leased).toBe(0);
    expect(spool.show(id).recipients[0]).toMatchObject({
      state: 'pending',
      lastReply: 'cut: the relay was stopped',
    });
    hop.answers = {};
    relay(spool, routeTo([smtp(hop.port)]));
    await until(() => isEmpty(spool), 'the next relay delivers it');
    expect(hop.messages).toHaveLength(1);
  });

  it('both destinations of one message are under way at once, and each keeps its own time', async () => {
    const spool = await openQueue();
    const [left, right] = [await fakeHop({ endDelayMs: 50 }), await fakeHop({ endDelayMs: 50 })];
    left.answers = { end: '451 4.3.0 later' };
    const relaying = relay(
      spool,
      routeTo([smtp(left.port)], { name: 'left' }),
      routeTo([smtp(right.port)], { name: 'right' }),
    );
    const id = await queueFor(spool, body, [
      { address: 'a@example.test', route: 'left' },
      { address: 'b@example.test', route: 'right' },
    ]);
    await until(() => relaying.busy === 2, 'both are under way');
    await until(() => spool.leased === 0, 'both are settled');
    expect(spool.show(id).recipients).toMatchObject([{ state: 'pending' }, { state: 'delivered' }]);
    expect(spool.show(id).attemptLog.map(({ route }) => route)).toEqual(
      expect.arrayContaining(['left', 'right']),
    );
    left.answers = {};
    await spool.retry(id);
    await until(() => isEmpty(spool), 'the retry delivers the rest');
    expect([left.messages.length, right.messages.length]).toEqual([1, 1]);
  });

  it('F-22: two thousand messages for a dead hop delay none for a live one, and make no attempts', async () => {
    const spool = await openQueue();
    const [dead, alive] = [await fakeHop({ answers: { greeting: () => undefined } }), await fakeHop()];
    await Promise.all(
      Array.from({ length: 2_000 }, () =>
        queueFor(spool, body, [{ address: 'a@example.test', route: 'dead' }]),
      ),
    );
    const relaying = relay(
      spool,
      routeTo([smtp(dead.port)], { name: 'dead' }),
      routeTo([smtp(alive.port)], { name: 'alive' }),
    );
    await Promise.all(
      Array.from({ length: 200 }, () =>
        queueFor(spool, body, [{ address: 'a@example.test', route: 'alive' }]),
      ),
    );
    await until(() => alive.messages.length === 200, 'the live hop has its mail');
    await until(() => spool.leased === 1 && relaying.busy === 1, 'one of the others tries');
    expect(dead.connections).toBe(1);
    const { active, deferred } = spool.stats().messages;
    expect([active, deferred]).toEqual([2_000, 0]);
  });

  it('mail that waits for a resting hop is shown as due when the rest ends', async () => {
    const spool = await openQueue();
    const dispatcher = relay(spool, routeTo([smtp(await closedPort())]));
    const ids = [await queue(spool, body, 'a'), await queue(spool, body, 'b')];
    await until(() => ids.some((id) => spool.show(id).state === 'deferred'), 'the hop cannot be reached');
    const waiting = ids.map((id) => spool.show(id)).find(({ state }) => state === 'active');
    const dueAtMs = waiting?.nextAttemptAtMs ?? 0;
    expect(dueAtMs).toBeLessThanOrEqual(Date.now());
    expect(dispatcher.nextAttemptAtMs('out', dueAtMs)).toBeGreaterThan(dueAtMs);
    expect(dispatcher.nextAttemptAtMs('elsewhere', 7)).toBe(7);
  });
});
