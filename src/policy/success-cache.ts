/**
 * Log-ins that were right a moment ago: mail clients log in again for every message. Holds keyed digests, never a
 * password; bounded in number and time. Failures are not remembered: an attacker must pay for each guess.
 */
import { createHmac, randomBytes } from 'node:crypto';

import { LRUCache } from 'lru-cache';

export interface SuccessCacheOptions {
  /** About 200 bytes each. */
  readonly entries: number;
  /** 0: nothing is remembered. */
  readonly ttlMs: number;
}

export class SuccessCache {
  /** Digest → the user as he is known. Undefined: off. */
  readonly #users: LRUCache<string, string> | undefined;
  /** The process's own: what is held is worth nothing outside it. */
  readonly #key = randomBytes(32);

  constructor({ entries, ttlMs }: SuccessCacheOptions) {
    this.#users = ttlMs === 0 || entries === 0 ? undefined : new LRUCache({ max: entries, ttl: ttlMs });
  }

  /** Of all that must be the same again. The lengths keep `ab`+`c` and `a`+`bc` apart. */
  digest(...parts: readonly string[]): string {
    const hmac = createHmac('sha256', this.#key);
    for (const part of parts) hmac.update(`${part.length}:`).update(part);
    return hmac.digest('base64');
  }

  get(digest: string): string | undefined {
    return this.#users?.get(digest);
  }

  set(digest: string, user: string): void {
    this.#users?.set(digest, user);
  }
}
