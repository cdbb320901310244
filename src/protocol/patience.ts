/**
 * How long a session may go on without getting anywhere: errors, and commands that cost us and move no mail. All that is
 * remembered of a session's past are these two counts.
 */
import type { SessionLimits, SessionOptions } from './types.js';

// A client that has a queue for us brings its messages one by one and is told 452 for each; what it pipelined behind MAIL
// is refused with it. Beyond, it does not listen.
const maxExcused = 1_000;

export class Patience {
  readonly #options: SessionOptions;
  #errors = 0;
  #junk = 0;
  #excused = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** A command was answered 4xx or 5xx. 'pause': nothing more for a while; 'end': that was one too many. */
  error(): 'go-on' | 'pause' | 'end' {
    const { errors, softErrors } = this.#limits;
    this.#errors++;
    if (this.#errors >= errors) return 'end';
    return this.#errors > softErrors ? 'pause' : 'go-on';
  }

  /** Answered 4xx for a trouble of ours, or in the wake of that: an error only where there is no end of it. */
  excusable(): 'go-on' | 'pause' | 'end' {
    return ++this.#excused > maxExcused ? this.error() : 'go-on';
  }

  /** @returns true when that was one too many */
  junk(): boolean {
    return ++this.#junk > this.#limits.junkCommands;
  }

  get #limits(): Pick<SessionLimits, 'errors' | 'softErrors' | 'junkCommands'> {
    return this.#options.patience?.limits ?? this.#options.limits;
  }

  messageTaken(): void {
    this.#junk = 0;
  }
}
