/**
 * How many recipients a transaction may have now. An envelope is in memory until its message is stored, up to 1.6 KB a
 * recipient (the longest address with the longest ORCPT, measured), and no other budget counts it: a few hosts with a
 * thousand recipients in each of their connections would end the worker. While all open transactions together have more
 * than their bound, each may have as many as any server must take, and the rest gets 452: to be sent in the next
 * transaction. Looked at once a second.
 */
import type { Log } from '../base/log.js';

// 320 MB at worst, and what comes in within a second.
const defaultMaxHeld = 200_000;
const leaveBelow = 0.6;
// RFC 5321 §4.5.3.1.8.
const leastRecipients = 100;

export class EnvelopeRoom {
  readonly #normal: number;
  readonly #maxHeld: number;
  readonly #log: Log;
  #recipients: number;

  /** @param recipients of one transaction as long as there is room */
  constructor(recipients: number, log: Log, maxHeld = defaultMaxHeld) {
    this.#normal = recipients;
    this.#recipients = recipients;
    this.#log = log;
    this.#maxHeld = maxHeld;
  }

  /** Of one transaction. */
  get recipients(): number {
    return this.#recipients;
  }

  get #isCrowded(): boolean {
    return this.#recipients < this.#normal;
  }

  /** @param held recipients of all open transactions */
  look(held: number): void {
    if (this.#normal <= leastRecipients) return;
    if (this.#isCrowded ? held >= this.#maxHeld * leaveBelow : held < this.#maxHeld) return;
    this.#recipients = this.#isCrowded ? this.#normal : leastRecipients;
    if (this.#isCrowded)
      this.#log.warn(
        { event: 'envelopes.crowded', recipients: held },
        `open transactions have ${held} recipients together: until they have fewer, each may have ${leastRecipients}, and more get 452. If this is no attack, add workers`,
      );
    else this.#log.info({ event: 'envelopes.room', recipients: held }, 'limits.recipients holds again');
  }
}
