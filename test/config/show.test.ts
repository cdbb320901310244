import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.js';
import { configPlain, configShow } from '../../src/config/show.js';
import { load, smallest, testCertificate, testKey, writeConfig } from './harness.js';

const everything = `hostname: mx.example.test
postmaster: postmaster@example.test
dataDir: state
workers: 3
listeners:
  - { name: mx, address: 0.0.0.0, port: 25 }
  - { name: sub, address: '::', port: 587, role: submission, route: out }
tls: { certificate: ${testCertificate}, key: ${testKey} }
admin: { port: 2581 }
dns: { servers: [127.0.0.1:5353, '[::1]:53'] }
domains:
  - { names: [example.test, '*.example.test', bücher.example], recipients: { file: people.txt }, route: office }
  - { names: [example.net], recipients: any, route: disk }
routes:
  office: { to: [smtp://10.0.0.5, 'lmtp://[2001:db8::1]:2400'], tls: required, retry: { first: 90s, max: 1h30m } }
  out: { to: smtp://smarthost.example.net, connections: 3 }
  disk: { to: maildir:all }
limits: { messageBytes: 1500000, diskReserve: 0, commandTimeout: 1500ms, exempt: [] }
policy:
  dnsbl: { lists: [{ zone: bl.example, weight: 1.5 }], defer: 0.5, minTtl: 0 }
auth: { mechanisms: [PLAIN], users: { file: users.yaml } }
log: { level: debug }
`;

test.each([
  ['the smallest config', smallest],
  ['a config with every key', everything],
])('what is shown of %s loads to the same config', (_, yaml) => {
  const config = load(yaml, {}, { 'people.txt': 'joe\n', 'users.yaml': 'users: {}\n' });
  expect(loadConfig(writeConfig(configShow(config)), {})).toEqual(config);
});

test('is in human units', () => {
  const shown: { limits: unknown } = parse(configShow(load(smallest)));
  expect(shown.limits).toMatchObject({
    messageBytes: '25MiB',
    diskReserve: '1GiB',
    recipients: 1000,
    commandLineBytes: '2KiB',
    commandTimeout: '5m',
    tlsHandshakeTimeout: '30s',
  });
});

test('keeps the token to itself, and what it shows instead cannot become one', () => {
  const token = '0123456789abcdef';
  const shown = configShow(load(`${smallest}admin: { token: ${token} }\n`));
  expect(shown).not.toContain(token);
  expect(JSON.stringify(configPlain(load(`${smallest}admin: { token: ${token} }\n`)))).not.toContain(token);
  expect(() => loadConfig(writeConfig(shown), {})).toThrow('admin.token');
});
