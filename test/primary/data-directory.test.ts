import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { prepareDataDirectory } from '../../src/primary/data-directory.js';

let directory = '';
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'postern-data-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** `expect.stringContaining`, typed. */
function containing(text: string): string {
  const matcher: string = expect.stringContaining(text);
  return matcher;
}

describe('the data directory before a start', () => {
  test('is made with everything above it, for its owner alone, and nothing is left in it', async () => {
    const dataDir = join(directory, 'a', 'b');
    expect(await prepareDataDirectory(dataDir)).toBe(join(dataDir, 'queue'));
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(readdirSync(dataDir, { recursive: true })).toEqual(['queue']);
  });

  test('may be there already', async () => {
    await prepareDataDirectory(directory);
    await prepareDataDirectory(directory);
    expect(readdirSync(directory)).toEqual(['queue']);
  });

  test.each([
    {
      name: 'a path through a file',
      path: () => join(directory, 'file', 'data'),
      hint: 'a part of the path is a file',
    },
    {
      name: 'a file in its place',
      path: () => join(directory, 'file'),
      hint: 'a part of the path is a file',
    },
    {
      name: 'a file system that takes no folders',
      path: () => '/proc/nowhere/data',
      hint: 'set dataDir to a directory',
    },
    { name: 'a directory that cannot be written', path: () => '/proc/self', hint: 'cannot be used: ' },
  ])('$name is refused with what to do', async ({ path, hint }) => {
    writeFileSync(join(directory, 'file'), '');
    await expect(prepareDataDirectory(path())).rejects.toMatchObject({
      code: 'DATA_DIR_UNUSABLE',
      message: containing(hint),
    });
  });
});
