import { expect, test } from 'vitest';

import { newIncarnation } from '../../src/primary/incarnation.js';

test('an incarnation is 18 characters that are safe in a file name', () => {
  for (const nowMs of [0, 1_700_000_000_000, 4_102_444_800_000, -5]) {
    expect(newIncarnation(nowMs)).toMatch(/^[0-9A-Z]{18}$/);
  }
});

test('incarnations sort by time', () => {
  const names = [1_700_000_000_000, 1_700_000_000_001, 1_800_000_000_000].map(newIncarnation);
  expect(names.toSorted()).toEqual(names);
});

test('F-30 names stay unique when the clock stands still or jumps back', () => {
  const names = Array.from({ length: 10_000 }, (_, index) => newIncarnation(1_700_000_000_000 - (index % 3)));
  expect(new Set(names).size).toBe(names.length);
});
