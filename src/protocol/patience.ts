/** How long a session may go on without getting anywhere: errors, and commands that cost us and move no mail. */
import type { SessionLimits } from './types.js';

export class Patience {
  readonly #limits: SessionLimits;
  #errors = 0;
  #junk = 0;

  constructor(limits: SessionLimits) {
    this.#limits = limits;
  }

  /** A command was answered 4xx or 5xx. @returns true when that was one too many */
  error(): boolean {
    return ++this.#errors >= this.#limits.errors;
  }

  /** @returns true when that was one too many */
  junk(): boolean {
    return ++this.#junk > this.#limits.junkCommands;
  }

  messageTaken(): void {
    this.#junk = 0;
  }
}
