/**
 * Bytes in flight per client network: a part of the worker's budget for each network that sends just now, so that none
 * takes all of it. What a network has in the other workers counts through the tallies: the primary names those that are
 * over their limit together, and they wait until it does not any more.
 */
import type { LimitsConfig } from '../config/config.js';
import { ByteBudget } from '../queue/byte-budget.js';
import type { NetworkTicket } from './admission.js';
import type { Tallies } from './tallies.js';

// Reported in steps of this part of the limit: a network that is far below costs no message to the primary.
const stepsOfLimit = 16;

interface Entry {
  readonly budget: ByteBudget;
  readonly stepBytes: number;
  reportedBytes: number;
}

const none: readonly ByteBudget[] = [];

export class NetworkBudgets {
  readonly #limits: Pick<LimitsConfig, 'bytesInFlightPerHost' | 'bytesInFlightPerNetwork'>;
  readonly #tallies: Tallies;
  /** Two for each open message at most; those that nothing is in flight of go with the next report. */
  readonly #entries = new Map<string, Entry>();

  constructor(
    limits: Pick<LimitsConfig, 'bytesInFlightPerHost' | 'bytesInFlightPerNetwork'>,
    tallies: Tallies,
  ) {
    this.#limits = limits;
    this.#tallies = tallies;
  }

  /** What a message of this client counts on beside the worker's budget. */
  of(ticket: NetworkTicket): readonly ByteBudget[] {
    if (ticket === undefined) return none;
    return [
      this.#budget(ticket.host, this.#limits.bytesInFlightPerHost),
      this.#budget(ticket.neighbourhood, this.#limits.bytesInFlightPerNetwork),
    ];
  }

  /** Before each report of the tallies. */
  report(): void {
    for (const [key, entry] of this.#entries) {
      const { budget, stepBytes } = entry;
      const bytes = Math.floor(budget.usedBytes / stepBytes) * stepBytes;
      if (bytes !== entry.reportedBytes) {
        this.#tallies.stand('bytes', key, bytes - entry.reportedBytes);
        entry.reportedBytes = bytes;
      }
      if (budget.isIdle) this.#entries.delete(key);
    }
  }

  /** After each word of the primary. */
  obey(): void {
    for (const [key, { budget }] of this.#entries) budget.hold(this.#tallies.isOverLimit('bytes', key));
  }

  /** Networks that something is in flight of. */
  get size(): number {
    return this.#entries.size;
  }

  #budget(key: string, limitBytes: number): ByteBudget {
    const known = this.#entries.get(key);
    if (known !== undefined) return known.budget;
    const budget = new ByteBudget(limitBytes);
    if (this.#tallies.isOverLimit('bytes', key)) budget.hold(true);
    this.#entries.set(key, { budget, stepBytes: limitBytes / stepsOfLimit, reportedBytes: 0 });
    return budget;
  }
}
