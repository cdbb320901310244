/** Prettier leaves comments as they are: one that runs out of the window is seen by nobody but this test. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../../src');
/** Written for 120; a word that runs over is no harm, a line that was never wrapped is. */
const maxColumns = 130;

it('no comment line of src/ runs beyond 130 columns', () => {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  const long = files.flatMap((file) =>
    readFileSync(join(root, file), 'utf8')
      .split('\n')
      .flatMap((line, at) =>
        line.length > maxColumns && /^\s*(?:\/\/|\/?\*)/.test(line) ? [`${file}:${at + 1}`] : [],
      ),
  );
  expect(files.length).toBeGreaterThan(100);
  expect(long).toEqual([]);
});
