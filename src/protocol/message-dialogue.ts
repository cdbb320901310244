/**
 * What is said and asked about the message at hand: the header's end, the message's end, the refusal that waits for its
 * place. The bytes are incoming-message.ts's, the order of commands the session's. One per session, made for the first
 * message and used again for each.
 */
import { IncomingMessage } from './incoming-message.js';
import {
  askBits,
  type Question,
  type Reply,
  type SessionOptions,
  type SessionSink,
  type Transaction,
} from './types.js';

export class MessageDialogue {
  /** The caller has a message that it was told the begin of, and neither its end nor that it is abandoned. */
  isOpen = false;
  /** The end of data, or of a chunk, was read: the client waits for a reply. */
  replyDue = false;
  /** The refusal of this message is the last reply of the session. */
  closes = false;
  /** A message ended in a way that servers disagree on: what followed may be its body. attacks.md A-001. */
  doubtful = false;
  readonly #options: SessionOptions;
  readonly #message: IncomingMessage;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#message = new IncomingMessage(options);
  }

  /** @param dots as DATA has them, and BDAT has not */
  begin(dots: boolean): void {
    this.isOpen = true;
    this.replyDue = false;
    this.closes = false;
    this.#message.begin((this.#options.ask.mask & askBits.HEADER_END) !== 0, dots);
  }

  get refused(): boolean {
    return this.#message.refusal !== undefined;
  }

  get messageId(): string {
    return this.#message.messageId;
  }

  get bodyBytes(): number {
    return this.#message.bodyBytes;
  }

  /** Where the bytes that were read end in the chunk. */
  get position(): number {
    return this.#message.position;
  }

  /** The end of the message was read. */
  get ended(): boolean {
    return this.#message.ended;
  }

  /** Something is to be said or asked: `next` says what. */
  get hasNext(): boolean {
    return this.replyDue || this.#message.headerEndDue;
  }

  /** @param to where the message's bytes end in the chunk at the latest */
  read(chunk: Buffer, from: number, to: number, sink: SessionSink): void {
    this.#message.read(chunk, from, to, sink);
    if (this.#message.ended) this.replyDue = true;
  }

  /** header-end was answered. */
  goOn(sink: SessionSink): void {
    this.#message.goOn(sink);
    if (this.#message.ended) this.replyDue = true;
  }

  /** A chunk of BDAT is read to its end. */
  endChunk(last: boolean, sink: SessionSink): void {
    this.replyDue = true;
    if (last) this.#message.finish(sink);
  }

  refuse(reply: Reply, reason: 'refused' | 'too-large', sink: SessionSink): void {
    this.#message.refuse(reply, reason, sink);
  }

  /** The transaction ends before the message does. */
  abandon(sink: SessionSink): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#message.letGo();
    if (!this.refused) sink.messageAbandon('cut');
  }

  /**
   * What is to be asked, or the refusal that is due; undefined: nothing of both. A message of a header alone has both
   * its ends at once, so this is called again after each accepting verdict.
   */
  next(transaction: Transaction): Question | Reply | undefined {
    const message = this.#message;
    if (message.headerEndDue) {
      message.headerEndAsked();
      return { kind: 'header-end', transaction };
    }
    if (!this.replyDue) return undefined;
    if (message.refusal !== undefined) {
      if (message.doubtfulEnd) this.doubtful = true;
      this.isOpen = false;
      return message.refusal;
    }
    if (!message.ended) return undefined;
    this.isOpen = false;
    return { kind: 'message-end', transaction, bodyBytes: message.bodyBytes };
  }
}
