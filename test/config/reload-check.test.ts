import { expect, test } from 'vitest';
import { unchangeableKeys } from '../../src/config/reload-check.js';
import { load, smallest } from './harness.js';

const two = smallest.replace('domains:', '  - { name: other, address: 127.0.0.1, port: 2526 }\ndomains:');

test.each<[string, (yaml: string) => string, string[]]>([
  ['nothing', (yaml) => yaml, []],
  ['a new data directory', (yaml) => `${yaml}dataDir: /elsewhere\n`, ['dataDir']],
  ['the number of workers', (yaml) => `${yaml}workers: 250\n`, ['workers']],
  [
    'the admin socket',
    (yaml) => `${yaml}admin: { address: '::1', port: 1 }\n`,
    ['admin.address', 'admin.port'],
  ],
  ['the port of a listener', (yaml) => yaml.replace('2526', '2527'), ['listeners.other.port']],
  [
    'the address of a listener',
    (yaml) => yaml.replace('mx, address: 127.0.0.1', 'mx, address: 127.0.0.2'),
    ['listeners.mx.address'],
  ],
  ['a listener less', (yaml) => yaml.replace(/ {2}- \{ name: other.*\n/, ''), ['listeners.other']],
  [
    'a listener of another name',
    (yaml) => yaml.replace('name: other', 'name: new'),
    ['listeners.new', 'listeners.other'],
  ],
  ['the order of listeners', (yaml) => yaml.replace(/( {2}- .*mx.*\n)( {2}- .*other.*\n)/, '$2$1'), []],
  [
    'limits, log, routes, hostname, token',
    (yaml) =>
      `${yaml.replace('mx.example.test', 'a.example.test')}  new: { to: smtp://10.0.0.5 }\nlimits: { recipients: 200 }\nlog: { level: warn }\nadmin: { token: 0123456789abcdef }\n`,
    [],
  ],
])('needs a restart after a change of %s', (_, change, keys) => {
  expect(unchangeableKeys(load(two), load(change(two)))).toEqual(keys);
});
