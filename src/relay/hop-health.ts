/**
 * The circuit breaker of one hop, so that a dead one does not make every message wait for its time-out. Closed: it
 * works as far as we know, and connections to it are begun no faster than they succeed. Open: it failed and is left
 * alone for a rest that doubles. Half-open: one caller probes it while the others go on without it. Clock in, decisions
 * out: no I/O. Times are monotonic milliseconds.
 */

const firstRestMs = 1_000;
/** How long a hop that takes no further connection is not asked for one, unless one of ours ends before. */
const crowdedMs = 10_000;
/** So long others wait for the outcome of an attempt that is under way; then they look for another hop. A hop that is
 *  known to greet late gets twice its time, within a bound: some wait for clients that cannot (5 s and more). */
export const patienceMs = 1_000;
const longestPatienceMs = 30_000;
/** After so long without a new connection the next one is a first one again: a hop may have died meanwhile. */
const forgetMs = 30_000;

export const HopState = { closed: 'closed', open: 'open', halfOpen: 'half-open' } as const;
export type HopState = (typeof HopState)[keyof typeof HopState];

/** 'wait': the outcome of attempts under way will soon tell. */
export type HopAdvice = 'yes' | 'wait' | 'no';

/** An attempt to connect that has not ended. */
export interface HopAttempt {
  readonly sinceMs: number;
  readonly probe: boolean;
}

export interface HopHealthOptions {
  /** How long a probe may take until another one may begin. */
  readonly probeMs: number;
  /** A hop that is back is noticed so soon at the latest; the route's longest wait between two attempts at most. */
  readonly longestRestMs: number;
  /** Connections that may be in the making at once, when all goes well. */
  readonly maxAttempts: number;
}

export class HopHealth {
  readonly #options: HopHealthOptions;
  #state: HopState = HopState.closed;
  #reason = '';
  /** The last attempt that ended was a success. */
  #proven = false;
  /** In the making, oldest first. */
  readonly #attempts = new Set<HopAttempt>();
  /** How many may be: grows with each success. */
  #window = 1;
  #workedAtMs = -Infinity;
  #patienceMs = patienceMs;
  /** Of the outage. */
  #sinceMs = 0;
  #restMs = 0;
  /** Open: end of the rest. Half-open: when the probe is given up for lost. */
  #untilMs = 0;
  /** It serves us and takes no further connection: when one caller may ask again. */
  #crowdedUntilMs: number | undefined;

  constructor(options: HopHealthOptions) {
    this.#options = options;
  }

  get state(): HopState {
    return this.#state;
  }

  /** Why it is not closed; ''. */
  get reason(): string {
    return this.#reason;
  }

  get isCrowded(): boolean {
    return this.#crowdedUntilMs !== undefined;
  }

