/**
 * How long a session may go on without getting anywhere: errors, and commands that cost us and move no mail. All that is
 * remembered of a session's past are these two counts.
 */
import type { SessionLimits, SessionOptions } from './types.js';

export class Patience {
  readonly #options: SessionOptions;
  #errors = 0;
  #junk = 0;

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
