/**
 * The hops of one pool and which of them to ask next: lower priority first, by weight among equals, those that rest left
 * out. Owns no connection and no clock; the health of a hop is shared by all pools of the route that use it.
 */
import type { NetworkHop } from './hop-dialer.js';
import type { HopHealth } from './hop-health.js';
import type { HopRecord } from './hop-records.js';

export interface GroupedHop extends HopRecord {
  readonly hop: NetworkHop;
}

/** A hop to connect to; to wait for what others are finding out; none. */
export type HopChoice = GroupedHop | 'wait' | undefined;

export class HopGroup {
  readonly #hops: readonly GroupedHop[];
  /** By priority, best first. */
  readonly #tiers: readonly (readonly GroupedHop[])[];
  readonly #random: () => number;

  /** @param hops at least one */
  constructor(hops: readonly GroupedHop[], random: () => number) {
    this.#hops = hops.toSorted((a, b) => a.hop.priority - b.hop.priority);
    this.#random = random;
    const tiers = new Map<number, GroupedHop[]>();
    for (const each of this.#hops) {
      const tier = tiers.get(each.hop.priority);
      if (tier === undefined) tiers.set(each.hop.priority, [each]);
      else tier.push(each);
    }
    this.#tiers = [...tiers.values()];
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

  /** @param tried in this round, and in vain */
  choose(tried: ReadonlySet<GroupedHop>, nowMs: number): HopChoice {
    for (const tier of this.#tiers) {
      const open: GroupedHop[] = [];
      let soon = false;
      for (const each of tier) {
        if (tried.has(each)) continue;
        const advice = each.health.advice(nowMs);
        if (advice === 'yes') open.push(each);
        else if (advice === 'wait') soon = true;
      }
      if (open.length > 0) return this.#byWeight(open);
      // A backup is for when the preferred hop fails, not for while it is being greeted.
      if (soon) return 'wait';
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
