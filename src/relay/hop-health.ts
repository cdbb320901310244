/**
 * The short memory of which hops of a route cannot be reached, so that one dead hop does not make every message wait
 * for its time-out. After a failure a hop is left alone for a while that doubles; then one caller may probe it while
 * the others go on without it. Clock in, decisions out: no I/O. Times are monotonic milliseconds.
 */

const firstRestMs = 1_000;
/** A hop that is back is noticed so soon at the latest. */
const longestRestMs = 60_000;
/** How long a hop that takes no further connection is not asked for one, unless one of ours ends before. */
const crowdedMs = 10_000;

interface Illness {
  readonly sinceMs: number;
  restMs: number;
  untilMs: number;
  probed: boolean;
  reason: string;
}

export class HopHealth {
  readonly #ill: (Illness | undefined)[];
  /** Hops that serve us and take no further connection: when one caller may ask again. */
  readonly #crowdedUntilMs = new Map<number, number>();
  readonly #probeMs: number;
  readonly #firstRestMs: number;
  readonly #maxRestMs: number;

  /**
   * @param probeMs how long a probe may take until another one may begin
   * @param maxWaitMs the route's longest wait between two attempts: no hop rests longer
   */
  constructor(hops: number, probeMs: number, maxWaitMs: number) {
    this.#ill = Array.from({ length: hops }, () => undefined);
    this.#probeMs = probeMs;
    this.#firstRestMs = Math.min(firstRestMs, maxWaitMs);
    this.#maxRestMs = Math.min(longestRestMs, maxWaitMs);
  }

  /** May this caller try hop `index` now? At the end of a hop's rest, one of several callers gets true. */
  mayTry(index: number, nowMs: number): boolean {
    const crowdedUntilMs = this.#crowdedUntilMs.get(index);
    if (crowdedUntilMs !== undefined) {
      if (nowMs < crowdedUntilMs) return false;
      this.#crowdedUntilMs.set(index, nowMs + crowdedMs);
    }
    const illness = this.#ill[index];
    if (illness === undefined) return true;
    if (nowMs < illness.untilMs) return false;
    illness.untilMs = nowMs + this.#probeMs;
    illness.probed = true;
    return true;
  }

  /** True when the hop was well before. */
  failed(index: number, nowMs: number, reason: string): boolean {
    this.#crowdedUntilMs.delete(index);
    const illness = this.#ill[index];
    if (illness === undefined) {
      const restMs = this.#firstRestMs;
      this.#ill[index] = { sinceMs: nowMs, restMs, untilMs: nowMs + restMs, probed: false, reason };
      return true;
    }
    // Connections begun before the first failure was known fail after it: they say nothing new.
    if (!illness.probed) return false;
    illness.probed = false;
    illness.restMs = Math.min(Math.max(illness.restMs * 2, this.#firstRestMs), this.#maxRestMs);
    illness.untilMs = nowMs + illness.restMs;
    illness.reason = reason;
    return false;
  }

  /** True when the hop was ill before. */
  worked(index: number): boolean {
    this.#crowdedUntilMs.delete(index);
    const wasIll = this.#ill[index] !== undefined;
    this.#ill[index] = undefined;
    return wasIll;
  }

  /** Ill hops may be probed now. They rest like newly ill ones if that fails: somebody is repairing them. */
  endRests(): void {
    for (const illness of this.#ill) {
      if (illness === undefined) continue;
      illness.restMs = 0;
      illness.untilMs = 0;
    }
  }

  /** The hop refused a connection while others to it are open: it is well, and has as many as it wants. True when
   *  that is news. */
  crowded(index: number, nowMs: number): boolean {
    const isNews = !this.#crowdedUntilMs.has(index);
    this.#crowdedUntilMs.set(index, nowMs + crowdedMs);
    return isNews;
  }

  /** A connection to the hop has ended: there may be room for another. */
  freed(index: number): void {
    if (this.#crowdedUntilMs.has(index)) this.#crowdedUntilMs.set(index, 0);
  }

  get anyCrowded(): boolean {
    return this.#crowdedUntilMs.size > 0;
  }

  /** Why the hop rests; '' when it does not. */
  reason(index: number): string {
    return this.#ill[index]?.reason ?? '';
  }

  /** No hop is known to work: one message is enough to find out. */
  get allIll(): boolean {
    return this.#ill.every((illness) => illness !== undefined);
  }

  /** How long hop `index` will be left alone; 0 when it is well, may be tried, or is being probed. */
  restMs(index: number, nowMs: number): number {
    const illness = this.#ill[index];
    return illness === undefined || illness.probed ? 0 : Math.max(illness.untilMs - nowMs, 0);
  }

  /** The hop that may be tried again first. */
  get nextUp(): number {
    let next = 0;
    for (const [index, illness] of this.#ill.entries())
      if (illness !== undefined && illness.untilMs < (this.#ill[next]?.untilMs ?? Infinity)) next = index;
    return next;
  }

  /** For how long no hop has been known to work. */
  outageMs(nowMs: number): number {
    return Math.max(Math.min(...this.#ill.map((illness) => nowMs - (illness?.sinceMs ?? nowMs))), 0);
  }

  /** How long the route's mail stays where it is: > 0 while every hop rests or is being probed. */
  pauseMs(nowMs: number): number {
    const untilMs = Math.min(...this.#ill.map((illness) => illness?.untilMs ?? 0));
    return Math.max(untilMs - nowMs, 0);
  }
}
