/** test/conformance.md says what the tests say, and no rule or attack is without a test or a reason. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { root } from '../support/postern.js';

const { stdout } = spawnSync(process.execPath, [join(root, 'test/conformance/catalogue.mjs'), '--print'], {
  encoding: 'utf8',
  maxBuffer: 16 * 1024 * 1024,
});
const catalogue = JSON.parse(stdout) as {
  text: string;
  missing: string[];
  open: string[];
  unknown: string[];
};

test('test/conformance.md is what `node test/conformance/catalogue.mjs` writes', () => {
  expect(readFileSync(join(root, 'test/conformance.md'), 'utf8')).toBe(catalogue.text);
});

test('every rule and every attack has a test or a reason', () => {
  expect(catalogue.missing).toEqual([]);
});

test('what no issue has asked for yet is open, and nothing else', () => {
  expect(catalogue.open).toEqual(['C-132', 'A-082', 'A-122']);
});

test('no test names a rule or an attack that is not on the list', () => {
  expect(catalogue.unknown).toEqual([]);
});
