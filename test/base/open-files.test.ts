import { expect, test } from 'vitest';

import { connectionsWithin, parseOpenFilesLimit } from '../../src/base/open-files.js';

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

test.each([
  { limit: 65_536, wanted: 10_000, connections: 10_000, why: 'what the config says, where there is room' },
  {
    limit: 10_000,
    wanted: 10_000,
    connections: 9_488,
    why: 'F-31: less, so that queue and relay keep files of their own',
  },
  { limit: 256, wanted: 10_000, connections: 128, why: 'half of a limit that is very low' },
  {
    limit: undefined,
    wanted: 10_000,
    connections: 10_000,
    why: 'what the config says, where no limit is known',
  },
])('of $wanted connections with $limit files: $connections, $why', ({ limit, wanted, connections }) => {
  expect(connectionsWithin(limit, wanted)).toBe(connections);
});
