import { generateKeyPairSync, sign, type KeyPairKeyObjectResult } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type CryptoKey } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { openJwtSource, type JwtSettings } from '../../../src/auth/tokens/jwt-source.js';
import { TokenCheck, type TokenSource } from '../../../src/policy/tokens/token-check.js';
import { asking } from './issuers.js';
import { json, startEndpoint, type HttpEndpoint } from '../../support/http-endpoint.js';

const issuer = 'https://idp.test';
const audience = 'mail.test';

let directory: string;
let keySet: { keys: object[] };
let keys: Record<'rsa' | 'ec', { privateKey: CryptoKey; publicKey: CryptoKey }>;
let source: TokenSource;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postern-jwks-'));
  keys = { rsa: await generateKeyPair('RS256'), ec: await generateKeyPair('ES256') };
  keySet = {
    keys: [
      { ...(await exportJWK(keys.rsa.publicKey)), kid: 'rsa', alg: 'RS256' },
      { ...(await exportJWK(keys.ec.publicKey)), kid: 'ec', alg: 'ES256' },
    ],
  };
  source = await openJwtSource(settings());
});

afterAll(() => rmSync(directory, { recursive: true }));

function settings(more: Partial<JwtSettings> = {}): JwtSettings {
  const file = join(directory, 'keys.json');
  writeFileSync(file, JSON.stringify(keySet));
  return {
    keys: { kind: 'file', file },
    issuer,
    audience,
    algorithms: ['RS256', 'ES256'],
    userClaim: 'sub',
    scope: undefined,
    clockSkewMs: 30_000,
    ...more,
  };
}

interface TokenParts {
  readonly kid?: string;
  readonly alg?: string;
  readonly key?: CryptoKey | Uint8Array;
  readonly claims?: Record<string, unknown>;
}

/** Right, but for what is given. */
function token({ kid = 'rsa', alg = 'RS256', key = keys.rsa.privateKey, claims = {} }: TokenParts = {}) {
  const now = Math.floor(Date.now() / 1000);
  const all = { iss: issuer, aud: audience, sub: 'joe', iat: now, exp: now + 300, ...claims };
  return new SignJWT(Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)))
    .setProtectedHeader({ alg, kid })
    .sign(key);
}

const joe = { kind: 'valid', user: 'joe' };
const seconds = (from: number): number => Math.floor(Date.now() / 1000) + from;

describe('a JWT', () => {
  it('is taken with a signature and claims that are right', async () => {
    expect(await source.ask(await token())).toEqual(joe);
    expect(await source.ask(await token({ kid: 'ec', alg: 'ES256', key: keys.ec.privateKey }))).toEqual(joe);
    expect(await source.ask(await token({ claims: { aud: ['web', audience] } }))).toEqual(joe);
    expect(await source.ask(await token({ claims: { exp: seconds(-20), nbf: seconds(20) } }))).toEqual(joe);
  });

  it.each<[string, () => Promise<string> | string]>([
    ['over', () => token({ claims: { exp: seconds(-31) } })],
    ['not begun', () => token({ claims: { nbf: seconds(40) } })],
    ['without an end', () => token({ claims: { exp: undefined } })],
    ['another issuer’s', () => token({ claims: { iss: 'https://other.test' } })],
    ['for another audience', () => token({ claims: { aud: 'web' } })],
    ['without a user', () => token({ claims: { sub: undefined } })],
    ['signed by a key of nobody', () => token({ kid: 'other' })],
    ['signed by another key', async () => token({ key: (await generateKeyPair('RS256')).privateKey })],
    [
      'signed with what everybody knows: the public key as a shared secret (RFC 8725 §2.1)',
      async () =>
        token({ alg: 'HS256', key: Buffer.from(JSON.stringify(await exportJWK(keys.rsa.publicKey))) }),
    ],
    [
      'signed by an algorithm that is not allowed',
      async () => token({ alg: 'RS512', key: (await generateKeyPair('RS512')).privateKey }),
    ],
    [
      'not signed at all',
      () =>
        new UnsecuredJWT({ sub: 'joe' })
          .setIssuer(issuer)
          .setAudience(audience)
          .setExpirationTime('5m')
          .encode(),
    ],
    ['cut short', async () => (await token()).slice(0, -5)],
    [
      'changed',
      async () =>
        (await token()).replace(/\.[^.]+\./, `.${Buffer.from('{"sub":"eve"}').toString('base64url')}.`),
    ],
    ['no JWT', () => 'abc'],
    ['dots', () => '..'],
    ['long and empty', () => 'a'.repeat(9_000)],
  ])('is refused when it is %s', async (_, make) => {
    const made = await make();
    const answer = await source.ask(made);
    expect(answer.kind).toBe('invalid');
    expect(JSON.stringify(answer)).not.toContain(made);
  });

  it('lets nobody act for another', async () => {
    const check = new TokenCheck({ source, meters: { authTotal: { of: () => ({ value: 0 }) } } });
    expect(await check.check('XOAUTH2', 'joe', await token())).toEqual({ kind: 'ok', user: 'joe' });
    expect(await check.check('OAUTHBEARER', '', await token())).toEqual({ kind: 'ok', user: 'joe' });
    expect(await check.check('XOAUTH2', 'eve', await token())).toMatchObject({ kind: 'failed' });
  });

  it('with a scope that is wanted and missing is refused', async () => {
    const scoped = await openJwtSource(settings({ scope: 'mail.send' }));
    expect(await scoped.ask(await token())).toMatchObject({ kind: 'invalid' });
    expect(await scoped.ask(await token({ claims: { scope: 'mail.send' } }))).toEqual(joe);
  });
});

