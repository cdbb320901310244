import { readFileSync } from 'node:fs';
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
  - { names: [example.com], recipients: none }
routes:
  office: { to: [smtp://10.0.0.5, 'lmtp://[2001:db8::1]:2400'], tls: required, retry: { first: 90s, max: 1h30m } }
  out: { to: smtp://smarthost.example.net, connections: 3, messagesPerSecond: 2.5, timeouts: { greeting: 30s, end: 1500ms } }
  pair: { to: [{ hop: smtp://10.0.0.7, weight: 3 }, { hop: 'smtp://[::1]:26', priority: 1 }], tls: verified, tlsCa: ca.pem }
  pinned: { to: [{ hop: smtp://10.0.0.7, priority: 0 }], tls: verified, tlsFingerprints: ['${'0123456789ABCDEF'.repeat(4)}'] }
  world: { to: mx:2525, tls: verified }
  disk: { to: maildir:all }
notifications: { enabled: false, delayAfter: 0, route: out, template: words.txt, perHour: 7, keepFailed: 90s }
limits: { queueMessages: 17, queueBytes: 5000000, messageBytes: 1500000, diskReserve: 0, commandTimeout: 1500ms, exempt: [] }
policy:
  bareNewlines: { normalizeFrom: [10.0.0.0/8] }
  dnsbl: { lists: [{ zone: bl.example, weight: 1.5 }], defer: 0.5, minTtl: 0 }
auth: { mechanisms: [PLAIN], users: { file: users.yaml } }
log: { level: debug }
`;

const others = {
  'people.txt': 'joe\n',
  'users.yaml': 'users: {}\n',
  'words.txt': 'Sorry.\n',
  'ca.pem': readFileSync(testCertificate, 'utf8'),
};

test.each([
  ['the smallest config', smallest],
  ['a config with every key', everything],
])('what is shown of %s loads to the same config', (_, yaml) => {
  const config = load(yaml, {}, others);
  expect(loadConfig(writeConfig(configShow(config)), {})).toEqual(config);
});

test('is in human units', () => {
  const shown: { limits: unknown } = parse(configShow(load(smallest)));
  expect(shown.limits).toMatchObject({
    messageBytes: '25MiB',
    diskReserve: '1GiB',
    queueBytes: '64GiB',
    queueMessages: 1_000_000,
    recipients: 1000,
    commandLineBytes: '2KiB',
    commandTimeout: '5m',
    tlsHandshakeTimeout: '30s',
    proxyHeaderTimeout: '5s',
  });
});

test('keeps the token to itself, and what it shows instead cannot become one', () => {
  const token = '0123456789abcdef';
  const shown = configShow(load(`${smallest}admin: { token: ${token} }\n`));
  expect(shown).not.toContain(token);
  expect(JSON.stringify(configPlain(load(`${smallest}admin: { token: ${token} }\n`)))).not.toContain(token);
  expect(() => loadConfig(writeConfig(shown), {})).toThrow('admin.token');
});

test.each([
  ['password: geheim-4711', {}],
  ['passwordFile: p.txt', { 'p.txt': 'geheim-4711\n' }],
])(
  'keeps the password of a route to itself (%s), and what it shows instead cannot become one',
  (key, files) => {
    const config = load(
      `${smallest}  out: { to: smtp://10.0.0.5, tls: required, auth: { user: joe, ${key} } }\n`,
      {},
      files,
    );
    const shown = configShow(config);
    expect(shown).toContain('user: joe');
    expect(shown).not.toContain('geheim');
    expect(JSON.stringify(configPlain(config))).not.toContain('geheim');
    expect(() => loadConfig(writeConfig(shown), {})).toThrow('routes.out.auth.password');
  },
);

test.each([
  ['auth.backend.http.url', 'backend: { http: { url: "https://a.test/check?key=geheim" } }'],
  [
    'auth.tokens.jwks.url',
    'mechanisms: [OAUTHBEARER], tokens: { jwks: { url: "https://a.test/keys?key=geheim", issuer: "https://a.test", audience: mail } }',
  ],
  [
    'auth.tokens.introspection.url',
    'mechanisms: [OAUTHBEARER], tokens: { introspection: { url: "https://a.test/i?key=geheim" } }',
  ],
])('keeps the query of %s to itself, and what it shows instead cannot become one', (key, auth) => {
  const config = load(`${smallest}auth: { ${auth} }\n`);
  const shown = configShow(config);
  expect(shown).toMatch(/url: '?https:\/\/a\.test\/\w+\?\(set, not shown\)/);
  expect(shown + JSON.stringify(configPlain(config))).not.toContain('geheim');
  expect(() => loadConfig(writeConfig(shown), {})).toThrow(key);
});
