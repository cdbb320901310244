import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { MinuteRates } from '../../src/primary/minute-rates.js';

const limits = { host: 5, network: 10, account: 3 };
const host = '192.0.2.1';

function keys(from: number, count: number): Record<string, number> {
  const entries = Array.from({ length: count }, (_, n) => [`2001:db8:${(from + n).toString(16)}:1::/64`, 1]);
  return Object.fromEntries(entries);
}

describe('A-053 what happened in a minute, across workers', () => {
  test.each([
    { key: host, limit: 5, why: 'an IPv4 address is a host' },
    { key: '2001:db8:0:1::/64', limit: 5, why: 'an IPv6 /64 is a host' },
    { key: '192.0.2.0/24', limit: 10, why: 'a /24 is a network' },
    { key: '2001:db8:0::/48', limit: 10, why: 'a /48 is a network' },
    { key: 'account:q8Zx', limit: 3, why: 'an account has its own limit' },
  ])('$why', ({ key, limit }) => {
    const rates = new MinuteRates(limits);
    rates.add({ [key]: limit - 1 }, 0);
    expect(rates.atLimit.sorted()).toEqual([]);
    rates.add({ [key]: 1 }, 59_000);
    expect(rates.atLimit.sorted()).toEqual([key]);
  });

  test('a minute later all is forgotten, at most ten seconds more', () => {
    const rates = new MinuteRates(limits);
    rates.add({ [host]: 5 }, 9_999);
    rates.expire(69_999);
    expect(rates.atLimit.sorted()).toEqual([host]);
    rates.expire(70_000);
    expect(rates.atLimit.sorted()).toEqual([]);
    rates.expire(140_000);
    expect(rates.size).toBe(0);
  });

  test('a change of the set is told once', () => {
    const rates = new MinuteRates(limits);
    rates.add({ [host]: 4 }, 0);
    expect(rates.atLimit.takeChanged()).toBe(false);
    rates.add({ [host]: 4 }, 0);
    expect(rates.atLimit.takeChanged()).toBe(true);
    rates.add({ [host]: 4 }, 0);
    expect(rates.atLimit.takeChanged()).toBe(false);
    rates.expire(100_000);
    expect(rates.atLimit.takeChanged()).toBe(true);
  });

  test('new limits judge what already happened', () => {
    const rates = new MinuteRates(limits);
    rates.add({ [host]: 4 }, 0);
    rates.setLimits({ ...limits, host: 4 });
    expect(rates.atLimit.sorted()).toEqual([host]);
    rates.setLimits(limits);
    expect(rates.atLimit.sorted()).toEqual([]);
  });

  test('20 000 different /64 fit; beyond the bound the ones unheard of for longest go', () => {
    const rates = new MinuteRates(limits, 40_000);
    rates.add({ [host]: 5 }, 0);
    rates.add(keys(0, 20_000), 0);
    expect(rates.atLimit.sorted()).toEqual([host]);
    rates.add({ [host]: 1 }, 20_000);
    rates.add(keys(20_000, 60_000), 20_000);
    expect(rates.size).toBeLessThanOrEqual(40_000);
    expect(rates.atLimit.sorted()).toEqual([]);
    expect(rates.atLimit.takeChanged()).toBe(true);
  });

  test('a key is over its limit exactly when the last 60 to 70 s had as much, however they were cut up', () => {
    const step = fc.record({ waitMs: fc.nat(40_000), count: fc.nat(3), key: fc.constantFrom('a', 'b') });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const rates = new MinuteRates(limits);
        const log: { key: string; atMs: number; count: number }[] = [];
        let nowMs = 0;
        for (const { waitMs, count, key } of steps) {
          nowMs += waitMs;
          rates.expire(nowMs);
          rates.add({ [key]: count }, nowMs);
          log.push({ key, atMs: nowMs, count });
          const since = (Math.floor(nowMs / 10_000) - 6) * 10_000;
          for (const key of ['a', 'b']) {
            const recent = log.filter((entry) => entry.key === key && entry.atMs >= since);
            const total = recent.reduce((sum, { count }) => sum + count, 0);
            expect(rates.atLimit.sorted().includes(key)).toBe(total >= limits.host);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});
