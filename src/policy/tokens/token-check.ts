/**
 * Log-in with a bearer token (RFC 6750): asks the source of truth, a key set or an introspection endpoint, whose token
 * it is, and lets nobody act for another. Tokens are never logged; why one was refused is, for the operator.
 */
import { prepareString } from '../../base/prepare-string.js';
import type { AuthResult } from '../login.js';

export type TokenAnswer =
  | { readonly kind: 'valid'; readonly user: string }
  /** `why` goes to the log; the client learns nothing of it. */
  | { readonly kind: 'invalid'; readonly why: string }
  /** The source cannot be asked. */
  | { readonly kind: 'unavailable'; readonly why: string };

export interface TokenSource {
  /** Rejects only on a fault of ours. */
  ask(token: string): Promise<TokenAnswer>;
}

export interface TokenCheckOptions {
  readonly source: TokenSource;
  readonly meters: { readonly authTotal: { of(mechanism: string, result: string): { value: number } } };
}

export type TokenResult =
  Extract<AuthResult, { kind: 'ok' }> | { readonly kind: 'failed' | 'unavailable'; readonly why: string };

export class TokenCheck {
  readonly #options: TokenCheckOptions;

  constructor(options: TokenCheckOptions) {
    this.#options = options;
  }

  /** @param authorizationId empty, or the user that the token names */
  async check(mechanism: string, authorizationId: string, token: string): Promise<TokenResult> {
    const result = toResult(await this.#options.source.ask(token), authorizationId);
    this.#options.meters.authTotal.of(mechanism, result.kind).value++;
    return result;
  }
}

function toResult(answer: TokenAnswer, authorizationId: string): TokenResult {
  switch (answer.kind) {
    case 'valid':
      return authorizationId === '' || prepareString(authorizationId) === answer.user
        ? { kind: 'ok', user: answer.user }
        : { kind: 'failed', why: 'the token is another user’s' };
    case 'invalid':
      return { kind: 'failed', why: answer.why };
    case 'unavailable':
      return answer;
  }
}
