import { expect, test } from 'vitest';

import { changedKeys } from '../../src/primary/config-changes.js';
import { load, smallest } from '../config/harness.js';

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

test.each<[string, (yaml: string) => string, string[]]>([
  ['nothing', (yaml) => yaml, []],
  [
    'a time of a route',
    (yaml) => yaml.replace('maildir:./maildir', "maildir:./maildir', retry: { expire: 2d }, tls: 'off"),
    ['routes.disk.retry.expire'],
  ],
  ['a next hop', (yaml) => yaml.replace('./maildir', './other'), ['routes.disk.to']],
  [
    'a route of a name that looks like a time',
    (yaml) => `${yaml}  officeMs: { to: smtp://192.0.2.1 }\n`.replace(/(dataDir.*\n)(.*\n)$/, '$2$1'),
    ['routes.officeMs'],
  ],
  ['a time-out', (yaml) => `${yaml}limits: { commandTimeout: 6m }\n`, ['limits.commandTimeout']],
  [
    'the age of a delay',
    (yaml) => `${yaml}notifications: { delayAfter: 1h }\n`,
    ['notifications.delayAfter'],
  ],
  [
    'the words of notifications',
    (yaml) => `${yaml}notifications: { template: u.yaml }\n`,
    ['notifications.template'],
  ],
  ['the users file', (yaml) => `${yaml}auth: { users: { file: u.yaml } }\n`, ['auth.users.file']],
  ['the domains', (yaml) => yaml.replace('[example.test]', '[example.org]'), ['domains']],
  ['the token', (yaml) => `${yaml}admin: { token: 0123456789abcdef }\n`, ['admin.token']],
])('a change of %s is named as the config file names it', (_, change, keys) => {
  const files = { 'u.yaml': 'users:\n' };
  const base = `${smallest}dataDir: /data\n`;
  expect(changedKeys(load(base, {}, files), load(change(base), {}, files))).toEqual(keys);
});
