/**
 * From where accounts were logged in to of late: such a pair goes on being served while others guess at the account, so
 * that nobody is locked out of his own mail from where he reads it. Each worker and the primary have one; in memory
 * alone. Keys are made of account keys (account-key.ts) and network keys, never of a name of any length or kind.
 */
import { LRUCache } from 'lru-cache';

/**
 * About 3 MiB at worst, in each process. A user from one network takes two: the pair, and the network, which others there
 * share. So 10 000 users each from a network of his own, or 16 000 who share 4 000 networks.
 */
const maxKeys = 20_000;
/** Who was away for longer begins as a stranger. */
const keptMs = 30 * 86_400_000;
/** A key that is as young as this is not told again: two workers hear of it once an hour. */
const retoldMs = 3_600_000;

/** Bounds what one period can bring to tell: beyond it a success is known here alone. */
const maxNews = 1_000;

export class KnownLogins {
  readonly #keys: LRUCache<string, true>;
  #news: string[] = [];

  constructor(bounds: { readonly max: number; readonly ttl: number } = { max: maxKeys, ttl: keptMs }) {
    this.#keys = new LRUCache(bounds);
  }

  /** @param host as `networkKeys` has it */
  add(account: string, host: string): void {
    const isNews = (key: string): boolean => this.#keys.getRemainingTTL(key) <= this.#keys.ttl - retoldMs;
    const news = [pairKey(account, host), host].filter(isNews);
    this.learn(news);
    if (this.#news.length < maxNews) this.#news.push(...news);
  }

  /** What others should hear of since the last call; undefined when there is nothing. */
  takeNews(): string[] | undefined {
    if (this.#news.length === 0) return undefined;
    const news = this.#news;
    this.#news = [];
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
