/**
 * How the hops of one priority share the mail: the next message is for the one that has been given least for its weight,
 * and none holds more than its share of the lanes. Owns counts only. hop-group asks whom; the pool says what came of it.
 */
import type { NetworkHop } from './hop-dialer.js';
import { HopState } from './hop-health.js';
import type { HopRecord } from './hop-records.js';

export interface GroupedHop extends HopRecord {
  readonly hop: NetworkHop;
}

/** The connections that there are, or may be. */
export interface Supply {
  /** One to this hop has no work. */
  readonly isKept: (hop: GroupedHop) => boolean;
  /** One more ends no other. */
  readonly hasRoom: boolean;
}

interface Share {
  /** Messages given, for each unit of weight. */
  at: number;
  /** Messages under way. */
  busy: number;
}

/** So many messages a hop may be behind its share before that is worth the end of another's connection. What it is behind
 *  beyond them is forgiven, so that it is not flooded later. */
const mostBehind = 10;

export class HopShares {
  readonly #lanes: number;
  readonly #shares: ReadonlyMap<GroupedHop, Share>;
  /** What the hop that is furthest had been given when it was last chosen. */
  #front = 0;
  /** Weight of those that are well. */
  #total = 0;

  /** @param hops of one priority @param lanes messages under way at most */
  constructor(hops: readonly GroupedHop[], lanes: number, random: () => number) {
    this.#lanes = lanes;
    // Not all workers begin with the same hop.
    this.#shares = new Map(hops.map((each) => [each, { at: random() / each.hop.weight, busy: 0 }]));
  }

  /** Before a choice: who is well, and what is forgiven. */
  survey(nowMs: number): void {
    this.#total = 0;
    for (const [{ hop, health }, share] of this.#shares) {
      // A hop that was ill has its share from now on.
      const forgiven = health.state === HopState.closed ? mostBehind / hop.weight : 0;
      share.at = Math.max(share.at, this.#front - forgiven);
      if (health.isCrowded || health.advice(nowMs) !== 'no') this.#total += hop.weight;
    }
  }

  /** Whom the next message is for, among those that have a connection or may be asked for one; undefined: nobody. */
  next(supply: Supply, nowMs: number): GroupedHop | undefined {
    let least: GroupedHop | undefined;
    let leastAt = Infinity;
    for (const [each, { at }] of this.#shares) {
      const wouldBeAt = this.isFull(each) ? Infinity : at + this.#fine(each, supply, nowMs);
      if (wouldBeAt >= leastAt) continue;
      least = each;
      leastAt = wouldBeAt;
    }
    return least;
  }

  /** @param open at least one of them */
  least(open: readonly GroupedHop[]): GroupedHop | undefined {
    return open.toSorted((a, b) => this.#of(a).at - this.#of(b).at)[0];
  }

  /** It has its share of the lanes: slow or stalled, it leaves the others theirs. */
  isFull(each: GroupedHop): boolean {
    return this.#of(each).busy >= Math.ceil((this.#lanes * each.hop.weight) / this.#total);
  }

  /** A message goes to it. */
  began(each: GroupedHop): void {
    const share = this.#of(each);
    this.#front = Math.max(this.#front, share.at);
    share.at += 1 / each.hop.weight;
    share.busy++;
  }

  ended(each: GroupedHop): void {
    this.#of(each).busy--;
  }

  /** It ended before the hop was reached. */
  failed(each: GroupedHop): void {
    this.#of(each).at -= 1 / each.hop.weight;
    this.#of(each).busy--;
  }

  /** What a connection to the hop costs, in the unit of what it has been given. */
  #fine(each: GroupedHop, { isKept, hasRoom }: Supply, nowMs: number): number {
    if (isKept(each)) return 0;
    if (each.health.advice(nowMs) !== 'yes') return Infinity;
    // How often an ill one is probed its rests bound.
    return hasRoom || each.health.state !== HopState.closed ? 0 : mostBehind / each.hop.weight;
  }

  #of(each: GroupedHop): Share {
    const share = this.#shares.get(each);
    if (share === undefined) throw new Error('not of this priority');
    return share;
  }
}
