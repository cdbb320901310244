/**
 * Parsing is linear: twice the hostile input may cost each parser at most 2.5 times as much. Counted in steps here, in
 * CPU time and up to 1 MiB by `npm run bench:linear`.
 */
import { afterAll, expect, test } from 'vitest';

const timed = process.env['LINEAR_TIME'] === '1';
const { ratioOf } = timed ? await import('./time-ratio.js') : await import('./step-ratio.js');
const { cases, inputOf } = await import('./linear-cases.js');

const maxRatio = 2.5;

const table = [`t(2n)/t(n) in ${timed ? 'CPU time' : 'steps'}`];

afterAll(() => {
  if (timed) console.log(table.join('\n'));
});

test.each(cases.map((row) => [row[0], row] as const))(
  'G-24 A-063: twice the input takes no more than 2.5 times as much: %s',
  { timeout: 120_000 },
  (name, row) => {
    const ratio = ratioOf(row[2], (bytes) => inputOf(row, bytes));
    table.push(`${ratio.toFixed(2).padStart(5)}  ${name}`);
    expect(ratio).toBeLessThan(maxRatio);
  },
);
