/**
 * This worker's part of the tallies per client network: what is there, what happened since the last report, and the keys
 * that the primary found at their limit over all workers. No round trip per connection; what its own part alone shows
 * is refused at once.
 */
import {
  isStandingKind,
  keyScope,
  perKind,
  rateKinds,
  standingKinds,
  tallyKinds,
  type OverLimit,
  type RateKind,
  type StandingKind,
  type TallyKind,
  type TallyReport,
} from '../base/tallies.js';
import type { TallyLimits } from '../config/tally-limits.js';

const none: ReadonlySet<string> = new Set();

interface Standing {
  /** An entry lives as long as something counts on it. */
  readonly counts: Map<string, number>;
  readonly changed: Set<string>;
}

export class Tallies {
  readonly #limits: TallyLimits;
  readonly #standing: Readonly<Record<StandingKind, Standing>>;
  // Not reported yet: bounded by what one report period lets in.
  readonly #events: Readonly<Record<RateKind, Map<string, number>>>;
  readonly #over = new Map<TallyKind, ReadonlySet<string>>();

  constructor(limits: TallyLimits) {
    this.#limits = limits;
    this.#standing = perKind(standingKinds, () => ({ counts: new Map(), changed: new Set() }));
    this.#events = perKind(rateKinds, () => new Map());
  }

  /** Whether the primary found it at its limit. */
  isOverLimit(kind: TallyKind, key: string): boolean {
    return this.#over.get(kind)?.has(key) === true;
  }

  /** Whether one more would be too many. @param coming so many that are not counted yet */
  isFull(kind: TallyKind, key: string, coming = 0): boolean {
    if (this.isOverLimit(kind, key)) return true;
    return this.#own(kind, key) + coming >= this.#limits[kind][keyScope(key)];
  }

  /** So many more, or fewer, are there. */
  stand(kind: StandingKind, key: string, by: number): void {
    const { counts, changed } = this.#standing[kind];
    const count = (counts.get(key) ?? 0) + by;
    if (count > 0) counts.set(key, count);
    else counts.delete(key);
    changed.add(key);
  }

  /** So many more happened. Not counted where nothing limits it. */
  count(kind: RateKind, key: string, by = 1): void {
    if (this.#limits[kind][keyScope(key)] === Infinity) return;
    const events = this.#events[kind];
    events.set(key, (events.get(key) ?? 0) + by);
  }

  setOverLimit(over: OverLimit): void {
    for (const kind of tallyKinds) {
      const keys = over[kind];
      if (keys !== undefined) this.#over.set(kind, keys.length === 0 ? none : new Set(keys));
    }
  }

  /** What changed since the last call; undefined when nothing did. */
  takeReport(): TallyReport | undefined {
    const report: TallyReport = { standing: {}, events: {} };
    let any = false;
    for (const kind of standingKinds) {
      const { counts, changed } = this.#standing[kind];
      if (changed.size === 0) continue;
      report.standing[kind] = Object.fromEntries([...changed].map((key) => [key, counts.get(key) ?? 0]));
      changed.clear();
      any = true;
    }
    for (const kind of rateKinds) {
      const events = this.#events[kind];
      if (events.size === 0) continue;
      report.events[kind] = Object.fromEntries(events);
      events.clear();
      any = true;
    }
    return any ? report : undefined;
  }

  #own(kind: TallyKind, key: string): number {
    const counts = isStandingKind(kind) ? this.#standing[kind].counts : this.#events[kind];
    return counts.get(key) ?? 0;
  }
}
