/**
 * What is said and asked about the message at hand: the header's end, the message's end, the refusal that waits for the
 * end of data. The bytes are incoming-message.ts's, the order of commands the session's. One per session, made at the
 * first DATA and used again for each message.
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
  /** The end of data has been read. */
  ended = false;
  /** The refusal of this message is the last reply of the session. */
  closes = false;
  /** A message ended in a way that servers disagree on: what followed may be its body. attacks.md A-001. */
  doubtful = false;
  readonly #options: SessionOptions;
  readonly #message: IncomingMessage;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#message = new IncomingMessage(options.limits, options.hostname);
  }

  begin(): void {
    this.ended = false;
    this.closes = false;
    this.#message.begin((this.#options.ask.mask & askBits.HEADER_END) !== 0);
  }

  get refused(): boolean {
    return this.#message.refusal !== undefined;
  }

  /** Where the bytes that were read end in the chunk. */
  get position(): number {
    return this.#message.position;
  }

  /** @returns false while there is nothing to say or ask */
  read(chunk: Buffer, from: number, sink: SessionSink): boolean {
    const event = this.#message.read(chunk, from, sink);
    this.ended = event === 'end';
    return event !== 'more';
  }

  /** The verdict on the header: said at the end of data. */
  refuse(reply: Reply, closes: boolean, sink: SessionSink): void {
    this.#message.refuse(reply, 'refused', sink);
    this.closes = closes;
  }

  /**
   * What is to be asked, or, at the end of data, the refusal. A message of a header alone has both its ends at once: this
   * is called again after each accepting verdict. Undefined: bytes are wanted.
   */
  next(transaction: Transaction): Question | Reply | undefined {
    const message = this.#message;
    if (message.refusal !== undefined) {
      if (!this.ended) return undefined;
      if (message.doubtfulEnd) this.doubtful = true;
      return message.refusal;
    }
    if (message.headerEndWanted) {
      message.headerEndWanted = false;
      return { kind: 'header-end', transaction };
    }
    return this.ended ? { kind: 'message-end', transaction, bodyBytes: message.bodyBytes } : undefined;
  }
}
