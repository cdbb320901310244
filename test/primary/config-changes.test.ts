import { expect, test } from 'vitest';

import { changedKeys } from '../../src/primary/config-changes.js';

const config = {
  hostname: 'a.example',
  limits: { recipients: 100, exempt: ['127.0.0.0/8'] },
  routes: { office: { hops: [{ host: 'x' }] } },
  tls: undefined,
};

test.each([
  { after: config, keys: [], why: 'nothing changed' },
  { after: { ...config, hostname: 'b.example' }, keys: ['hostname'], why: 'a scalar' },
  {
    after: { ...config, limits: { recipients: 1, exempt: ['10.0.0.0/8'] } },
    keys: ['limits.exempt', 'limits.recipients'],
    why: 'keys of a map by name, a list as a whole',
  },
  { after: { ...config, routes: {} }, keys: ['routes.office'], why: 'an entry that went' },
  { after: { ...config, tls: { key: 'k' } }, keys: ['tls'], why: 'a section that came' },
])('$why: $keys', ({ after, keys }) => {
  expect(changedKeys(config, after)).toEqual(keys);
});
