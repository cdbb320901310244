/**
 * The hops of one pool and which of them to ask next: lower priority first, by weight among equals, those that rest left
 * out. Owns no connection and no clock; the health of a hop is shared by all pools of the route that use it.
 */
import type { HopHealth } from './hop-health.js';
import { HopShares, type GroupedHop, type Supply } from './hop-shares.js';

/** A hop to connect to; to wait for what others are finding out; none. */
export type HopChoice = GroupedHop | 'wait' | undefined;

interface Tier {
  readonly hops: readonly GroupedHop[];
  /** None: there is nothing to share, or each new connection is. */
  readonly shares: HopShares | undefined;
}

export class HopGroup {
  readonly #hops: readonly GroupedHop[];
  /** By priority, best first. */
  readonly #tiers: readonly Tier[];
  readonly #isShared: boolean;
  readonly #random: () => number;

  /** @param hops at least one
   *  @param lanes among which equal hops share each message. With 1 only each new connection is shared: the lane would
   *  have to end one and open another whenever it changes hops. */
  constructor(hops: readonly GroupedHop[], random: () => number, lanes = 1) {
    this.#hops = hops.toSorted((a, b) => a.hop.priority - b.hop.priority);
    this.#random = random;
    const tiers = new Map<number, GroupedHop[]>();
    for (const each of this.#hops) {
      const tier = tiers.get(each.hop.priority);
      if (tier === undefined) tiers.set(each.hop.priority, [each]);
      else tier.push(each);
    }
    this.#tiers = [...tiers.values()].map((tier) => ({
      hops: tier,
      shares: lanes > 1 && tier.length > 1 ? new HopShares(tier, lanes, random) : undefined,
    }));
    this.#isShared = this.#tiers.some(({ shares }) => shares !== undefined);
  }

  /** What is preferred, well or not: for the log. */
  get first(): GroupedHop {
    const [first] = this.#hops;
    if (first === undefined) throw new Error('a group has hops');
    return first;
  }

  get anyCrowded(): boolean {
    return this.#hops.some(({ health }) => health.isCrowded);
  }

  /** Some hop is known to work. */
  isSure(nowMs: number): boolean {
    return this.#hops.some(({ health }) => health.isSure(nowMs));
  }

  /** Some hop may be tried now. */
  isOpen(nowMs: number): boolean {
    return this.#hops.some(({ health }) => health.advice(nowMs) === 'yes');
  }

  /** Every hop has failed. */
  get allIll(): boolean {
    return this.#hops.every(({ health }) => health.state !== 'closed');
  }

  /** Whom the next message is for: by a kept connection, or a new one. undefined: whoever has one is as good. */
  next(supply: Supply, nowMs: number): GroupedHop | undefined {
    if (!this.#isShared) return undefined;
    for (const { hops, shares } of this.#tiers) {
      shares?.survey(nowMs);
      const next = shares === undefined ? hops.find(supply.isKept) : shares.next(supply, nowMs);
      if (next !== undefined) return next;
      if (hops.some(({ health }) => health.advice(nowMs) !== 'no')) return undefined;
    }
    return undefined;
  }

  /** A message goes to this hop. */
  began(each: GroupedHop): void {
    this.#sharesOf(each)?.began(each);
  }

  /** It is done; or, `reached` false, it never got there. */
  ended(each: GroupedHop, reached: boolean): void {
    if (reached) this.#sharesOf(each)?.ended(each);
    else this.#sharesOf(each)?.failed(each);
  }

  /** @param tried in this round, and in vain */
  choose(tried: ReadonlySet<GroupedHop>, nowMs: number): HopChoice {
    for (const tier of this.#tiers) {
      const { hops, shares } = tier;
      shares?.survey(nowMs);
      const open: GroupedHop[] = [];
      const full: GroupedHop[] = [];
      let soon = false;
      for (const each of hops) {
        if (tried.has(each)) continue;
        const advice = each.health.advice(nowMs);
        if (advice === 'yes') (shares?.isFull(each) === true ? full : open).push(each);
        else if (advice === 'wait') soon = true;
      }
      if (open.length > 0) return shares === undefined ? this.#byWeight(open) : shares.least(open);
      // A backup is for when the preferred hop fails, not for while it is being greeted.
      if (soon) return 'wait';
      if (full.length > 0) return shares?.least(full);
    }
    return undefined;
  }

  /** How long the mail stays where it is: > 0 while no hop would take a new connection.
   *  @param alone there is none whose turn could be waited for */
  pauseMs(nowMs: number, alone: boolean): number {
    return this.#least((health) => health.pauseMs(nowMs, alone));
  }

  /** For how long no hop has been known to work. */
  outageMs(nowMs: number): number {
    return this.#least((health) => health.outageMs(nowMs));
  }

  endRests(): void {
    for (const { health } of this.#hops) health.endRest();
  }

  /** The hop that may be tried again first. */
  nextUp(nowMs: number): GroupedHop {
    let next = this.first;
    for (const each of this.#hops)
      if (each.health.pauseMs(nowMs, false) < next.health.pauseMs(nowMs, false)) next = each;
    return next;
  }

  #sharesOf(each: GroupedHop): HopShares | undefined {
    if (!this.#isShared) return undefined;
    return this.#tiers.find(({ hops }) => hops.includes(each))?.shares;
  }

  #least(measure: (health: HopHealth) => number): number {
    let least = Infinity;
    for (const { health } of this.#hops) least = Math.min(least, measure(health));
    return least;
  }

  #byWeight(open: readonly GroupedHop[]): GroupedHop | undefined {
    const total = open.reduce((sum, { hop }) => sum + hop.weight, 0);
    let dice = this.#random() * total;
    for (const each of open) {
      dice -= each.hop.weight;
      if (dice < 0) return each;
    }
    return open.at(-1);
  }
}
