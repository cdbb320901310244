/** test/faults.md says what the tests say, and no fault or goal is without a test or a reason. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { root } from '../support/postern.js';
const { stdout } = spawnSync(process.execPath, [join(root, 'test/faults/catalogue.mjs'), '--print'], {
  encoding: 'utf8',
});
const catalogue = JSON.parse(stdout) as { text: string; missing: string[] };

test('test/faults.md is what `node test/faults/catalogue.mjs` writes', () => {
  expect(readFileSync(join(root, 'test/faults.md'), 'utf8')).toBe(catalogue.text);
});

test('every fault and goal has a test, a figure or a reason', () => {
  expect(catalogue.missing).toEqual([]);
});
