/** The patches of `npm run mutate` fit the tree: each breaks what it says, in exactly one place. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { root } from '../support/postern.js';

test('each patch of a rule fits exactly once', () => {
  const { stdout } = spawnSync(process.execPath, [join(root, 'test/conformance/mutate.mjs'), '--check'], {
    encoding: 'utf8',
  });
  expect(stdout).toBe('');
});
