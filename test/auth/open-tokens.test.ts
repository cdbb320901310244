/** The issuer of tokens behind its gate: bounded, left alone while it does not answer, and told of. */
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { openTokens, type OpenedTokens } from '../../src/auth/open-tokens.js';
import type { TokensConfig } from '../../src/config/config.js';
import { createMeters } from '../../src/metrics/worker-meters.js';
import { json, startEndpoint, type HttpEndpoint } from '../support/http-endpoint.js';
import { lookup } from './host-names.js';

const meters = createMeters({});
let endpoint: HttpEndpoint;
let log: { event?: string; backend?: string; msg?: string }[];
let opened: OpenedTokens | undefined;

beforeEach(async () => {
  endpoint = await startEndpoint(json({ active: true, username: 'joe' }));
  log = [];
});

afterEach(async () => {
  opened?.close();
  await endpoint.close();
});

async function open(source: TokensConfig['source'], timeoutMs: number): Promise<OpenedTokens['source']> {
  const lines = { write: (line: string) => void log.push(JSON.parse(line)) };
  opened = await openTokens(
    { source, scope: undefined, clockSkewMs: 0, timeoutMs },
    { log: pino({}, lines), meters, lookup },
  );
  return opened.source;
}

function introspection(): TokensConfig['source'] {
  return {
    kind: 'introspection',
    url: endpoint.url,
    client: undefined,
    issuer: undefined,
    audience: undefined,
    userClaim: 'username',
    cacheMs: 0,
  };
}

it('a host name of this machine is found and asked, and the question is counted', async () => {
  endpoint = Object.assign(endpoint, { url: endpoint.url.replace('127.0.0.1', 'localhost') });
  const source = await open(introspection(), 5_000);
  const observed = vi.spyOn(meters.authBackendSeconds.of('tokens', 'ok'), 'observe');
  expect(await source.ask('t')).toEqual({ kind: 'valid', user: 'joe' });
  expect(observed).toHaveBeenCalledOnce();
});

it('twenty questions are asked at once, 500 wait, and the next gets its 454 at once', async () => {
  endpoint.answer = () => undefined;
  const source = await open(introspection(), 300);
  const asked = Array.from({ length: 521 }, (_, at) => source.ask(`t${at}`));
  expect(await asked[520]).toMatchObject({ kind: 'unavailable', why: expect.stringContaining('too many') });
  const answers = await Promise.all(asked);
  expect(answers.every(({ kind }) => kind === 'unavailable')).toBe(true);
  expect(endpoint.requests.length).toBeLessThanOrEqual(20);
});

it('an issuer that does not answer is left alone, the log says so, and again when it is back', async () => {
  endpoint.answer = () => undefined;
  const source = await open(introspection(), 50);
  for (let time = 0; time < 5; time++)
    expect(await source.ask(`t${time}`)).toMatchObject({ kind: 'unavailable' });
  expect(endpoint.requests).toHaveLength(3);
  expect(log).toContainEqual(expect.objectContaining({ event: 'auth.backend-down', backend: 'tokens' }));
  const down = log.find(({ event }) => event === 'auth.backend-down');
  expect(down?.msg).toContain('auth.tokens');
  expect(down?.msg).toContain('keys that were fetched serve for up to ten minutes');
  expect(meters.snapshot()).toBeDefined();
  expect(meters.authBackendDown.of('tokens').value).toBe(1);
});

it('a key set is fetched through the gate too', async () => {
  endpoint.answer = () => undefined;
  const algorithms = ['RS256'] as const;
  const keys = { kind: 'url', url: endpoint.url } as const;
  const source = await open(
    { kind: 'jwks', keys, issuer: 'i', audience: 'a', algorithms, userClaim: 'sub' },
    50,
  );
  const token = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.e30.AA`;
  expect(await source.ask(token)).toMatchObject({
    kind: 'unavailable',
    why: expect.stringContaining('no answer in time'),
  });
});
