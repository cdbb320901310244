/** What an operator holds back: a whole route. */
import { describe, expect, it } from 'vitest';

import { minAttemptsToExpire } from '../../src/relay/retry-schedule.js';
import { fakeHop, RelayRig, routeTo, smtp, told, until } from './relay-rig.js';

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
    expect(['cold', 'warm'].map((route) => rig.dispatcher.nextAttemptAtMs(route, 7))).toEqual([Infinity, 7]);
    rig.dispatcher.freeze([]);
    expect(rig.dispatcher.nextAttemptAtMs('cold', 7)).toBe(7);
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
