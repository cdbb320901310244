import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  dueClockMs,
  isExpired,
  isLongOutage,
  minAttemptsToExpire,
  retryDelayMs,
} from '../../src/relay/retry-schedule.js';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const retry = { firstMs: 5 * minute, maxMs: 4 * hour, expireMs: 5 * day };

describe('C-076: the delay before the next attempt', () => {
  it.each([
    [1, 5 * minute],
    [2, 10 * minute],
    [3, 20 * minute],
    [4, 40 * minute],
    [5, 80 * minute],
    [6, 160 * minute],
    [7, 240 * minute], // 320 would pass maxMs
    [8, 240 * minute],
    [1_000_000, 240 * minute], // no Infinity, no NaN
    [0, 5 * minute], // never sooner than the first
  ])('after %i attempts is %i ms, without jitter', (attempts, delayMs) => {
    expect(retryDelayMs(retry, attempts, 0)).toBe(delayMs);
  });

  it('loses up to a fifth to jitter, also at the maximum', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (n, dice) => {
          const full = retryDelayMs(retry, n, 0);
          const delayMs = retryDelayMs(retry, n, dice);
          expect(delayMs).toBeLessThanOrEqual(full);
          expect(delayMs).toBeGreaterThanOrEqual(full * 0.8);
          expect(Number.isInteger(delayMs)).toBe(true);
        },
      ),
    );
  });

  it('fits about 35 attempts into five days', () => {
    let atMs = 0;
    let attempts = 0;
    while (atMs < retry.expireMs) atMs += retryDelayMs(retry, ++attempts, 0);
    expect(attempts).toBe(35);
  });
});

describe('expiry', () => {
  it.each([
    ['young', day, 10, false],
    ['old and tried', 5 * day, minAttemptsToExpire, true],
    ['one millisecond too young', 5 * day - 1, 10, false],
    ['F-30: the clock jumped ten years ahead before the first retry', 3650 * day, 1, false],
    ['F-30: and before the second', 3650 * day, 2, false],
    ['F-30: the clock went back behind the arrival', -day, 100, false],
  ])('%s', (_name, ageMs, attempts, expired) => {
    const nowMs = 1_700_000_000_000;
    expect(isExpired(retry, { arrivedAtMs: nowMs - ageMs, attempts }, nowMs)).toBe(expired);
  });
});

it.each([
  [3 * retry.firstMs - 1, false],
  [3 * retry.firstMs, true],
])('an outage of %i ms lets what only waits for its end expire: %s', (outageMs, isLong) => {
  expect(isLongOutage(retry, outageMs)).toBe(isLong);
});

describe('F-30: the clock that the queue is asked with', () => {
  const nowMs = 1_700_000_000_000;
  it.each([
    ['due now', nowMs, nowMs],
    ['due in the longest delay', nowMs + retry.maxMs, nowMs],
    ['further off than any delay: the clock was set back', nowMs + day, nowMs + day],
    ['nothing due', 0, nowMs],
  ])('%s', (_name, earliestAtMs, clockMs) => {
    expect(dueClockMs(retry, earliestAtMs, nowMs)).toBe(clockMs);
  });
});