  /** May a connection be begun now? Yes must be followed by begin(). */
  advice(nowMs: number): HopAdvice {
    if (this.#crowdedUntilMs !== undefined && nowMs < this.#crowdedUntilMs) return 'no';
    if (this.#state !== HopState.closed) return nowMs < this.#untilMs ? 'no' : 'yes';
    if (this.#isStuck(nowMs)) return 'no';
    return this.#attempts.size < this.#allowed(nowMs) ? 'yes' : 'wait';
  }

  begin(nowMs: number): HopAttempt {
    if (this.#crowdedUntilMs !== undefined) this.#crowdedUntilMs = nowMs + crowdedMs;
    const probe = this.#state !== HopState.closed;
    if (probe) {
      this.#state = HopState.halfOpen;
      this.#untilMs = nowMs + this.#options.probeMs;
    }
    const attempt = { sinceMs: nowMs, probe };
    this.#attempts.add(attempt);
    return attempt;
  }

  /** Greeted. True when the hop was ill before. */
  worked(attempt: HopAttempt, nowMs: number): boolean {
    const wasIll = this.#state !== HopState.closed;
    this.#window = Math.min(this.#allowed(nowMs) + 1, Math.max(this.#options.maxAttempts, 1));
    this.#attempts.delete(attempt);
    this.#workedAtMs = nowMs;
    const usualMs = 2 * (nowMs - attempt.sinceMs);
    this.#patienceMs = Math.min(Math.max(usualMs, patienceMs), longestPatienceMs);
    this.#crowdedUntilMs = undefined;
    this.#state = HopState.closed;
    this.#reason = '';
    this.#proven = true;
    return wasIll;
  }

  /** True when the hop was well before. */
  failed(attempt: HopAttempt, nowMs: number, reason: string): boolean {
    this.#attempts.delete(attempt);
    this.#crowdedUntilMs = undefined;
    this.#proven = false;
    this.#window = 1;
    const { longestRestMs } = this.#options;
    if (this.#state === HopState.closed) {
      this.#sinceMs = nowMs;
      return this.#open(nowMs, Math.min(firstRestMs, longestRestMs), reason, true);
    }
    // Connections begun before the first failure was known fail after it: they say nothing new.
    if (!attempt.probe || this.#state === HopState.open) return false;
    const restMs = Math.max(this.#restMs * 2, Math.min(firstRestMs, longestRestMs));
    return this.#open(nowMs, Math.min(restMs, longestRestMs), reason, false);
  }

  /** The attempt ended by our own doing, or in a way that says nothing of the hop's health. */
  abandoned(attempt: HopAttempt, nowMs: number): void {
    this.#attempts.delete(attempt);
    if (attempt.probe && this.#state === HopState.halfOpen)
      this.#open(nowMs, this.#restMs, this.#reason, false);
  }

  /** It may be probed now. It rests like a newly ill one if that fails: somebody is repairing it. */
  endRest(): void {
    if (this.#state === HopState.closed) return;
    this.#state = HopState.open;
    this.#restMs = 0;
    this.#untilMs = 0;
  }

  /** The hop refused a connection while others to it are open: it is well, and has as many as it wants. True when
   *  that is news. */
  crowded(attempt: HopAttempt, nowMs: number): boolean {
    this.#attempts.delete(attempt);
    const isNews = this.#crowdedUntilMs === undefined;
    this.#crowdedUntilMs = nowMs + crowdedMs;
    return isNews;
  }

  /** A connection to the hop has ended: there may be room for another. */
  freed(): void {
    if (this.#crowdedUntilMs !== undefined) this.#crowdedUntilMs = 0;
  }

  /** It is known to work. Otherwise one message is enough to find out. */
  isSure(nowMs: number): boolean {
    return this.#state === HopState.closed && this.#proven && !this.#isStuck(nowMs);
  }

  /** How long it will be left alone; 0 when it is well, may be tried, or is being probed. */
  restMs(nowMs: number): number {
    return this.#state === HopState.open ? Math.max(this.#untilMs - nowMs, 0) : 0;
  }

  /**
   * How long nobody new will get through to it: > 0 while it rests or is probed.
   * @param alone the caller has no connection to it: also while it takes no other, or keeps who tries it waiting
   */
  pauseMs(nowMs: number, alone: boolean): number {
    if (this.#state !== HopState.closed) return Math.max(this.#untilMs - nowMs, 0);
    if (!alone) return 0;
    const crowdMs = Math.max((this.#crowdedUntilMs ?? 0) - nowMs, 0);
    return Math.max(crowdMs, this.#isStuck(nowMs) ? patienceMs : 0);
  }

  /** For how long it has not been known to work. */
  outageMs(nowMs: number): number {
    return this.#state === HopState.closed ? 0 : Math.max(nowMs - this.#sinceMs, 0);
  }

  #open(nowMs: number, restMs: number, reason: string, isNews: boolean): boolean {
    this.#state = HopState.open;
    this.#restMs = restMs;
    this.#untilMs = nowMs + restMs;
    this.#reason = reason;
    return isNews;
  }

  #allowed(nowMs: number): number {
    return nowMs - this.#workedAtMs > forgetMs ? 1 : this.#window;
  }

  /** Somebody has tried for longer than a working hop takes. */
  #isStuck(nowMs: number): boolean {
    for (const { sinceMs } of this.#attempts) return nowMs - sinceMs >= this.#patienceMs;
    return false;
  }
}
