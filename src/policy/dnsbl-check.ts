/**
 * Asks the DNSBLs about clients, once: a cache per worker stands before the pool, and those who ask for the same
 * client at the same time share one question. Never rejects a promise because DNS or the pool is in trouble: such lists
 * count nothing, and dnsbl_lookups_total says so. Owned by the worker; asked at connect.
 */
import { LRUCache } from 'lru-cache';

import { PosternError } from '../base/errors.js';
import {
  DnsblJudge,
  type DnsblAnswer,
  type DnsblScores,
  type DnsblTask,
  type DnsblVerdict,
  type ListResult,
} from './dnsbl.js';
import { ListBreaker } from './list-breaker.js';

export type { DnsblVerdict } from './dnsbl.js';

/** The checked DnsblConfig fits. */
export interface DnsblSettings extends DnsblScores {
  readonly timeoutMs: number;
  readonly cacheEntries: number;
  readonly minTtlMs: number;
  readonly maxTtlMs: number;
  readonly negativeTtlMs: number;
}

export interface DnsblCheckOptions {
  readonly config: DnsblSettings;
  /** `address` or `address:port`; empty: the system's. */
  readonly servers: readonly string[];
  /** One pool task. @throws PosternError POOL_FULL, POOL_TIMEOUT, POOL_TASK */
  readonly ask: (task: DnsblTask) => Promise<DnsblAnswer[]>;
  readonly meters: { readonly dnsblLookupsTotal: { of(list: string, result: string): { value: number } } };
  /** Monotonic; a test's own clock. */
  readonly nowMs?: () => number;
}

/** A list that failed is asked again this much later: long enough that a dead one does not cost each connection of a
 *  busy client the whole time-out, short enough that nobody notices when it is back. */
const failureTtlMs = 10_000;

/** What is known of one client, a column per list. */
interface Known {
  readonly results: readonly ListResult[];
  readonly untilMs: readonly number[];
}

interface Fresh {
  readonly result: ListResult;
  readonly ttlMs: number;
}

export class DnsblCheck {
  readonly #options: DnsblCheckOptions;
  readonly #judge: DnsblJudge;
  /** Undefined for `cacheEntries: 0`. */
  readonly #cache: LRUCache<string, Known> | undefined;
  readonly #breaker: ListBreaker;
  readonly #underWay = new Map<string, Promise<DnsblVerdict>>();
  readonly #nowMs: () => number;

  constructor(options: DnsblCheckOptions) {
    this.#options = options;
    this.#judge = new DnsblJudge(options.config);
    this.#breaker = new ListBreaker(this.#judge.zones.length);
    const max = options.config.cacheEntries;
    this.#cache = max === 0 ? undefined : new LRUCache({ max });
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** The verdict when the cache has all of it. @param address normalized */
  peek(address: string): DnsblVerdict | undefined {
    const known = this.#cache?.get(address);
    if (known === undefined) return undefined;
    const nowMs = this.#nowMs();
    if (known.untilMs.some((untilMs) => untilMs <= nowMs)) return undefined;
    for (const zone of this.#judge.zones) this.#count(zone, 'cached');
    return this.#judge.judge(known.results);
  }

  /** From the cache, from a question under way, or from the pool. @param address normalized */
  check(address: string): Promise<DnsblVerdict> {
    const cached = this.peek(address);
    if (cached !== undefined) return Promise.resolve(cached);
    const underWay = this.#underWay.get(address);
    if (underWay !== undefined) return underWay;
    const asked = this.#ask(address).finally(() => this.#underWay.delete(address));
    this.#underWay.set(address, asked);
    return asked;
  }

  /** Only the lists whose answer has run out. */
  async #ask(address: string): Promise<DnsblVerdict> {
    const known = this.#cache?.get(address);
    const nowMs = this.#nowMs();
    const stale = this.#judge.zones.map((_, i) => i).filter((i) => (known?.untilMs[i] ?? 0) <= nowMs);
    const fresh = await this.#askLists(address, stale);
    const results = this.#judge.zones.map((_, i) => fresh.get(i)?.result ?? known?.results[i] ?? 'error');
    const arrivedMs = this.#nowMs();
    const untilMs = this.#judge.zones.map((_, i) => {
      const ttlMs = fresh.get(i)?.ttlMs;
      return ttlMs === undefined ? (known?.untilMs[i] ?? 0) : arrivedMs + ttlMs;
    });
    this.#cache?.set(address, { results, untilMs });
    this.#judge.zones.forEach((zone, i) => this.#count(zone, fresh.get(i)?.result ?? 'cached'));
    return this.#judge.judge(results);
  }

  async #askLists(address: string, lists: readonly number[]): Promise<Map<number, Fresh>> {
    const answers = new Map<number, Fresh>();
    const nowMs = this.#nowMs();
    for (const list of lists) {
      const result = this.#breaker.leftOut(list, nowMs);
      if (result !== undefined) answers.set(list, { result, ttlMs: 0 });
    }
    const asked = lists.filter((list) => !answers.has(list));
    if (asked.length > 0) await this.#askPool(address, asked, answers);
    return answers;
  }

  async #askPool(address: string, lists: readonly number[], into: Map<number, Fresh>): Promise<void> {
    const { servers, config } = this.#options;
    const zones = lists.map((list) => this.#judge.zones[list] ?? '');
    try {
      const answers = await this.#options.ask({ address, zones, servers, timeoutMs: config.timeoutMs });
      lists.forEach((list, i) => into.set(list, this.#fresh(list, answers[i] ?? { kind: 'timeout' })));
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      // The pool's trouble, not the lists': asked again by the next connection.
      const result = error.code === 'POOL_TIMEOUT' ? 'timeout' : 'error';
      for (const list of lists) into.set(list, { result, ttlMs: 0 });
    }
  }

  #fresh(list: number, answer: DnsblAnswer): Fresh {
    const result = this.#judge.resultOf(list, answer);
    this.#breaker.record(list, result, this.#nowMs());
    const { minTtlMs, maxTtlMs, negativeTtlMs } = this.#options.config;
    if (result === 'timeout' || result === 'error') return { result, ttlMs: failureTtlMs };
    // node:dns tells no TTL of "no such name".
    if (answer.kind !== 'answer') return { result, ttlMs: negativeTtlMs };
    return { result, ttlMs: Math.min(maxTtlMs, Math.max(minTtlMs, answer.ttlSeconds * 1000)) };
  }

  #count(zone: string, result: ListResult | 'cached'): void {
    this.#options.meters.dnsblLookupsTotal.of(zone, result).value++;
  }
}
