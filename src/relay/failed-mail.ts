/**
 * Mail that failed for good while its sender could not be told: kept so long that an operator can look at it, then
 * removed with a line in the log. Run by the dispatcher.
 */
import { setImmediate as yieldTurn } from 'node:timers/promises';

import { describeError, errorCodeOf } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { QueuedMessage, Spool } from '../queue/spool.js';

export interface FailedMailOptions {
  readonly spool: Spool;
  readonly log: Log;
  readonly keepMs: number;
  readonly now: () => number;
}

/** Days are kept, minutes do not matter. */
const everyMs = 60_000;
/** Looked at in one turn of the loop: about 20 µs each. */
const perTurn = 50;
/** More between the wall clock and the monotonic one, and somebody has set the clock. */
const clockStepMs = 3_600_000;

export class FailedMail {
  readonly #options: FailedMailOptions;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  readonly #clockOffsetMs: number;
  #clockWasSet = false;

  constructor(options: FailedMailOptions) {
    this.#options = options;
    this.#clockOffsetMs = options.now() - performance.now();
  }

  start(): void {
    this.#timer = setTimeout(() => {
      void this.sweep().finally(() => {
        if (!this.#stopped) this.start();
      });
    }, everyMs);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Never rejects. */
  async sweep(): Promise<void> {
    const { spool, keepMs, log } = this.#options;
    if (this.#seesClockSet()) return;
    try {
      // No message failed before it arrived.
      const ids = await spool.select({ state: 'failed', olderThanMs: keepMs });
      for (const [index, id] of ids.entries()) {
        if (this.#stopped) return;
        if (index % perTurn === perTurn - 1) await yieldTurn();
        await this.#look(id);
      }
    } catch (error) {
      log.error({ event: 'relay.failed-mail', reason: describeError(error) });
    }
  }

  /** After a jump everything would be old at once (fault F-30), so that this process removes nothing any more: the next
   *  one may believe the clock. */
  #seesClockSet(): boolean {
    if (this.#clockWasSet) return true;
    const { now, log } = this.#options;
    const stepMs = now() - performance.now() - this.#clockOffsetMs;
    if (Math.abs(stepMs) < clockStepMs) return false;
    this.#clockWasSet = true;
    log.warn(
      { event: 'relay.failed-kept', seconds: Math.round(stepMs / 1000) },
      'the clock was set: failed mail is kept until the next reload or start',
    );
    return true;
  }

  async #look(id: string): Promise<void> {
    const { spool, log, keepMs, now } = this.#options;
    try {
      const message = spool.show(id);
      if (message.state !== 'failed' || now() - failedAtMs(message) < keepMs) return;
      await spool.delete(id);
      log.warn({
        event: 'relay.failed-removed',
        qid: id,
        from: message.reversePath,
        recipients: message.recipients.length,
        reply: message.recipients.find(({ state }) => state === 'failed')?.lastReply ?? '',
      });
    } catch (error) {
      // An operator was faster.
      if (errorCodeOf(error) !== 'NOT_FOUND') throw error;
    }
  }
}

/** Its last attempt; without one in the record, as early as it can have been. */
function failedAtMs(message: QueuedMessage): number {
  return message.attemptLog.at(-1)?.atMs ?? message.arrivedAtMs;
}
