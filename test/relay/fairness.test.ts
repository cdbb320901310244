/** What one dead hop may cost the others: counted in messages, connections and lanes, never in time. */
import { describe, expect, it } from 'vitest';

import type { Hop } from '../../src/config/config.js';
import { blackHole, closedPort, fakeHop, RelayRig, routeTo, smtp, until } from './relay-rig.js';

const body = Buffer.from('Subject: x\r\n\r\ntext\r\n');

async function silentHop(): Promise<Hop> {
  return smtp((await fakeHop({ answers: { greeting: () => undefined } })).port);
}

const deadHops: readonly (readonly [string, () => Promise<Hop>])[] = [
  ['refuses', async () => smtp(await closedPort())],
  ['answers no SYN', async () => smtp(await blackHole('127.0.0.2'), '127.0.0.2')],
  ['never greets', silentHop],
];

describe('F-22, F-23: mail for a dead hop delays none for a live one', () => {
  it.each([
    ['refuses', 100_000],
    ['answers no SYN', 100_000],
    ['never greets', 100_000],
  ] as const)('that %s: %i messages', async (kind, count) => {
    const dead = await deadHops.find(([name]) => name === kind)?.[1]();
    if (dead === undefined) throw new Error('no such hop');
    const alive = await fakeHop();
    const rig = new RelayRig([
      routeTo([dead], { name: 'dead' }),
      routeTo([smtp(alive.port)], { name: 'alive' }),
    ]);
    rig.spool.addMany(count, body, 'dead');
    rig.start();
    rig.spool.addMany(200, body, 'alive');
    await until(() => rig.spool.entries.size === count, 'the live hop has its mail');
    expect(alive.messages).toHaveLength(200);
    // Of the dead one's, only what has probed was touched.
    const touched = rig.spool.settlements.length - 200;
    expect(touched).toBeLessThan(20);
    await until(() => rig.dispatcher.busy <= 1, 'one lane at most is left');
  });
});

describe('F-22, F-23: one dead hop of several on a route does not slow the others', () => {
  it.each(deadHops)('that %s', async (_name, make) => {
    const alive = [await fakeHop({ endDelayMs: 5 }), await fakeHop({ endDelayMs: 5 })];
    const hops = [await make(), ...alive.map(({ port }) => smtp(port))];
    const rig = new RelayRig(routeTo(hops, { connections: 6, messagesPerConnection: 5 }));
    rig.spool.addMany(300, body, 'out');
    rig.start();
    await until(() => rig.spool.settlements.length >= 299, 'all but the one that found out');
    const deferred = rig.deliveries.get('out deferred') ?? 0;
    expect(deferred).toBe(0);
    expect(alive.reduce((sum, { messages }) => sum + messages.length, 0)).toBeGreaterThanOrEqual(299);
    expect(rig.spool.leased).toBeLessThanOrEqual(1);
  });

  it('a hop that dies while the mail flows keeps few lanes, and the mail goes to the other', async () => {
    const [first, second] = [await fakeHop({ endDelayMs: 2 }), await fakeHop({ endDelayMs: 2 })];
    const route = routeTo([smtp(first.port), smtp(second.port, '127.0.0.1', 1)], {
      connections: 8,
      messagesPerConnection: 5,
    });
    const rig = new RelayRig(route);
    rig.spool.addMany(400, body, 'out');
    rig.start();
    await until(() => first.messages.length >= 100, 'the first hop works');
    first.answers = { greeting: () => undefined };
    const greeted = first.connections;
    await until(() => first.messages.length + second.messages.length >= 396, 'nearly all are delivered');
    // At most half of the lanes had begun a connection before the first of them kept us waiting.
    expect(first.connections - greeted).toBeLessThanOrEqual(4);
    expect(second.messages.length).toBeGreaterThan(0);
  });
});
