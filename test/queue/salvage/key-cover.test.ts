import fc from 'fast-check';
import { expect, test } from 'vitest';

import { KeyCover } from '../../../src/queue/salvage/key-cover.js';

const letters = 'abcdefghij'.split('');
const range = fc
  .tuple(fc.constantFrom(...letters), fc.constantFrom(...letters))
  .map(([a, b]) => (a < b ? ([a, b] as const) : ([b, a] as const)));

test('a key is covered exactly when one of the ranges holds it, whatever their order and overlap', () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 8 }), (ranges) => {
      const cover = new KeyCover();
      for (const [first, last] of ranges) cover.add(first, last);
      for (const key of letters)
        expect(cover.has(key)).toBe(ranges.some(([first, last]) => first <= key && key <= last));
    }),
  );
});
