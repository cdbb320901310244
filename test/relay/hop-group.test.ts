import { describe, expect, it } from 'vitest';

import type { NetworkHop } from '../../src/relay/hop-dialer.js';
import { HopGroup } from '../../src/relay/hop-group.js';
import { HopHealth, HopState, patienceMs } from '../../src/relay/hop-health.js';
import type { GroupedHop } from '../../src/relay/hop-shares.js';

function hopOf(host: string, priority: number, weight = 1): GroupedHop {
  const hop: NetworkHop = { kind: 'smtp', host, port: 25, priority, weight };
  const health = new HopHealth({ probeMs: 30_000, longestRestMs: 60_000, maxAttempts: 10 });
  return { hop, health, habits: { avoidsChunking: false }, greeted: new Set() };
}

function fail({ health }: GroupedHop, nowMs: number): void {
  health.failed(health.begin(nowMs), nowMs, 'refused');
}

const none: ReadonlySet<GroupedHop> = new Set();

describe('which hop is asked for a new connection', () => {
  it.each([
    [0, 'a'],
    [0.24, 'a'],
    [0.25, 'b'],
    [0.99, 'b'],
  ])('of one priority by weight, 1 to 3: the dice say %f', (dice, host) => {
    const group = new HopGroup([hopOf('a', 5, 1), hopOf('b', 5, 3), hopOf('c', 9, 100)], () => dice);
    expect(group.choose(none, 0)).toMatchObject({ hop: { host } });
  });

  it('shares the mail by weight among those that are well', () => {
    const [a, b, c] = [hopOf('a', 0, 1), hopOf('b', 0, 2), hopOf('c', 0, 7)];
    fail(c, 0);
    let dice = 0;
    const group = new HopGroup([a, b, c], () => (dice = (dice + 0.001) % 1));
    const counts = new Map<string, number>();
    for (let i = 0; i < 999; i++) {
      const choice = group.choose(none, 500);
      if (choice === undefined || choice === 'wait') throw new Error('no choice');
      counts.set(choice.hop.host, (counts.get(choice.hop.host) ?? 0) + 1);
    }
    expect(counts).toEqual(
      new Map([
        ['a', 333],
        ['b', 666],
      ]),
    );
  });

  it('lower priority first, whatever the order in the config; the next when it fails', () => {
    const [backup, main] = [hopOf('backup', 10), hopOf('main', 0)];
    const group = new HopGroup([backup, main], () => 0);
    expect([group.first, group.choose(none, 0)]).toEqual([main, main]);
    fail(main, 0);
    expect(group.choose(none, 1)).toBe(backup);
    expect(group.choose(new Set([backup]), 1)).toBeUndefined();
  });

  it('one that failed in this round is not asked twice in it', () => {
    const [a, b] = [hopOf('a', 0), hopOf('b', 0)];
    expect(new HopGroup([a, b], () => 0).choose(new Set([a]), 0)).toBe(b);
  });

  it('a backup does not get the mail while the main hop is being greeted, only once that takes long', () => {
    const [main, backup] = [hopOf('main', 0), hopOf('backup', 1)];
    const group = new HopGroup([main, backup], () => 0);
    main.health.begin(0);
    expect(group.choose(none, patienceMs - 1)).toBe('wait');
    expect(group.choose(none, patienceMs)).toBe(backup);
  });

  it('a hop that is probed is left to the one who probes it', () => {
    const [main, backup] = [hopOf('main', 0), hopOf('backup', 1)];
    fail(main, 0);
    const group = new HopGroup([main, backup], () => 0);
    expect(group.choose(none, 1_000)).toBe(main);
    main.health.begin(1_000);
    expect(main.health.state).toBe(HopState.halfOpen);
    expect(group.choose(none, 1_000)).toBe(backup);
  });
});

describe('what is known of the hops together', () => {
  it('one that is well is enough to go on', () => {
    const [a, b] = [hopOf('a', 0), hopOf('b', 0)];
    const group = new HopGroup([a, b], () => 0);
    fail(a, 0);
    expect([group.allIll, group.pauseMs(1, false), group.outageMs(1)]).toEqual([false, 0, 0]);
    fail(b, 400);
    expect([group.allIll, group.pauseMs(500, false), group.outageMs(500)]).toEqual([true, 500, 100]);
    expect(group.nextUp(500)).toBe(a);
  });

  it('is sure once one has worked, and not before', () => {
    const a = hopOf('a', 0);
    const group = new HopGroup([a, hopOf('b', 0)], () => 0);
    expect([group.isSure(0), group.isOpen(0)]).toEqual([false, true]);
    a.health.worked(a.health.begin(0), 0);
    expect(group.isSure(1)).toBe(true);
  });

  it('an end of the rests lets each be probed once', () => {
    const hops = [hopOf('a', 0), hopOf('b', 0)];
    const group = new HopGroup(hops, () => 0);
    for (const hop of hops) fail(hop, 0);
    group.endRests();
    expect([group.pauseMs(0, false), group.isOpen(0)]).toEqual([0, true]);
    for (const { health } of hops) health.begin(0);
    expect(group.isOpen(0)).toBe(false);
  });
});
