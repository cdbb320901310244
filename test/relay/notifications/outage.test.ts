/** In a long outage one message probes and the others only wait: they are late all the same. */
import { describe, expect, onTestFinished, test, vi } from 'vitest';

import type { Notifier } from '../../../src/relay/notifier.js';
import { dutiesOf, owesAnything, type DutyRules } from '../../../src/relay/notifications/duties.js';
import { RelayRig, fakeHop, routeTo, smtp, until } from '../relay-rig.js';
import { hour } from './fixtures.js';

const body = 'Subject: x\r\n\r\ntext\r\n';
const rules: DutyRules = { delayAfterMs: 4 * hour, expireMs: 120 * hour, firstRetryMs: 10_000 };
const retry = { firstMs: 10_000, maxMs: hour, expireMs: 120 * hour };

/** Remembers whom it would have told of what. */
class FakeNotifier implements Notifier {
  readonly lateAfterMs = rules.delayAfterMs;
  readonly told: string[] = [];

  owes: Notifier['owes'] = (lease, outcome, nowMs) => owesAnything(lease, outcome, rules, nowMs);

  conclude: Notifier['conclude'] = (lease, outcome, nowMs) => {
    const { due } = dutiesOf(lease, outcome, rules, nowMs);
    for (const { kind } of due) this.told.push(`${kind} ${lease.message.id}`);
    return Promise.resolve({
      results: outcome.results,
      delayNotified: due.some(({ kind }) => kind === 'delay'),
    });
  };
}

async function inOutage(): Promise<{ rig: RelayRig; notifier: FakeNotifier; rest: () => void }> {
  let now = 1_000;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  onTestFinished(() => clock.mockRestore());
  const hop = await fakeHop({ answers: { greeting: '421 4.3.2 closing' } });
  const notifier = new FakeNotifier();
  const rig = new RelayRig(routeTo([smtp(hop.port)], { retry }), { notifier });
  await rig.deliver(body);
  // Long: three first retries.
  now += 30_000;
  rig.spool.add(body);
  await rig.settled(2);
  return { rig, notifier, rest: () => void (now += 5_000) };
}

describe('while the only hop rests', () => {
  test('C-122: who waits is told of the delay, once; the young are not', async () => {
    const { rig, notifier, rest } = await inOutage();
    const arrivedAtMs = Date.now() - 5 * hour;
    const old = Array.from({ length: 30 }, () => rig.spool.add(body, { arrivedAtMs }));
    const young = rig.spool.add(body);
    rig.spool.defer(young, 'out', Date.now() - 1);
    rest();
    rig.spool.onDue?.('out');
    await until(() => notifier.told.length >= 29, 'they are told');
    await until(() => rig.spool.leased === 0, 'all are given back');
    // The first of them probed, which is no proof that it is late.
    expect(new Set(notifier.told)).toEqual(new Set(old.slice(1).map((id) => `delay ${id}`)));
    expect(notifier.told.length).toBe(29);
    for (const id of old.slice(1)) expect(rig.spool.show(id).routes).toMatchObject([{ delayNotified: true }]);
    expect(rig.spool.show(young)).toMatchObject({ attempts: 1, recipients: [{ lastReply: '' }] });
    rest();
    rig.spool.onDue?.('out');
    await until(() => rig.spool.leased === 0, 'all are given back');
    expect(notifier.told.length).toBe(29);
  });

  test('who need not be told is not in the way of those behind him', async () => {
    const { rig, notifier, rest } = await inOutage();
    const arrivedAtMs = Date.now() - 5 * hour;
    rig.spool.add(body, { arrivedAtMs });
    for (let i = 0; i < 3; i++) rig.spool.add(body, { arrivedAtMs, reversePath: '' });
    const last = rig.spool.add(body, { arrivedAtMs });
    rest();
    rig.spool.onDue?.('out');
    await until(() => notifier.told.includes(`delay ${last}`), 'the last is told');
  });
});
