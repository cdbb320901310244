import { expect, test } from 'vitest';

import { neededFreeBytes } from '../../src/queue/transaction-room.js';

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
