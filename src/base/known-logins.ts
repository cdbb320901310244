/**
 * From where accounts were logged in to of late: such a pair goes on being served while others guess at the account, so
 * that nobody is locked out of his own mail from where he reads it. Each worker and the primary have one; in memory
 * alone. Keys are made of digests and network keys, never of a name of any length or kind.
 */
import { createHash } from 'node:crypto';

import { LRUCache } from 'lru-cache';

/** About 3 MiB at worst, in each process: 10 000 users from two networks each. */
const maxKeys = 20_000;
/** Who was away for longer begins as a stranger. */
const keptMs = 30 * 86_400_000;
/** A key that is as young as this is not told again: two workers hear of it once an hour. */
const retoldMs = 3_600_000;

/** Of tallies (base/tallies.ts) and of known log-ins. The same for `Alice` and `alice`: some backends take both. */
export function accountKey(user: string): string {
  const digest = createHash('sha256').update(user.normalize('NFKC').toLowerCase()).digest('base64url');
  return `account:${digest.slice(0, 22)}`;
}

export class KnownLogins {
  readonly #keys: LRUCache<string, true>;

  constructor(bounds: { readonly max: number; readonly ttl: number } = { max: maxKeys, ttl: keptMs }) {
    this.#keys = new LRUCache(bounds);
  }

  /** @param host as `networkKeys` has it. @returns the keys that others should hear of */
  add(account: string, host: string): string[] {
    const isNews = (key: string): boolean => this.#keys.getRemainingTTL(key) <= this.#keys.ttl - retoldMs;
    const news = [pairKey(account, host), host].filter(isNews);
    this.learn(news);
    return news;
  }

  /** From another process. */
  learn(keys: readonly string[]): void {
    for (const key of keys) this.#keys.set(key, true);
  }

  knows(account: string, host: string): boolean {
    return this.#keys.has(pairKey(account, host));
  }

  /** Somebody was logged in from there. */
  knowsHost(host: string): boolean {
    return this.#keys.has(host);
  }

  /** All of them, the oldest first. */
  keys(): string[] {
    return [...this.#keys.rkeys()];
  }
}

function pairKey(account: string, host: string): string {
  return `${account} ${host}`;
}
