/** When a route's mail is tried: its rate, and clocks that jump. */
import { pino } from 'pino';
import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { sameResult, type Carrier } from '../../src/relay/carrier.js';
import { Outcomes } from '../../src/relay/outcomes.js';
import { minAttemptsToExpire } from '../../src/relay/retry-schedule.js';
import { RouteLanes } from '../../src/relay/route-lanes.js';
import { RouteQueue } from '../../src/relay/route-queue.js';
import { TokenBucket } from '../../src/relay/token-bucket.js';
import { MemorySpool } from './memory-spool.js';
import { fakeHop, RelayRig, retry, routeTo, smtp, until } from './relay-rig.js';

const body = 'Subject: x\r\n\r\ntext\r\n';
const day = 86_400_000;

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
  expect(rig.spool.settlements[1]?.results[0]?.state).toBe('pending');
  // And back: due in ten years, and tried all the same.
  shiftMs = 0;
  await rig.settled(3);
  expect(rig.spool.settlements[2]?.results[0]?.state).toBe('pending');
});

/** Delivers all at once, unless a test says otherwise. */
function carrierThat(changes: Partial<Carrier>): Carrier {
  return {
    hop: 'hop:25',
    usefulLanes: Infinity,
    carry: (_lease, addresses) =>
      Promise.resolve({
        hop: 'hop:25',
        results: sameResult(addresses, 'delivered', '250 ok'),
        ambiguous: false,
        corrupt: false,
      }),
    pauseMs: () => 0,
    outage: () => undefined,
    endRests: () => undefined,
    close: () => Promise.resolve(),
    cut: () => undefined,
    ...changes,
  };
}

function queueOver(
  changes: Partial<Carrier>,
  lanes = new RouteLanes(4, false),
): { spool: MemorySpool; queue: RouteQueue } {
  const spool = new MemorySpool();
  const route = routeTo([smtp(25)]);
  const log = pino({ level: 'silent' });
  const now = Date.now;
  const cell = { of: () => ({ value: 0 }) };
  const meters = {
    relayDeliveriesTotal: cell,
    relayAmbiguousTotal: cell,
    relaySeconds: { of: () => ({ observe: () => undefined }) },
  };
  const queue = new RouteQueue({
    destination: 'out',
    route,
    carrier: carrierThat(changes),
    outcomes: new Outcomes({ route, spool, log, meters, now, onDeferred: () => undefined }),
    lanes,
    rate: new TokenBucket(Infinity, () => performance.now()),
    spool,
    log,
    now,
    onQuiet: () => undefined,
  });
  onTestFinished(() => queue.stop());
  return { spool, queue };
}

class LanesThatOthersWaitFor extends RouteLanes {
  override mustYield(): boolean {
    return true;
  }
}

describe('what was leased ahead', () => {
  it('is not forgotten when the last lanes are given up in the same moment', async () => {
    let waiting: (() => void)[] = [];
    const carry: Carrier['carry'] = async (lease, addresses) => {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        if (waiting.length < 2) return;
        for (const go of waiting) go();
        waiting = [];
      });
      return carrierThat({}).carry(lease, addresses);
    };
    const { spool, queue } = queueOver({ carry }, new LanesThatOthersWaitFor(2, false));
    for (let i = 0; i < 8; i++) spool.add(body);
    queue.wake();
    await until(() => spool.settlements.length === 8, 'all are delivered', 2_000);
    expect(spool.leased).toBe(0);
  });
});

describe('a carrier that tries nothing', () => {
  it('and does not say for how long is not asked over and over', async () => {
    const carry = vi.fn<Carrier['carry']>((_lease, addresses) =>
      Promise.resolve({
        hop: 'hop:25',
        results: sameResult(addresses, 'pending', 'not now'),
        ambiguous: false,
        corrupt: false,
        untried: true,
      }),
    );
    const { spool, queue } = queueOver({ carry });
    for (let i = 0; i < 3; i++) spool.add(body);
    queue.wake();
    // Each turn of a spinning loop would be a call.
    for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(carry.mock.calls.length).toBeLessThanOrEqual(8);
    expect(spool.leased).toBe(0);
    carry.mockImplementation((lease, addresses) => carrierThat({}).carry(lease, addresses));
    await until(() => spool.settlements.length === 3, 'it is asked again after a while');
  });
});

describe('a route that is frozen in a long outage', () => {
  it('gives up nothing more, also of what was being looked at', async () => {
    const { spool, queue } = queueOver({
      pauseMs: () => 1_000,
      outage: () => ({
        hop: 'hop:25',
        reason: 'refused',
        lastsMs: day,
        restsUntilMs: Date.now() + 1_000,
      }),
    });
    for (let i = 0; i < 3; i++) spool.add(body, { arrivedAtMs: Date.now() - 30 * day }, minAttemptsToExpire);
    queue.wake();
    queue.freeze(true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([spool.settlements.length, spool.leased]).toEqual([0, 0]);
    queue.freeze(false);
    await until(() => spool.settlements.length === 3, 'all are given up');
  });
});
