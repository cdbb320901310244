import { expect, test, vi } from 'vitest';

import { FreeSpace, neededFreeBytes } from '../../src/queue/transaction-room.js';

const mib = 2 ** 20;

test.each([
  ['a message of 4 KiB', { keys: 1, bytes: 4096, drains: false }, 4 * mib + 16_384 + 8192],
  ['a full lane of chunks', { keys: 128, bytes: 8 * mib, drains: false }, 37 * mib],
  ['a removal', { keys: 2, bytes: 0, drains: true }, 2 ** 17 + 16_384],
])('F-06: %s may begin with so much free', (_what, size, bytes) => {
  expect(neededFreeBytes(size)).toBe(bytes);
});

test('F-06: what drains a full disk fits into the reserve that is given back for it', () => {
  // committer.ts: crampedBytes and crampedKeys.
  expect(neededFreeBytes({ keys: 16 + 16, bytes: 64 * 1024, drains: true })).toBeLessThan(4 * mib);
});

test('F-06: the file system is asked again when others may have used what it said was free', () => {
  const look = vi.fn<() => number | undefined>().mockReturnValue(100 * mib);
  const space = new FreeSpace(look);
  expect(space.shortOf(4 * mib, 1_000)).toBeUndefined();
  expect(space.shortOf(4 * mib, 1_040)).toBeUndefined();
  expect(look).toHaveBeenCalledTimes(1);
  look.mockReturnValue(3 * mib);
  expect(space.shortOf(4 * mib, 1_060)).toBe(3 * mib);
  expect(space.shortOf(2 * mib, 1_060)).toBeUndefined();
  expect(space.shortOf(4 * mib, 1_060)).toBe(3 * mib);
  expect(look).toHaveBeenCalledTimes(3);
});

test('F-06: a file system that does not say is not asked again, and stops nothing', () => {
  const look = vi.fn<() => number | undefined>().mockReturnValue(undefined);
  const space = new FreeSpace(look);
  for (const nowMs of [1_000, 2_000, 100_000]) expect(space.shortOf(4 * mib, nowMs)).toBeUndefined();
  expect(look).toHaveBeenCalledTimes(1);
});
