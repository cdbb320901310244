/**
 * How many recipients a transaction may have now. An envelope is in memory until its message is stored, up to 1.6 KB a
 * recipient (the longest address with the longest ORCPT, measured), and no other budget counts it: a few hosts with a
 * thousand recipients in each of their connections would end the worker. While all open transactions together have more
 * than their bound, each may have as many as any server must take, and the rest gets 452: to be sent in the next
 * transaction. At twice the bound nobody may add any. Looked at once a second.
 */
import type { Log } from '../base/log.js';

// 320 MB at worst; at twice as many, and what comes in within a second, all ends.
const defaultMaxHeld = 200_000;
const fullFrom = 2;
/** Of where a state began: it ends below. */
const leaveBelow = 0.6;
// RFC 5321 §4.5.3.1.8.
const leastRecipients = 100;

type State = 'room' | 'crowded' | 'full';

export class EnvelopeRoom {
  readonly #most: Readonly<Record<State, number>>;
  readonly #maxHeld: number;
  readonly #log: Log;
  #state: State = 'room';

  /** @param recipients of one transaction as long as there is room */
  constructor(recipients: number, log: Log, maxHeld = defaultMaxHeld) {
    this.#most = { room: recipients, crowded: Math.min(recipients, leastRecipients), full: 0 };
    this.#log = log;
    this.#maxHeld = maxHeld;
  }

  /** Of one transaction. */
  get recipients(): number {
    return this.#most[this.#state];
  }

  /** @param held recipients of all open transactions */
  look(held: number): void {
    const state = this.#stateAt(held);
    if (state === this.#state) return;
    this.#state = state;
    const facts = { event: `envelopes.${state}`, recipients: held };
    if (state === 'room') this.#log.info(facts, 'limits.recipients holds again');
    else
      this.#log.warn(
        facts,
        `open transactions have ${held} recipients together: until there are clearly fewer, each may have ${this.recipients}, and more get 452. If this is no attack, add workers`,
      );
  }

  #stateAt(held: number): State {
    const isAbove = (bound: number, states: readonly State[]): boolean =>
      held >= bound * (states.includes(this.#state) ? leaveBelow : 1);
    if (isAbove(this.#maxHeld * fullFrom, ['full'])) return 'full';
    return isAbove(this.#maxHeld, ['crowded', 'full']) ? 'crowded' : 'room';
  }
}
