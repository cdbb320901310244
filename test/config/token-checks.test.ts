import { expect, test } from 'vitest';
import { configShow } from '../../src/config/show.js';
import { faultsOf, load, smallest, writeConfig } from './harness.js';
import { loadConfig } from '../../src/config/load.js';

const jwks = 'jwks: { url: "https://idp.test/keys", issuer: "https://idp.test", audience: mail }';
const introspection = 'introspection: { url: "http://127.0.0.1:8080/introspect" }';
const withAuth = (auth: string): string => `${smallest}auth: { mechanisms: [XOAUTH2], ${auth} }\n`;

test('tokens by a key set, with every default', () => {
  expect(load(withAuth(`tokens: { ${jwks} }`)).auth.tokens).toEqual({
    source: {
      kind: 'jwks',
      keys: { kind: 'url', url: 'https://idp.test/keys' },
      issuer: 'https://idp.test',
      audience: 'mail',
      algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'],
      userClaim: 'sub',
    },
    scope: undefined,
    clockSkewMs: 30_000,
    timeoutMs: 5_000,
  });
});

test('the secret towards the endpoint is the line of a file, and is not shown', () => {
  const client = 'introspection: { url: "https://idp.test/i", clientId: postern, clientSecretFile: secret }';
  const file = writeConfig(withAuth(`tokens: { ${client}, scope: mail, clockSkew: 0 }`), {
    secret: 'hush-hush\n',
  });
  const config = loadConfig(file, {});
  expect(config.auth.tokens?.source).toMatchObject({
    userClaim: 'username',
    cacheMs: 120_000,
    client: { id: 'postern', secret: 'hush-hush' },
  });
  const shown = configShow(config);
  expect(shown).not.toContain('hush');
  expect(loadConfig(writeConfig(shown), {})).toEqual(config);
});

test.each<[string, string, RegExp]>([
  [
    'a mechanism without tokens',
    withAuth('users: {}'),
    /auth\.mechanisms\[0\]: found XOAUTH2 without `auth\.tokens`/,
  ],
  [
    'tokens without a mechanism',
    `${smallest}auth: { mechanisms: [PLAIN], tokens: { ${jwks} } }\n`,
    /auth\.tokens: found tokens that no mechanism takes/,
  ],
  [
    'no source',
    withAuth('tokens: {}'),
    /auth\.tokens: found neither, expected one of jwks and introspection/,
  ],
  ['two sources', withAuth(`tokens: { ${jwks}, ${introspection} }`), /auth\.tokens: found both/],
  [
    'a key set without a place',
    withAuth('tokens: { jwks: { issuer: i, audience: a } }'),
    /auth\.tokens\.jwks: found neither, expected one of url and file/,
  ],
  [
    'tokens sent in plaintext',
    withAuth('tokens: { introspection: { url: "http://idp.test/i" } }'),
    /introspection\.url: found .*, expected an https:\/\/ URL/,
  ],
  [
    'a secret in the URL',
    withAuth('tokens: { introspection: { url: "https://me:hush@idp.test/i" } }'),
    /introspection\.url: found 'https:\/\/…@idp.test\/i', expected an https:\/\/ URL without a user name/,
  ],
  [
    'a shared secret as the signature (RFC 8725 §3.1)',
    withAuth(`tokens: { ${jwks.replace(' }', ', algorithms: [HS256] }')} }`),
    /algorithms\[0\]: found 'HS256', expected one of RS256/,
  ],
  [
    'a name without its secret',
    withAuth('tokens: { introspection: { url: "https://idp.test/i", clientId: postern } }'),
    /introspection: found one of clientId and clientSecretFile, expected both or neither/,
  ],
  [
    'a file that holds no key set',
    withAuth('tokens: { jwks: { file: postern.yaml, issuer: i, audience: a } }'),
    /jwks\.file: found something else, expected a JWK set/,
  ],
  [
    'EXTERNAL where nobody is asked for a certificate',
    `${smallest}auth: { mechanisms: [EXTERNAL] }\n`,
    /auth\.mechanisms\[0\]: found EXTERNAL without a submission listener that asks for client certificates/,
  ],
])('is refused: %s', (_, yaml, fault) => {
  const faults = faultsOf(yaml);
  expect(faults).toHaveLength(1);
  expect(faults[0]).toMatch(fault);
});
