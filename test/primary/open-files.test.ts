import { expect, test } from 'vitest';

import { parseOpenFilesLimit } from '../../src/primary/open-files.js';

test.each([
  {
    text: 'Max processes             7823   7823   processes\nMax open files            1024   524288   files\n',
    limit: 1024,
    why: 'the soft limit, as Linux prints it',
  },
  { text: 'Max open files            unlimited   unlimited   files\n', limit: undefined, why: 'no limit' },
  { text: '', limit: undefined, why: 'nothing known' },
])('$why: $limit', ({ text, limit }) => {
  expect(parseOpenFilesLimit(text)).toBe(limit);
});
