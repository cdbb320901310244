import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { writeWholeFile } from '../../src/base/whole-file.js';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postern-whole-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

test('the new text takes the place of the old, for the owner alone, and nothing else is left', async () => {
  const file = join(directory, 'a.json');
  await writeWholeFile(file, 'a long first text');
  await writeWholeFile(file, 'second');
  expect(readFileSync(file, 'utf8')).toBe('second');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(directory)).toEqual(['a.json']);
});

test('what cannot be put in place leaves nothing behind', async () => {
  mkdirSync(join(directory, 'a.json'));
  await expect(writeWholeFile(join(directory, 'a.json'), 'text')).rejects.toMatchObject({ code: 'EISDIR' });
  expect(readdirSync(directory)).toEqual(['a.json']);
});
