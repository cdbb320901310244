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

  async hold(id: string): Promise<void> {
    const entry = await this.#atRest(id);
    await this.#messages.write(entry, holdMessage(this.#messages.record(entry)));
  }

  release(id: string): Promise<void> {
    return this.#makeDue(id, releaseMessage);
  }

  retry(id: string): Promise<void> {
    return this.#makeDue(id, retryMessage);
  }

  async delete(id: string): Promise<void> {
    await this.#messages.removeNow(await this.#atRest(id));
  }

  async #makeDue(id: string, change: (record: MessageRecord, nowMs: number) => MessageRecord): Promise<void> {
    const entry = await this.#atRest(id);
    const record = change(this.#messages.record(entry), Date.now());
    await this.#messages.write(entry, record);
    for (const { route } of record.routes) this.#host.onRetry?.(route);
    for (const { route } of record.routes) this.#host.onDue?.(route);
  }

  /** When it lies in one file: a change to one of two copies could be lost with it. */
  async #atRest(id: string): Promise<Entry> {
    let entry = this.#messages.find(id);
    while (entry.move !== undefined) {
      await entry.move;
      entry = this.#messages.find(id);
    }
    return entry;
  }
}
