import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import {
  IntrospectionSource,
  type IntrospectionSettings,
} from '../../../src/auth/tokens/introspection-source.js';
import { asking } from './issuers.js';
import { json, startEndpoint, type HttpEndpoint } from '../../support/http-endpoint.js';

const startMs = 1_700_000_000_000;
const seconds = startMs / 1000;
const active = { active: true, username: 'joe', exp: seconds + 60 };
const valid = { kind: 'valid', user: 'joe' };

let endpoint: HttpEndpoint;
let nowMs: number;

beforeEach(async () => {
  endpoint = await startEndpoint(json(active));
  nowMs = startMs;
});

afterEach(() => endpoint.close());

function open(more: Partial<IntrospectionSettings> = {}): IntrospectionSource {
  const settings: IntrospectionSettings = {
    ask: asking(endpoint.url),
    client: undefined,
    issuer: undefined,
    audience: undefined,
    userClaim: 'username',
    scope: undefined,
    clockSkewMs: 5_000,
    cacheMs: 120_000,
    ...more,
  };
  return new IntrospectionSource(settings, () => nowMs);
}

describe('introspection (RFC 7662)', () => {
  it('asks with a form and our name, and takes the user from the answer', async () => {
    const source = open({ client: { id: 'postern:1', secret: 'a b%' } });
    expect(await source.ask('t0+/=')).toEqual(valid);
    const [request] = endpoint.requests;
    expect(new URLSearchParams(request?.body).get('token')).toBe('t0+/=');
    const basic = request?.authorization?.replace('Basic ', '') ?? '';
    expect(Buffer.from(basic, 'base64').toString()).toBe('postern%3A1:a%20b%25');
  });

  it.each([
    ['not active', { ...active, active: false }],
    ['active by another word', { ...active, active: 'true' }],
    ['over', { ...active, exp: seconds - 5 }],
    ['not begun', { ...active, nbf: seconds + 6 }],
    ['without a user', { active: true }],
    ['another issuer’s', { ...active, iss: 'https://other.test', aud: 'mail' }],
    ['for another audience', { ...active, iss: 'https://idp.test', aud: ['web'] }],
  ])('refuses what is %s, each time anew', async (_, answer) => {
    endpoint.answer = json(answer);
    const named = 'iss' in answer ? { issuer: 'https://idp.test', audience: 'mail' } : {};
    const source = open(named);
    for (let i = 0; i < 2; i++) expect(await source.ask('t')).toMatchObject({ kind: 'invalid' });
    expect(endpoint.requests).toHaveLength(2);
  });

  it('bears a clock that differs a little', async () => {
    endpoint.answer = json({ ...active, exp: seconds - 4, nbf: seconds + 4 });
    expect(await open().ask('t')).toEqual(valid);
  });

  it('remembers a yes for a while, and never past its end', async () => {
    const source = open({ cacheMs: 30_000 });
    await source.ask('t');
    nowMs += 29_000;
    expect(await source.ask('t')).toEqual(valid);
    expect(endpoint.requests).toHaveLength(1);
    nowMs += 2_000;
    await source.ask('t');
    expect(endpoint.requests).toHaveLength(2);
    nowMs = startMs + 60_000;
    endpoint.answer = json({ active: false });
    expect(await source.ask('t')).toMatchObject({ kind: 'invalid' });
    expect(endpoint.requests).toHaveLength(3);
  });

  it('shares one question about a token among all who ask at once', async () => {
    const source = open({ cacheMs: 0 });
    const answers = await Promise.all([source.ask('t'), source.ask('t'), source.ask('u')]);
    expect(answers).toEqual([valid, valid, valid]);
    expect(endpoint.requests).toHaveLength(2);
  });

  it.each<[string, HttpEndpoint['answer'], RegExp]>([
    ['another status', (response) => response.writeHead(500).end('{"active":true}'), /answered with 500/],
    [
      'a redirect',
      (response) => response.writeHead(302, { location: endpoint.url }).end(),
      /answered with 302/,
    ],
    ['no JSON', (response) => response.end('<html>'), /JSON/],
    ['no object', (response) => response.end('[]'), /no JSON object/],
    ['an answer without end', (response) => response.end(Buffer.alloc(300_000, ' ')), /more than 256 KiB/],
    ['no answer', () => undefined, /aborted/],
    ['a lost connection', (response) => response.destroy(), /./],
  ])('is unavailable with %s, and does not say the token', async (_, answer, why) => {
    endpoint.answer = answer;
    const found = await open({ ask: asking(endpoint.url, 500) }).ask('secret-token');
    expect(found.kind).toBe('unavailable');
    expect(found.kind === 'unavailable' && found.why).toMatch(why);
    expect(JSON.stringify(found)).not.toContain('secret-token');
  });

  it('is unavailable where nobody listens', async () => {
    const { url } = endpoint;
    await endpoint.close();
    expect(await open({ ask: asking(url) }).ask('t')).toMatchObject({ kind: 'unavailable' });
    endpoint = await startEndpoint(json(active));
  });
});