interface Nameless {
  readonly keys: JwtSettings['keys'];
  readonly pairs: readonly KeyPairKeyObjectResult[];
}

/** A key set without names of keys, and who signs with each. */
function nameless(...pairs: readonly KeyPairKeyObjectResult[]): Nameless {
  const file = join(directory, 'nameless.json');
  const keys = pairs.map(({ publicKey }) => publicKey.export({ format: 'jwk' }));
  writeFileSync(file, JSON.stringify({ keys }));
  return { keys: { kind: 'file', file }, pairs };
}

function ecPair(): KeyPairKeyObjectResult {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** By hand: jose signs with no short key. */
function signedBy(pair: KeyPairKeyObjectResult | undefined, claims: object = {}): string {
  if (pair === undefined) throw new Error('no such key');
  const { privateKey } = pair;
  const alg = privateKey.asymmetricKeyType === 'ec' ? 'ES256' : 'RS256';
  const all = { iss: issuer, aud: audience, sub: 'joe', exp: seconds(300), ...claims };
  const text = `${encoded({ alg })}.${encoded(all)}`;
  const signature = sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}

describe('a key set whose keys have no names', () => {
  it('lets any of the keys that fit have signed (RFC 7515 §4.1.4)', async () => {
    const set = nameless(ecPair(), ecPair());
    const found = await openJwtSource(settings({ keys: set.keys }));
    for (const pair of set.pairs) expect(await found.ask(signedBy(pair))).toEqual(joe);
    expect(await found.ask(signedBy(ecPair()))).toMatchObject({ kind: 'invalid' });
    expect(await found.ask(signedBy(set.pairs[1], { exp: seconds(-60) }))).toMatchObject({ kind: 'invalid' });
  });

  it('has at most sixteen of them tried for one token', async () => {
    const set = nameless(...Array.from({ length: 17 }, ecPair));
    const found = await openJwtSource(settings({ keys: set.keys }));
    expect(await found.ask(signedBy(set.pairs[15]))).toEqual(joe);
    expect(await found.ask(signedBy(set.pairs[16]))).toMatchObject({ kind: 'invalid' });
  });
});

describe('a key that is too short for its algorithm', () => {
  const short = generateKeyPairSync('rsa', { modulusLength: 1024 });

  it('is the issuer’s fault: no token with it ends the worker', async () => {
    const found = await openJwtSource(settings({ keys: nameless(short).keys }));
    expect(await found.ask(signedBy(short))).toMatchObject({
      kind: 'unavailable',
      why: expect.stringContaining('2048'),
    });
  });

  it('is passed over where another fits', async () => {
    const good = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const found = await openJwtSource(settings({ keys: nameless(short, good).keys }));
    expect(await found.ask(signedBy(good))).toEqual(joe);
  });
});

async function withEndpoint(
  work: (endpoint: HttpEndpoint, source: TokenSource) => Promise<void>,
): Promise<void> {
  const endpoint = await startEndpoint(json(keySet));
  try {
    const { url } = endpoint;
    await work(
      endpoint,
      await openJwtSource(settings({ keys: { kind: 'url', url, ask: asking(url, 500) } })),
    );
  } finally {
    await endpoint.close();
  }
}

describe('keys behind a URL', () => {
  it('are fetched once for many tokens, and not at start', async () => {
    await withEndpoint(async (endpoint, remote) => {
      expect(endpoint.requests).toHaveLength(0);
      const answers = await Promise.all([remote.ask(await token()), remote.ask(await token())]);
      expect(answers).toEqual([joe, joe]);
      expect(endpoint.requests).toHaveLength(1);
    });
  });

  it('are not fetched again for each key that a client makes up', async () => {
    await withEndpoint(async (endpoint, remote) => {
      await remote.ask(await token());
      for (let i = 0; i < 5; i++)
        expect(await remote.ask(await token({ kid: `made-up-${i}` }))).toMatchObject({ kind: 'invalid' });
      expect(endpoint.requests).toHaveLength(1);
    });
  });

  it('that cannot be had are not asked for again by the next client, and nobody is told that his token is wrong', async () => {
    await withEndpoint(async (endpoint, remote) => {
      endpoint.answer = (response) => response.writeHead(503).end();
      for (let i = 0; i < 3; i++)
        expect(await remote.ask(await token())).toMatchObject({ kind: 'unavailable' });
      expect(endpoint.requests).toHaveLength(1);
    });
  });

  it.each<[string, HttpEndpoint['answer']]>([
    ['no JSON', (response) => response.end('<html>')],
    ['no key set', (response) => response.end('{}')],
    ['an answer without end', (response) => response.end(Buffer.alloc(300_000, ' '))],
    ['no answer', () => undefined],
  ])('are unavailable with %s', async (_, answer) => {
    await withEndpoint(async (endpoint, remote) => {
      endpoint.answer = answer;
      expect(await remote.ask(await token())).toMatchObject({ kind: 'unavailable' });
    });
  });
});

it('a file without a key set is told at start', async () => {
  const file = join(directory, 'none.json');
  writeFileSync(file, '{}');
  await expect(openJwtSource(settings({ keys: { kind: 'file', file } }))).rejects.toMatchObject({
    code: 'TOKEN_SETUP',
  });
});
