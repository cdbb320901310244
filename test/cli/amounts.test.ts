import { expect, test } from 'vitest';

import { count, grouped } from '../../src/cli/amounts.js';

test.each([
  [0, '0 messages'],
  [1, '1 message'],
  [999, '999 messages'],
  [1_234, '1 234 messages'],
  [1_234_567, '1 234 567 messages'],
])('%i is %j', (amount, text) => {
  expect(count(amount, 'message')).toBe(text);
  expect(text.startsWith(grouped(amount))).toBe(true);
});
