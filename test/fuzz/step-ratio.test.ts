/** The measure of linear.test.ts can fail. */
import { expect, test } from 'vitest';

import { ratioOf } from './step-ratio.js';

test.each<[string, (input: Buffer) => unknown, number]>([
  [
    'a loop in a loop',
    (input) => {
      let sum = 0;
      for (const one of input.subarray(0, input.length / 64))
        for (const other of input.subarray(0, input.length / 64)) sum += one + other;
      return sum;
    },
    4,
  ],
  [
    'a copy of all that was, each time',
    (input) => {
      let kept = Buffer.alloc(0);
      for (let at = 0; at < input.length; at += 64) kept = Buffer.concat([kept, input.subarray(at, at + 64)]);
    },
    4,
  ],
  [
    'a search to the end, each time',
    (input) => {
      for (let at = 0; at < input.length; at += 64) input.indexOf(1, at);
    },
    4,
  ],
  [
    'a loop',
    (input) => {
      let sum = 0;
      for (const one of input) sum += one;
      return sum;
    },
    2,
  ],
])('twice the input has its steps counted: %s', (_, work, expected) => {
  expect(ratioOf(work, (bytes) => Buffer.alloc(bytes)) / expected).toBeCloseTo(1, 1);
});
