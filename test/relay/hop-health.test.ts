import { describe, expect, it } from 'vitest';

import { HopHealth, HopState, patienceMs } from '../../src/relay/hop-health.js';

const probeMs = 30_000;

function healthOf(longestRestMs = 60_000, maxAttempts = 10): HopHealth {
  return new HopHealth({ probeMs, longestRestMs, maxAttempts });
}

/** One attempt that fails at once. */
function fail(health: HopHealth, nowMs: number): boolean {
  return health.failed(health.begin(nowMs), nowMs, 'refused');
}

function work(health: HopHealth, nowMs: number): boolean {
  return health.worked(health.begin(nowMs), nowMs);
}

describe('closed: a hop that works as far as we know', () => {
  it('is not sure before the first connection, and one at a time finds out', () => {
    const health = healthOf();
    expect([health.state, health.isSure(0), health.advice(0)]).toEqual([HopState.closed, false, 'yes']);
    const attempt = health.begin(0);
    expect(health.advice(1)).toBe('wait');
    expect(health.worked(attempt, 2)).toBe(false);
    expect([health.isSure(2), health.advice(2), health.pauseMs(2, false)]).toEqual([true, 'yes', 0]);
  });

  it('F-22: connections are begun no faster than they succeed, up to the bound', () => {
    const health = healthOf(60_000, 4);
    const most: number[] = [];
    for (let round = 0; round < 6; round++) {
      const attempts = [];
      while (health.advice(round) === 'yes') attempts.push(health.begin(round));
      most.push(attempts.length);
      for (const attempt of attempts) health.worked(attempt, round);
    }
    expect(most).toEqual([1, 2, 4, 4, 4, 4]);
  });

  it('after a long silence the next connection is a first one again', () => {
    const health = healthOf();
    for (let i = 0; i < 5; i++) work(health, i);
    health.begin(100_000);
    expect(health.advice(100_000)).toBe('wait');
  });

  it('F-23: one that keeps an attempt waiting gets no other, and is not sure any more', () => {
    const health = healthOf();
    for (let i = 0; i < 5; i++) work(health, i);
    health.begin(10);
    expect(health.advice(10 + patienceMs - 1)).toBe('yes');
    expect([health.advice(10 + patienceMs), health.isSure(10 + patienceMs)]).toEqual(['no', false]);
    // Who has a connection to it may go on with that one.
    expect([health.pauseMs(10 + patienceMs, true), health.pauseMs(10 + patienceMs, false)]).toEqual([
      patienceMs,
      0,
    ]);
  });

  it('one that always greets late gets its time, within a bound', () => {
    const health = healthOf();
    health.worked(health.begin(0), 6_000);
    health.begin(6_000);
    expect([health.advice(17_999), health.isSure(17_999), health.advice(18_000)]).toEqual([
      'yes',
      true,
      'no',
    ]);
    const slow = healthOf();
    slow.worked(slow.begin(0), 200_000);
    slow.begin(200_000);
    expect([slow.advice(229_999), slow.advice(230_000)]).toEqual(['yes', 'no']);
  });
});

describe('open: a hop that failed', () => {
  it('rests for a second, then one caller probes it', () => {
    const health = healthOf();
    expect(fail(health, 0)).toBe(true);
    expect([health.state, health.reason]).toEqual([HopState.open, 'refused']);
    expect(health.advice(999)).toBe('no');
    expect(health.advice(1000)).toBe('yes');
    health.begin(1000);
    expect([health.state, health.advice(1000)]).toEqual([HopState.halfOpen, 'no']);
  });

  it('F-22: doubles the rest with each failed probe, to a minute', () => {
    const health = healthOf();
    let nowMs = 0;
    fail(health, nowMs);
    const rests: number[] = [];
    for (let i = 0; i < 9; i++) {
      const restMs = health.pauseMs(nowMs, false);
      rests.push(restMs);
      expect(health.advice(nowMs + restMs - 1)).toBe('no');
      nowMs += restMs;
      expect(health.advice(nowMs)).toBe('yes');
      expect(fail(health, nowMs)).toBe(false);
    }
    expect(rests).toEqual([1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
  });

  it.each([
    [5000, [1000, 2000, 4000, 5000, 5000]],
    [300, [300, 300, 300]],
  ])('rests no longer than the route waits between two attempts: %i ms', (maxWaitMs, expected) => {
    const health = healthOf(maxWaitMs);
    let nowMs = 0;
    const rests = expected.map(() => {
      fail(health, nowMs);
      const restMs = health.restMs(nowMs);
      nowMs += restMs;
      return restMs;
    });
    expect(rests).toEqual(expected);
  });

  it('failures of connections begun before the first one change nothing', () => {
    const health = healthOf();
    for (let i = 0; i < 5; i++) work(health, i);
    const early = [1, 2, 3].map(() => health.begin(10));
    fail(health, 10);
    for (const attempt of early) expect(health.failed(attempt, 500, 'refused')).toBe(false);
    expect(health.advice(1010)).toBe('yes');
  });

  it('forgets all when it works', () => {
    const health = healthOf();
    fail(health, 0);
    expect(work(health, 1000)).toBe(true);
    expect([health.state, health.reason, health.advice(1001), health.outageMs(1001)]).toEqual([
      HopState.closed,
      '',
      'yes',
      0,
    ]);
  });

  it('a rest that is called off lets one caller try at once, and the next rest is short', () => {
    const health = healthOf();
    fail(health, 0);
    fail(health, 1000);
    expect(health.pauseMs(1000, false)).toBe(2000);
    health.endRest();
    expect([health.advice(1000), health.pauseMs(1000, false)]).toEqual(['yes', 0]);
    fail(health, 1000);
    expect(health.pauseMs(1000, false)).toBe(1000);
  });

  it('knows how long it has not worked, probes included', () => {
    const health = healthOf();
    fail(health, 100);
    fail(health, 1100);
    expect(health.outageMs(5000)).toBe(4900);
  });
});

describe('half-open: a hop that is probed', () => {
  it('a probe that never comes back makes room for another', () => {
    const health = healthOf();
    fail(health, 0);
    health.begin(1000);
    expect(health.advice(1000 + probeMs - 1)).toBe('no');
    expect(health.advice(1000 + probeMs)).toBe('yes');
  });

  it('does not rest, and mail waits all the same', () => {
    const health = healthOf();
    fail(health, 0);
    health.begin(1000);
    expect([health.restMs(1000), health.pauseMs(1000, false)]).toEqual([0, probeMs]);
  });

  it('a probe that we end says nothing: the rest is as it was', () => {
    const health = healthOf();
    fail(health, 0);
    const probe = health.begin(1000);
    health.abandoned(probe, 1500);
    expect([health.state, health.restMs(1500)]).toEqual([HopState.open, 1000]);
  });
});

describe('crowded: a hop that serves us and takes no further connection', () => {
  it('is well, is not asked for a while, and at once when one of ours has ended', () => {
    const health = healthOf();
    work(health, 0);
    expect(health.crowded(health.begin(0), 0)).toBe(true);
    expect([health.state, health.isSure(1), health.advice(1), health.isCrowded]).toEqual([
      HopState.closed,
      true,
      'no',
      true,
    ]);
    expect([health.pauseMs(1, false), health.pauseMs(1, true)]).toEqual([0, 9_999]);
    health.freed();
    expect(health.advice(1)).toBe('yes');
    expect(health.crowded(health.begin(1), 1)).toBe(false);
  });
});
