/** A rate in tokens: filled steadily, at most a second's worth at once. Clock in, no timers. */

export class TokenBucket {
  readonly #perSecond: number;
  readonly #most: number;
  readonly #now: () => number;
  #tokens: number;
  #filledAtMs: number;

  /**
   * @param perSecond > 0; Infinity: no limit
   * @param now monotonic, milliseconds
   */
  constructor(perSecond: number, now: () => number) {
    this.#perSecond = perSecond;
    this.#most = Math.max(perSecond, 1);
    this.#now = now;
    this.#tokens = this.#most;
    this.#filledAtMs = now();
  }

  /** Up to `wanted`, whole ones. */
  take(wanted: number): number {
    if (this.#perSecond === Infinity) return wanted;
    this.#fill();
    const taken = Math.min(wanted, Math.floor(this.#tokens));
    this.#tokens -= taken;
    return taken;
  }

  /** What was taken and not used. */
  giveBack(tokens: number): void {
    this.#tokens = Math.min(this.#tokens + tokens, this.#most);
  }

  /** Until there is a whole one; 0: there is. */
  waitMs(): number {
    if (this.#perSecond === Infinity) return 0;
    this.#fill();
    return Math.max(((1 - this.#tokens) * 1000) / this.#perSecond, 0);
  }

  #fill(): void {
    const nowMs = this.#now();
    this.#tokens = Math.min(this.#tokens + ((nowMs - this.#filledAtMs) / 1000) * this.#perSecond, this.#most);
    this.#filledAtMs = nowMs;
  }
}
