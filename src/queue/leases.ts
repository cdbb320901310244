/**
 * Messages in the relay's hands: one lease for each destination of a message, ended by one settle or unlease. Several
 * destinations of one message may be under way at a time; each outcome starts from the newest record, so that they
 * compose. Called by the relay through the spool.
 *
 * A message that workers fell with (transitions.ts, isSuspect) is leased alone among its like: if it brings the next
 * one down, it is parked, and no other that was only near is parked with it.
 */
import type { MessageIndex, RouteSlot } from './message-index.js';
import type { Messages } from './messages.js';
import type { AttemptNote, Lease, RecipientResult } from './spool.js';
import { beginAttempt, isDone, settleAttempt, toQueuedMessage } from './transitions.js';

export interface LeaseHost {
  /** True: nothing more is leased. */
  readonly stopped: boolean;
  readonly onDue: ((route: string) => void) | undefined;
}

export class Leases {
  readonly #messages: Messages;
  readonly #index: MessageIndex;
  readonly #host: LeaseHost;
  /** The one that is leased now, or was last. */
  #suspect: RouteSlot | undefined;
  /** Due and suspect as well: out of the schedule until that one has ended. */
  readonly #waiting = new Set<RouteSlot>();

  constructor(messages: Messages, host: LeaseHost) {
    this.#messages = messages;
    this.#index = messages.index;
    this.#host = host;
    this.#index.onLeaseEnd = (slot) => {
      // Later: it may come in the middle of a change, and the dispatcher leases at once.
      if (slot === this.#suspect && this.#waiting.size > 0) setImmediate(() => this.#letSuspectsGo());
    };
  }

  async lease(route: string, nowMs: number, limit: number): Promise<Lease[]> {
    const begun: Promise<Lease | undefined>[] = [];
    while (begun.length < limit && !this.#host.stopped) {
      const slot = this.#take(route, nowMs);
      if (slot === undefined) break;
      begun.push(this.#begin(slot));
    }
    const leases = await Promise.all(begun);
    return leases.filter((lease) => lease !== undefined);
  }

  async settle(
    lease: Lease,
    results: readonly RecipientResult[],
    nextAttemptAtMs: number,
    note?: AttemptNote,
  ): Promise<void> {
    const slot = this.#index.slotOf(lease);
    // Deleted by an operator while it was under way.
    if (slot === undefined) return;
    const { entry } = slot;
    const before = this.#messages.readable(entry);
    if (before === undefined) return;
    const record = settleAttempt(before, slot.route, results, nextAttemptAtMs, note);
    if (isDone(record)) {
      this.#messages.remove(entry);
      return;
    }
    const written = this.#messages.write(entry, record);
    this.#index.endLease(slot);
    await written;
  }

  unlease(lease: Lease): void {
    const slot = this.#index.slotOf(lease);
    if (slot === undefined) return;
    // The attempt that it would have begun is counted and did not begin: the next lease need not count it again.
    slot.counted = true;
    this.#index.endLease(slot);
  }

  #take(route: string, nowMs: number): RouteSlot | undefined {
    for (;;) {
      const slot = this.#index.takeDue(route, nowMs);
      if (slot === undefined) return undefined;
      if (slot.suspect && this.#suspect?.leased === true) {
        this.#waiting.add(slot);
        continue;
      }
      if (slot.suspect) this.#suspect = slot;
      this.#index.beginLease(slot);
      return slot;
    }
  }

  /** Undefined when the envelope cannot be read any more (reported, and out of the queue) or was deleted meanwhile. */
  async #begin(slot: RouteSlot): Promise<Lease | undefined> {
    const { entry, route } = slot;
    let record = this.#messages.readable(entry);
    if (record === undefined) return undefined;
    if (slot.counted) slot.counted = false;
    else {
      record = beginAttempt(record, route);
      await this.#messages.write(entry, record);
      if (!slot.leased) return undefined;
    }
    const lease: Lease = {
      message: toQueuedMessage(entry.id, record, route),
      route,
      body: () => this.#messages.body(entry, record),
    };
    slot.lease = lease;
    return lease;
  }

  #letSuspectsGo(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const { entry } of waiting) if (this.#index.get(entry.id) === entry) this.#index.reschedule(entry);
    for (const route of new Set(waiting.map((slot) => slot.route))) this.#host.onDue?.(route);
  }
}
