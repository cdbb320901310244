import { describe, expect, it } from 'vitest';

import { TokenBucket } from '../../src/relay/token-bucket.js';

describe('a rate', () => {
  it.each([
    ['ten in a second, a second of them at once', 10, 25, [10, 1, 0, 4, 10]],
    ['half a one: every two seconds one', 0.5, 25, [1, 0, 0, 0, 1]],
    ['none is no limit', Infinity, 25, [25, 25, 25, 25, 25]],
  ])('%s', (_name, perSecond, wanted, expected) => {
    let now = 0;
    const bucket = new TokenBucket(perSecond, () => now);
    const taken = [0, 100, 150, 500, 5000].map((atMs) => {
      now = atMs;
      return bucket.take(wanted);
    });
    expect(taken).toEqual(expected);
  });

  it('tells how long to wait for the next', () => {
    let now = 0;
    const bucket = new TokenBucket(4, () => now);
    expect(bucket.waitMs()).toBe(0);
    bucket.take(4);
    expect(bucket.waitMs()).toBe(250);
    now = 200;
    expect(bucket.waitMs()).toBeCloseTo(50);
    expect(new TokenBucket(Infinity, () => now).waitMs()).toBe(0);
  });

  it('what was taken and not used is there again, and no more than fits', () => {
    const bucket = new TokenBucket(3, () => 0);
    bucket.take(3);
    bucket.giveBack(2);
    expect(bucket.take(9)).toBe(2);
    bucket.giveBack(9);
    expect(bucket.take(9)).toBe(3);
  });
});
