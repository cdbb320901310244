/**
 * Log-ins that something outside decides: Dovecot, an HTTP service, a directory. The rules that hold for each of them
 * are here: what is never asked, what is remembered, what is counted. How one is asked is auth/'s, and so is that a
 * stranger costs as many questions as a user; how long the backend thinks about each, and whether that tells who exists
 * (A-104), is its own.
 */
import { PosternError } from '../base/errors.js';
import type { Mechanism } from '../protocol/types.js';
import { prepareString } from '../base/prepare-string.js';
import type {
  AskBackend,
  AuthResult,
  BackendAnswer,
  BackendLogin,
  LoginOrigin,
  PasswordAuthenticator,
} from './login.js';
import { SuccessCache, type SuccessCacheOptions } from './success-cache.js';

export interface BackendAuthenticatorOptions {
  readonly ask: AskBackend;
  /** A password that was changed is good for `ttlMs` more with the worker that remembers it. */
  readonly cache: SuccessCacheOptions;
  readonly meters: { readonly authTotal: { of(mechanism: string, result: string): { value: number } } };
  /** There was no answer: for a log line. */
  readonly unavailable: (error: PosternError, login: BackendLogin) => void;
}

export class BackendAuthenticator implements PasswordAuthenticator {
  readonly #options: BackendAuthenticatorOptions;
  readonly #successes: SuccessCache;

  constructor(options: BackendAuthenticatorOptions) {
    this.#options = options;
    this.#successes = new SuccessCache(options.cache);
  }

  async check(
    mechanism: Mechanism,
    authorizationId: string,
    user: string,
    password: string,
    origin: LoginOrigin,
  ): Promise<AuthResult> {
    const actsForHimself = authorizationId === '' || authorizationId === user;
    const result =
      actsForHimself && isAskable(user) && isAskable(password)
        ? await this.#ask({ mechanism, user, password, origin })
        : ({ kind: 'failed' } as const);
    this.#options.meters.authTotal.of(mechanism, result.kind).value++;
    return result;
  }

  async #ask(login: BackendLogin): Promise<AuthResult> {
    const digest = this.#successes.digest(login.user, login.password);
    const known = this.#successes.get(digest);
    if (known !== undefined) return { kind: 'ok', user: known };
    let answer: BackendAnswer;
    try {
      answer = await this.#options.ask(login);
      // The name goes into logs and routes.
      if (answer.kind === 'ok' && !isAskable(answer.user))
        throw new PosternError('AUTH_PROTOCOL', 'the backend knows the user by what is no name');
    } catch (error) {
      if (!(error instanceof PosternError && error.retryable)) throw error;
      this.#options.unavailable(error, login);
      return { kind: 'unavailable' };
    }
    if (answer.kind === 'ok') this.#successes.set(digest, answer.user);
    return answer;
  }
}

/**
 * No control character, nothing empty, nothing too long: what prepare-string refuses for the users file is no user's
 * elsewhere. An empty password would even be right: LDAP takes it for a bind as nobody (RFC 4513 §5.1.2).
 */
function isAskable(text: string): boolean {
  return prepareString(text) !== undefined;
}
