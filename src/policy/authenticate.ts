/**
 * Is this user who he says: the rules of a log-in. Hashes are computed in the pool; what was right a moment ago is
 * answered from a small cache, because mail clients log in again for every message. Nobody learns from the answer, its
 * time or its work whether a user exists: each path that has no cached success computes exactly one hash.
 */
import { PosternError } from '../base/errors.js';
import type { Mechanism } from '../protocol/types.js';
import { prepareString } from '../base/prepare-string.js';
import type { AuthResult, LoginOrigin, PasswordAuthenticator } from './login.js';
import { SuccessCache, type SuccessCacheOptions } from './success-cache.js';

export interface PasswordTask {
  /** Prepared (prepare-string). */
  readonly password: string;
  /** The stored scrypt hash of the user, or the dummy that costs the same when there is no such user. */
  readonly hash: string;
}

/** The users as they were when the file was read. */
export interface Users {
  readonly names: readonly string[];
  /** The scrypt hash of a user. @param name prepared */
  hashOf(name: string): string | undefined;
  /** Fits nobody and costs what the users' own hashes cost. */
  readonly dummyHash: string;
}

export interface AuthenticatorOptions {
  readonly users: Users;
  /** Computes one hash in the pool, `first` before those that are not. @throws PosternError POOL_FULL, POOL_TIMEOUT, POOL_TASK */
  readonly verify: (task: PasswordTask, first: boolean) => Promise<boolean>;
  readonly meters: { readonly authTotal: { of(mechanism: string, result: string): { value: number } } };
  readonly cache?: SuccessCacheOptions;
}

/** Two minutes cover a client that sends its outbox; a password that was changed and a
 *  worker replaced (users are read at start) ends all of them anyhow. */
const defaultCache: SuccessCacheOptions = { entries: 10_000, ttlMs: 120_000 };

const failed: AuthResult = { kind: 'failed' };
const unavailable: AuthResult = { kind: 'unavailable' };

export class Authenticator implements PasswordAuthenticator {
  readonly #options: AuthenticatorOptions;
  readonly #successes: SuccessCache;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.#successes = new SuccessCache(options.cache ?? defaultCache);
  }

  async check(
    mechanism: Mechanism,
    authorizationId: string,
    authenticationId: string,
    password: string,
    origin: LoginOrigin,
  ): Promise<AuthResult> {
    const result = await this.#check(authorizationId, authenticationId, password, origin.isKnown);
    this.#options.meters.authTotal.of(mechanism, result.kind).value++;
    return result;
  }

  async #check(
    authorizationId: string,
    authenticationId: string,
    password: string,
    first: boolean,
  ): Promise<AuthResult> {
    const { users } = this.#options;
    const name = prepareString(authenticationId);
    const prepared = prepareString(password);
    const actsForHimself = authorizationId === '' || prepareString(authorizationId) === name;
    const known = name === undefined || !actsForHimself ? undefined : users.hashOf(name);
    if (name === undefined || prepared === undefined || known === undefined)
      return this.#compute(users.dummyHash, prepared ?? '', first).then((right) =>
        right === undefined ? unavailable : failed,
      );
    // The stored hash ends an entry with the password it was made for.
    const digest = this.#successes.digest(name, prepared, known);
    if (this.#successes.get(digest) === name) return { kind: 'ok', user: name };
    const right = await this.#compute(known, prepared, first);
    if (right === undefined) return unavailable;
    if (!right) return failed;
    this.#successes.set(digest, name);
    return { kind: 'ok', user: name };
  }

  /** Undefined: the pool is full, late or lost the task. */
  async #compute(hash: string, password: string, first: boolean): Promise<boolean | undefined> {
    try {
      return await this.#options.verify({ password, hash }, first);
    } catch (error) {
      if (error instanceof PosternError && error.retryable) return undefined;
      throw error;
    }
  }
}
