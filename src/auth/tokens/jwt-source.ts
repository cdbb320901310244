/**
 * Tokens that are signed JWTs (RFC 7519, RFC 9068), checked against the keys of their issuer: a JWK set in a file or
 * behind a URL. Signatures and claims are the package jose's, which is loaded here alone, when it is first needed; the
 * bounds on fetching are ours.
 */
import { readFile } from 'node:fs/promises';

import type * as Jose from 'jose';

import { describeError, errorCodeOf, PosternError } from '../../base/errors.js';
import { userOf, type ClaimRules, type Claims } from '../../policy/tokens/claims.js';
import type { TokenAnswer, TokenSource } from '../../policy/tokens/token-check.js';
import type { AskIssuer } from './issuer.js';

export interface JwtSettings extends ClaimRules {
  readonly keys:
    | { readonly kind: 'url'; readonly url: string; readonly ask: AskIssuer }
    | { readonly kind: 'file'; readonly file: string };
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** How far the issuer's clock may be from ours. */
  readonly clockSkewMs: number;
}

// How long keys are good without asking again: a withdrawn key is believed at most this long. Also the longest that
// an outage of the issuer goes unnoticed; after that log-ins get 454.
const keysMaxAgeMs = 600_000;
// A token that names a key we do not have may mean that keys were changed, or that somebody made the name up: he makes
// us ask once in this time.
const refetchMs = 30_000;
// A key set that could not be had is not asked for again at once by the next client.
const failureMs = 5_000;

// More than one key can fit a token that names none: as many are tried. A set has two or three while keys are changed.
const maxCandidates = 16;

/** Of jose's errors those that are the source's; all others of them are the token's. */
const sourceErrors: ReadonlySet<string> = new Set([
  'ERR_JWKS_TIMEOUT',
  'ERR_JWKS_INVALID',
  'ERR_JWK_INVALID',
  'ERR_JOSE_GENERIC',
]);

/** @throws PosternError TOKEN_SETUP: jose is not installed, or the file has no key set */
export async function openJwtSource(settings: JwtSettings): Promise<TokenSource> {
  const jose = await loadJose();
  const { keys } = settings;
  const found = keys.kind === 'file' ? await localKeys(jose, keys.file) : remoteKeys(jose, keys);
  return new JwtSource(jose, found, settings);
}

class JwtSource implements TokenSource {
  readonly #jose: typeof Jose;
  readonly #keys: Jose.JWTVerifyGetKey;
  readonly #settings: JwtSettings;

  constructor(jose: typeof Jose, keys: Jose.JWTVerifyGetKey, settings: JwtSettings) {
    this.#jose = jose;
    this.#keys = keys;
    this.#settings = settings;
  }

  async ask(token: string): Promise<TokenAnswer> {
    try {
      const found = userOf(await this.#claims(token), this.#settings);
      return 'user' in found ? { kind: 'valid', ...found } : { kind: 'invalid', ...found };
    } catch (error) {
      // jose's messages name claims and algorithms, never the token.
      const why = describeError(error);
      const isToken =
        error instanceof this.#jose.errors.JOSEError && !sourceErrors.has(errorCodeOf(error) ?? '');
      // What is none of jose's errors comes of a key: too short for its algorithm, or none that the system knows.
      return { kind: isToken ? 'invalid' : 'unavailable', why };
    }
  }

  async #claims(token: string): Promise<Claims> {
    try {
      return await this.#verify(token, this.#keys);
    } catch (error) {
      if (error instanceof this.#jose.errors.JWKSMultipleMatchingKeys) return this.#tryEach(token, error);
      throw error;
    }
  }

  /** RFC 7515 §4.1.4 lets a token name no key: any that fits may have signed it. */
  async #tryEach(token: string, candidates: AsyncIterable<Jose.CryptoKey>): Promise<Claims> {
    const { JOSEError, JWSSignatureVerificationFailed } = this.#jose.errors;
    let fault: unknown = new JWSSignatureVerificationFailed('more keys fit than are tried');
    let tried = 0;
    for await (const key of candidates) {
      if (++tried > maxCandidates) break;
      try {
        return await this.#verify(token, key);
      } catch (error) {
        // A key that cannot be used says nothing of the others.
        const isOther = error instanceof JWSSignatureVerificationFailed || !(error instanceof JOSEError);
        if (!isOther) throw error;
        fault = error;
      }
    }
    throw fault;
  }

  async #verify(token: string, key: Jose.JWTVerifyGetKey | Jose.CryptoKey): Promise<Claims> {
    const { issuer, audience, algorithms, clockSkewMs, userClaim } = this.#settings;
    const options = {
      issuer,
      audience,
      algorithms: [...algorithms],
      clockTolerance: clockSkewMs / 1000,
      // Without an end it would be a password that nobody can change.
      requiredClaims: ['exp', userClaim],
    };
    const { payload } =
      typeof key === 'function'
        ? await this.#jose.jwtVerify(token, key, options)
        : await this.#jose.jwtVerify(token, key, options);
    return payload;
  }
}

/** An optional peer: who uses no tokens need not have it. */
async function loadJose(): Promise<typeof Jose> {
  try {
    return await import('jose');
  } catch (error) {
    throw new PosternError(
      'TOKEN_SETUP',
      'auth.tokens.jwks needs the package jose, which is not installed: `npm install jose` beside postern (with -g where postern is)',
      error,
    );
  }
}

async function localKeys(jose: typeof Jose, file: string): Promise<Jose.JWTVerifyGetKey> {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- jose looks at it and throws where it is none
    return jose.createLocalJWKSet(JSON.parse(await readFile(file, 'utf8')) as Jose.JSONWebKeySet);
  } catch (error) {
    throw new PosternError('TOKEN_SETUP', `${file} holds no JWK set: ${describeError(error)}`, error);
  }
}

function remoteKeys(
  jose: typeof Jose,
  { url, ask }: Extract<JwtSettings['keys'], { kind: 'url' }>,
): Jose.JWTVerifyGetKey {
  let failure: { readonly error: unknown; readonly untilMs: number } | undefined;
  return jose.createRemoteJWKSet(new URL(url), {
    cooldownDuration: refetchMs,
    cacheMaxAge: keysMaxAgeMs,
    [jose.customFetch]: async () => {
      if (failure !== undefined && performance.now() < failure.untilMs) throw failure.error;
      try {
        const text = await ask({ headers: {} });
        failure = undefined;
        return new Response(text, { headers: { 'content-type': 'application/json' } });
      } catch (error) {
        failure = { error, untilMs: performance.now() + failureMs };
        throw error;
      }
    },
  });
}
