/**
 * What an operator does to single messages: show, read, hold, release, retry, delete. What each means for a record is
 * transitions.ts; here it is read, written and told to the dispatcher.
 */
import type { Entry } from './message-index.js';
import { BodyParts } from './message-body.js';
import type { Messages } from './messages.js';
import type { MessageRecord } from './record.js';
import type { QueuedMessage } from './spool.js';
import { holdMessage, releaseMessage, retryMessage, toQueuedMessage } from './transitions.js';

export interface OperatorHost {
  readonly onDue: ((route: string) => void) | undefined;
  readonly onRetry?: ((route: string) => void) | undefined;
}

export class OperatorCalls {
  readonly #messages: Messages;
  readonly #host: OperatorHost;
  readonly #parts = new BodyParts();

  constructor(messages: Messages, host: OperatorHost) {
    this.#messages = messages;
    this.#host = host;
  }

  show(id: string): QueuedMessage {
    return toQueuedMessage(id, this.#messages.record(this.#messages.find(id)));
  }

  async read(id: string, offset: number, limitBytes: number): Promise<Buffer> {
    const entry = this.#messages.find(id);
    const record = this.#messages.record(entry);
    return this.#parts.read(this.#messages.bodySource(entry, record), offset, limitBytes);
  }

  hold(id: string): Promise<void> {
    return this.#atRest(id, (entry) =>
      this.#messages.write(entry, holdMessage(this.#messages.record(entry))),
    );
  }

  release(id: string): Promise<void> {
    return this.#makeDue(id, releaseMessage);
  }

  retry(id: string): Promise<void> {
    return this.#makeDue(id, retryMessage);
  }

  delete(id: string): Promise<void> {
    return this.#atRest(id, (entry) => this.#messages.removeNow(entry));
  }

  #makeDue(id: string, change: (record: MessageRecord, nowMs: number) => MessageRecord): Promise<void> {
    return this.#atRest(id, async (entry) => {
      const record = change(this.#messages.record(entry), Date.now());
      await this.#messages.write(entry, record);
      for (const { route } of record.routes) this.#host.onRetry?.(route);
      for (const { route } of record.routes) this.#host.onDue?.(route);
    });
  }

  /**
   * When it lies in one file: a change to one of two copies could be lost with it. The change begins in the turn in
   * which the message was found: another operator may delete it in the next.
   */
  async #atRest(id: string, change: (entry: Entry) => Promise<void>): Promise<void> {
    for (;;) {
      const entry = this.#messages.find(id);
      if (entry.move === undefined) return change(entry);
      await entry.move;
    }
  }
}
