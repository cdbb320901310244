import { describe, expect, it } from 'vitest';

import { HopHealth } from '../../src/relay/hop-health.js';

const probeMs = 30_000;
const hourMs = 3_600_000;

describe('the health of hops', () => {
  it('lets everybody try a hop that works', () => {
    const health = new HopHealth(1, probeMs, hourMs);
    expect([health.mayTry(0, 0), health.mayTry(0, 0), health.allIll, health.pauseMs(0)]).toEqual([
      true,
      true,
      false,
      0,
    ]);
  });

  it('rests a failed hop for a second, then lets one caller probe it', () => {
    const health = new HopHealth(1, probeMs, hourMs);
    expect(health.failed(0, 0, 'refused')).toBe(true);
    expect(health.reason(0)).toBe('refused');
    expect(health.mayTry(0, 999)).toBe(false);
    expect(health.mayTry(0, 1000)).toBe(true);
    expect(health.mayTry(0, 1000)).toBe(false);
  });

  it('F-22: doubles the rest with each failed probe, to a minute', () => {
    const health = new HopHealth(1, probeMs, hourMs);
    let nowMs = 0;
    health.failed(0, nowMs, 'refused');
    const rests: number[] = [];
    for (let i = 0; i < 9; i++) {
      const restMs = health.pauseMs(nowMs);
      let waitedMs = 0;
      while (!health.mayTry(0, nowMs)) {
        nowMs += 500;
        waitedMs += 500;
      }
      rests.push(waitedMs);
      expect(restMs).toBe(waitedMs);
      expect(health.failed(0, nowMs, 'refused')).toBe(false);
    }
    expect(rests).toEqual([1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
  });

  it('failures of connections begun before the first one change nothing', () => {
    const health = new HopHealth(1, probeMs, hourMs);
    health.failed(0, 0, 'refused');
    for (let i = 0; i < 20; i++) expect(health.failed(0, 500, 'refused')).toBe(false);
    expect(health.mayTry(0, 1000)).toBe(true);
  });

  it('a probe that never comes back makes room for another', () => {
    const health = new HopHealth(1, probeMs, hourMs);
    health.failed(0, 0, 'refused');
    expect(health.mayTry(0, 1000)).toBe(true);
    expect(health.mayTry(0, 1000 + probeMs - 1)).toBe(false);
    expect(health.mayTry(0, 1000 + probeMs)).toBe(true);
  });

  it('forgets all when the hop works', () => {
    const health = new HopHealth(1, probeMs, hourMs);
    expect(health.worked(0)).toBe(false);
    health.failed(0, 0, 'refused');
    expect(health.allIll).toBe(true);
    expect(health.worked(0)).toBe(true);
    expect([health.allIll, health.mayTry(0, 1), health.reason(0)]).toEqual([false, true, '']);
  });

  it('a rest that is called off lets one caller try at once, and the next rest is short', () => {
    const health = new HopHealth(2, probeMs, hourMs);
    for (const hop of [0, 1]) health.failed(hop, 0, 'refused');
    for (const hop of [0, 1]) expect(health.mayTry(hop, 1000)).toBe(true);
    for (const hop of [0, 1]) health.failed(hop, 1000, 'refused');
    expect(health.pauseMs(1000)).toBe(2000);
    health.endRests();
    expect([health.pauseMs(1000), health.allIll]).toEqual([0, true]);
    expect([health.mayTry(0, 1000), health.mayTry(0, 1000), health.mayTry(1, 1000)]).toEqual([
      true,
      false,
      true,
    ]);
    for (const hop of [0, 1]) health.failed(hop, 1000, 'refused');
    expect(health.pauseMs(1000)).toBe(1000);
  });

  it('does not pause the route while one hop works', () => {
    const health = new HopHealth(2, probeMs, hourMs);
    health.failed(0, 0, 'refused');
    expect([health.pauseMs(1), health.allIll]).toEqual([0, false]);
    health.failed(1, 400, 'refused');
    expect([health.pauseMs(500), health.allIll]).toEqual([500, true]);
  });

  it('rests no longer than the route waits between two attempts', () => {
    for (const [maxWaitMs, expected] of [
      [5000, [1000, 2000, 4000, 5000, 5000]],
      [300, [300, 300, 300]],
    ] as const) {
      const health = new HopHealth(1, probeMs, maxWaitMs);
      let nowMs = 0;
      const rests = expected.map(() => {
        health.mayTry(0, nowMs);
        health.failed(0, nowMs, 'refused');
        const restMs = health.restMs(0, nowMs);
        nowMs += restMs;
        return restMs;
      });
      expect(rests).toEqual(expected);
    }
  });

  it('knows which hop may be tried next, until when it rests, and how long nothing has worked', () => {
    const health = new HopHealth(3, probeMs, hourMs);
    health.failed(1, 0, 'refused');
    health.failed(2, 100, 'refused');
    expect([health.nextUp, health.restMs(1, 400), health.restMs(0, 400)]).toEqual([1, 600, 0]);
    expect(health.outageMs(400)).toBe(0);
    health.failed(0, 200, 'refused');
    expect(health.outageMs(400)).toBe(200);
    health.mayTry(1, 1000);
    // While it is probed it does not rest.
    expect([health.nextUp, health.restMs(1, 1000)]).toEqual([2, 0]);
  });

  it('holds the mail back in a long outage as in a short one', () => {
    const health = new HopHealth(1, probeMs, hourMs);
    health.failed(0, 0, 'refused');
    let nowMs = 0;
    while (nowMs <= 200_000) {
      if (health.mayTry(0, nowMs)) health.failed(0, nowMs, 'refused');
      expect(health.pauseMs(nowMs)).toBeGreaterThan(0);
      nowMs += 500;
    }
  });
});
