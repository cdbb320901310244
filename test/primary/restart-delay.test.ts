import { describe, expect, test } from 'vitest';

import { isEarlyDeath, restartDelayMs } from '../../src/primary/restart-delay.js';

describe('which deaths are early', () => {
  test.each([
    { readyForMs: undefined, early: true, why: 'died before it was ready' },
    { readyForMs: 0, early: true, why: 'died as it became ready' },
    { readyForMs: 1_999, early: true, why: 'died within 2 s of ready' },
    { readyForMs: 2_000, early: false, why: 'lived for 2 s' },
    { readyForMs: 86_400_000, early: false, why: 'lived for a day' },
  ])('$why: $early', ({ readyForMs, early }) => {
    expect(isEarlyDeath(readyForMs)).toBe(early);
  });
});

describe('the delay before a slot starts its next worker', () => {
  test.each([
    { earlyDeaths: 0, delayMs: 0, why: 'a healthy worker was killed' },
    { earlyDeaths: 1, delayMs: 0, why: 'the first restart is at once' },
    { earlyDeaths: 2, delayMs: 250, why: 'the second early death in a row waits' },
    { earlyDeaths: 3, delayMs: 500, why: 'it grows' },
    { earlyDeaths: 5, delayMs: 2_000, why: 'and doubles' },
    { earlyDeaths: 9, delayMs: 30_000, why: 'up to a bound' },
    { earlyDeaths: 100_000, delayMs: 30_000, why: 'which holds for ever' },
  ])('$why: $delayMs ms', ({ earlyDeaths, delayMs }) => {
    expect(restartDelayMs(earlyDeaths)).toBe(delayMs);
  });
});
