/**
 * What a route's queue needs of whoever tells senders. The implementation is in notifications/; without one (tests,
 * notifications switched off) nobody is told and what fails stays 'failed'.
 */
import type { Lease, RecipientResult } from '../queue/spool.js';

import type { CarryOutcome } from './carrier.js';

export interface Concluded {
  /** As in the outcome, but 'bounced' where the sender has been told or did not want to be. */
  readonly results: readonly RecipientResult[];
  readonly delayNotified: boolean;
}

export interface Notifier {
  /** Age at which a delay is told; 0 or absent: never. */
  readonly lateAfterMs?: number;
  /** False, for nearly every message: nothing to tell, settle at once. Cheap, no promise. */
  owes(lease: Lease, outcome: CarryOutcome, nowMs: number): boolean;
  /**
   * Stores the notifications that are due and resolves when they are on disk; only then may the message be settled, so
   * that a crash in between costs a second notification and never the only one. Never rejects: what cannot be told is
   * logged and stays 'failed'.
   */
  conclude(lease: Lease, outcome: CarryOutcome, nowMs: number): Promise<Concluded>;
}
