/** What waits for a hop that cannot be reached: no attempts without a connection, and yet an end. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';

import type { HopContext } from '../support/fake-hop.js';
import { RelayRig, fakeHop, retry, routeTo, smtp, told, until } from './relay-rig.js';

const body = 'Subject: x\r\n\r\ntext\r\n';
const day = 86_400_000;
const closing = '421 4.3.2 closing';

/** Rests and outages go by this clock. */
function monotonicClock(now: () => number): void {
  const clock = vi.spyOn(performance, 'now').mockImplementation(now);
  onTestFinished(() => clock.mockRestore());
}

describe('while the only hop rests', () => {
  it('F-22: every attempt is a connection, in a long outage too', async () => {
    const realNow = performance.now.bind(performance);
    // 200 times as fast: a minute passes in 0.3 s.
    monotonicClock(() => realNow() * 200);
    const hop = await fakeHop({ answers: { greeting: closing } });
    const route = routeTo([smtp(hop.port)], {
      connections: 3,
      retry: { ...retry, firstMs: 5, maxMs: 3_600_000 },
    });
    const rig = new RelayRig(route);
    for (let i = 0; i < 8; i++) rig.spool.add(body);
    rig.start();
    await until(() => {
      rig.spool.onDue?.('out');
      return hop.connections >= 15;
    }, 'probes');
    await rig.dispatcher.stop(1_000);
    expect(rig.spool.settlements.length).toBeLessThanOrEqual(hop.connections);
    const begun = [...rig.spool.entries.values()].map(({ message }) => message.attempts - 1);
    expect(begun.reduce((sum, attempts) => sum + attempts)).toBeLessThanOrEqual(hop.connections);
    expect(rig.events('relay.deferred')).toHaveLength(rig.spool.settlements.length);
  });

  it('what was about to try it goes back to the queue as it was', async () => {
    let now = 1_000;
    monotonicClock(() => now);
    let cut: (() => void) | undefined;
    const mail = ({ socket, connection }: HopContext): string | undefined => {
      if (connection > 1 || hop.messages.length === 0) return '250 ok';
      cut = () => void socket.destroy();
      return undefined;
    };
    const hop = await fakeHop({ extensions: [], answers: { MAIL: mail } });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { connections: 2 }), {
      idleConnectionMs: 10_000,
      timeouts: { greeting: 50 },
    });
    await rig.deliver(body);
    hop.answers = { ...hop.answers, greeting: () => undefined };
    const kept = rig.spool.add(body);
    await until(() => cut !== undefined, 'it is on the kept connection');
    rig.spool.add(body);
    await rig.settled(2);
    cut?.();
    await until(() => rig.spool.unleased.length > 0, 'it is given back');
    expect([rig.spool.unleased, rig.spool.settlements.length]).toEqual([[kept], 2]);
    hop.answers = {};
    now += 10_000;
    rig.spool.onDue?.('out');
    await rig.settled(3);
    expect(rig.spool.settlements[2]).toMatchObject({ id: kept, results: [{ state: 'delivered' }] });
    expect(rig.events('relay.delivered')[1]).toMatchObject({ qid: kept, attempts: 1 });
  });

  it('what is too old fails without its turn to try; the young wait', async () => {
    let now = 1_000;
    monotonicClock(() => now);
    const hop = await fakeHop({ answers: { greeting: closing } });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { retry: { ...retry, firstMs: 10_000 } }));
    await rig.deliver(body);
    now += 3 * 10_000;
    rig.spool.add(body);
    await rig.settled(2);
    for (let i = 0; i < 10; i++) rig.spool.add(body, { arrivedAtMs: Date.now() - 2 * day });
    const young = rig.spool.add(body);
    now += 5_000;
    rig.spool.onDue?.('out');
    await rig.settled(12);
    // The first of the old ones has probed, and is in the schedule.
    expect(hop.connections).toBe(3);
    expect(rig.spool.settlements.slice(3).map(told)).toEqual(
      Array.from({ length: 9 }, () => [`failed expired: greeting: ${closing}`]),
    );
    expect(rig.events('relay.failed')[0]).toMatchObject({ hop: `127.0.0.1:${hop.port}` });
    expect(rig.spool.show(young)).toMatchObject({ attempts: 1, recipients: [{ lastReply: '' }] });
    await until(() => rig.spool.leased === 0, 'the young one is given back');
  });

  it('F-30: at the beginning of an outage age fails nothing', async () => {
    monotonicClock(() => 1_000);
    const hop = await fakeHop({ answers: { greeting: closing } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]), { now: () => Date.now() + 3650 * day });
    await rig.deliver(body);
    for (let i = 0; i < 5; i++) rig.spool.add(body);
    await rig.dispatcher.stop(1_000);
    expect([rig.spool.settlements.length, rig.spool.entries.size, hop.connections]).toEqual([1, 6, 1]);
  });
});
