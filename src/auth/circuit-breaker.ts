/**
 * Whether a backend that did not answer is worth another question now. After a few silences in a row nobody is made to
 * wait for it: it rests, each time longer, then one question probes it. Only silence counts, no refusal and no "cannot
 * now": what a client can provoke must not lock out the others. Pure: the caller brings the clock.
 */

/** One lost connection is no outage; three in a row are, and cost three clients the deadline. */
const silencesBeforeRest = 3;
const firstRestMs = 1_000;
/** A backend that came back is found after half a minute at most. */
const longestRestMs = 30_000;

export type Passage = 'open' | 'probe' | 'resting';

export class CircuitBreaker {
  #silences = 0;
  #restMs = 0;
  #restsUntilMs = 0;
  #probing = false;

  /** May a question go out? A 'probe' has to be told of with `answered`, `silent` or `withdrawn`, as every question. */
  enter(nowMs: number): Passage {
    if (this.#restMs === 0) return 'open';
    if (this.#probing || nowMs < this.#restsUntilMs) return 'resting';
    this.#probing = true;
    return 'probe';
  }

  /** @returns true when it had been down */
  answered(): boolean {
    const wasDown = this.isDown;
    this.#silences = 0;
    this.#restMs = 0;
    this.#probing = false;
    return wasDown;
  }

  /** @returns how long it rests now, when this was the silence that made it; otherwise 0 */
  silent(passage: Passage, nowMs: number): number {
    // Questions that were out when the rest began say nothing new.
    if (this.isDown && passage !== 'probe') return 0;
    this.#probing = false;
    if (++this.#silences < silencesBeforeRest) return 0;
    this.#restMs = Math.min(longestRestMs, this.#restMs === 0 ? firstRestMs : this.#restMs * 2);
    this.#restsUntilMs = nowMs + this.#restMs;
    return this.#restMs;
  }

  /** The question came to nothing for a reason of its own. */
  withdrawn(passage: Passage): void {
    if (passage === 'probe') this.#probing = false;
  }

  /** Not answering since the last that was heard of it. */
  get isDown(): boolean {
    return this.#restMs > 0;
  }
}
