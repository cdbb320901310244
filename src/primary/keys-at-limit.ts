/** Of one kind of tally, the keys whose total has reached its limit, and whether they changed since they were last told. */
import { keyScope, type KeyScope } from '../base/tallies.js';

export type ScopedLimits = Readonly<Record<KeyScope, number>>;

export class KeysAtLimit implements Iterable<string> {
  #limits: ScopedLimits;
  readonly #keys = new Set<string>();
  #changed = false;

  constructor(limits: ScopedLimits) {
    this.#limits = limits;
  }

  /** Whoever has the totals judges all of them again. */
  setLimits(limits: ScopedLimits): void {
    this.#limits = limits;
  }

  judge(key: string, total: number): void {
    const isAtLimit = total >= this.#limits[keyScope(key)];
    if (isAtLimit === this.#keys.has(key)) return;
    if (isAtLimit) this.#keys.add(key);
    else this.#keys.delete(key);
    this.#changed = true;
  }

  sorted(): string[] {
    return [...this.#keys].toSorted();
  }

  /** Whether it is another set than at the last call. */
  takeChanged(): boolean {
    const changed = this.#changed;
    this.#changed = false;
    return changed;
  }

  /** A key may be judged while this runs. */
  [Symbol.iterator](): Iterator<string> {
    return this.#keys.values();
  }
}
