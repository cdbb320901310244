/**
 * Tokens whose meaning only their issuer knows: each is asked about at its introspection endpoint (RFC 7662). A yes is
 * remembered for a while, never past its own end; a no is not, and who asks about the same token at the same time
 * shares one question.
 */
import { createHash } from 'node:crypto';

import { LRUCache } from 'lru-cache';

import { describeError } from '../../base/errors.js';
import { userOf, type Claims, type ClaimRules } from '../../policy/tokens/claims.js';
import type { TokenAnswer, TokenSource } from '../../policy/tokens/token-check.js';
import type { AskIssuer } from './issuer.js';

export interface IntrospectionSettings extends ClaimRules {
  readonly ask: AskIssuer;
  /** HTTP Basic towards the endpoint (RFC 7662 §2.1); undefined: none. */
  readonly client: { readonly id: string; readonly secret: string } | undefined;
  /** The answer must name these, where they are given. */
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  readonly clockSkewMs: number;
  /** A withdrawn token is believed at most this long; 0: each is asked about. */
  readonly cacheMs: number;
}

/** About 300 bytes each. */
const cacheEntries = 10_000;

interface Known {
  readonly answer: TokenAnswer;
  readonly untilMs: number;
}

export class IntrospectionSource implements TokenSource {
  readonly #settings: IntrospectionSettings;
  readonly #known = new LRUCache<string, Known>({ max: cacheEntries });
  /** Bounded by what the issuer's gate lets in. */
  readonly #asking = new Map<string, Promise<TokenAnswer>>();
  readonly #nowMs: () => number;

  /** @param nowMs wall clock, as `exp` is; a test's own */
  constructor(settings: IntrospectionSettings, nowMs: () => number = () => Date.now()) {
    this.#settings = settings;
    this.#nowMs = nowMs;
  }

  ask(token: string): Promise<TokenAnswer> {
    // Not the token itself: what is remembered must be worth nothing.
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#known.get(key);
    if (known !== undefined && this.#nowMs() < known.untilMs) return Promise.resolve(known.answer);
    const shared = this.#asking.get(key);
    if (shared !== undefined) return shared;
    const asked = this.#ask(token, key).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asked);
    return asked;
  }

  async #ask(token: string, key: string): Promise<TokenAnswer> {
    const { ask, client, cacheMs } = this.#settings;
    let claims: Claims;
    try {
      const text = await ask({
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...authorization(client) },
        body: new URLSearchParams({ token, token_type_hint: 'access_token' }).toString(),
      });
      claims = objectOf(text);
    } catch (error) {
      return { kind: 'unavailable', why: describeError(error) };
    }
    const nowMs = this.#nowMs();
    const answer = judge(claims, this.#settings, nowMs);
    const endMs = secondsOf(claims['exp']) * 1000;
    const untilMs = Math.min(nowMs + cacheMs, Number.isNaN(endMs) ? Infinity : endMs);
    if (answer.kind === 'valid' && untilMs > nowMs) this.#known.set(key, { answer, untilMs });
    return answer;
  }
}

/** RFC 7662 §2.2. Times and names are the server's to check, and checked again where it tells them. */
function judge(claims: Claims, settings: IntrospectionSettings, nowMs: number): TokenAnswer {
  const { issuer, audience, clockSkewMs } = settings;
  if (claims['active'] !== true) return { kind: 'invalid', why: 'it is not active' };
  if (secondsOf(claims['exp']) * 1000 + clockSkewMs <= nowMs) return { kind: 'invalid', why: 'it has ended' };
  if (secondsOf(claims['nbf']) * 1000 - clockSkewMs > nowMs)
    return { kind: 'invalid', why: 'it has not begun' };
  if (issuer !== undefined && claims['iss'] !== issuer)
    return { kind: 'invalid', why: 'it is another issuer’s' };
  if (audience !== undefined && ![claims['aud']].flat().includes(audience))
    return { kind: 'invalid', why: 'it is for another audience' };
  const found = userOf(claims, settings);
  return 'user' in found ? { kind: 'valid', ...found } : { kind: 'invalid', ...found };
}

/** NaN, which is neither before nor after anything, where there is none. */
function secondsOf(value: unknown): number {
  return typeof value === 'number' ? value : NaN;
}

/** RFC 6749 §2.3.1: both parts form-encoded before they are joined. */
function authorization(client: IntrospectionSettings['client']): Record<string, string> {
  if (client === undefined) return {};
  const pair = `${encodeURIComponent(client.id)}:${encodeURIComponent(client.secret)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

function objectOf(text: string): Claims {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TypeError('the answer is no JSON object');
  return { ...value };
}
