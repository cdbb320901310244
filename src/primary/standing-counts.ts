/**
 * One kind of what is there now per client network (open connections), summed over the workers. Pure. Memory is bounded
 * by what is open: an entry goes with the last one that counts on it.
 */
import { KeysAtLimit, type ScopedLimits } from './keys-at-limit.js';

export class StandingCounts {
  readonly #byWorker = new Map<string, Map<string, number>>();
  readonly #totals = new Map<string, number>();
  readonly atLimit: KeysAtLimit;

  constructor(limits: ScopedLimits) {
    this.atLimit = new KeysAtLimit(limits);
  }

  /** @param counts by key, changes only; 0: gone */
  update(worker: string, counts: Readonly<Record<string, number>>): void {
    const own = this.#byWorker.get(worker) ?? new Map<string, number>();
    this.#byWorker.set(worker, own);
    for (const [key, count] of Object.entries(counts)) this.#set(own, key, count);
  }

  /** The worker is dead, and what it counted with it. */
  depart(worker: string): void {
    const own = this.#byWorker.get(worker);
    if (own === undefined) return;
    this.#byWorker.delete(worker);
    for (const key of own.keys()) this.#set(own, key, 0);
  }

  setLimits(limits: ScopedLimits): void {
    this.atLimit.setLimits(limits);
    for (const [key, total] of this.#totals) this.atLimit.judge(key, total);
  }

  /** Keys that something counts on. */
  get size(): number {
    return this.#totals.size;
  }

  #set(own: Map<string, number>, key: string, count: number): void {
    const total = (this.#totals.get(key) ?? 0) - (own.get(key) ?? 0) + count;
    if (count > 0) own.set(key, count);
    else own.delete(key);
    if (total > 0) this.#totals.set(key, total);
    else this.#totals.delete(key);
    this.atLimit.judge(key, total);
  }
}
