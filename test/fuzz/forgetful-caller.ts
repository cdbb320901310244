/** Drives a session, answers what it asks, and keeps nothing: what is left in memory or takes time is the session's own. */
import { Session } from '../../src/protocol/session.js';
import type { Question, SessionOptions, SessionSink, Verdict } from '../../src/protocol/types.js';

export class ForgetfulCaller {
  readonly #session: Session;
  readonly #sink: SessionSink;

  constructor(options: SessionOptions, answer: (question: Question) => Verdict) {
    const session = new Session(options);
    const sink: SessionSink = {
      reply: ignore,
      messageBegin: ignore,
      body: ignore,
      messageAbandon: ignore,
      upgrade: ignore,
      close: ignore,
      ask(question) {
        session.answer(answer(question), sink);
      },
    };
    this.#session = session;
    this.#sink = sink;
    session.start(sink);
  }

  say(lead: readonly string[]): this {
    for (const text of lead) this.feed(Buffer.from(text, 'latin1'));
    return this;
  }

  feed(bytes: Buffer): void {
    this.#session.feed(bytes, this.#sink);
    while (this.#session.hasMore) this.#session.resume(this.#sink);
  }

  /** @param chunkBytes at once */
  pour(input: Buffer, chunkBytes: number): this {
    for (let at = 0; at < input.length; at += chunkBytes) this.feed(input.subarray(at, at + chunkBytes));
    return this;
  }

  end(): void {
    this.#session.end(this.#sink);
  }
}

function ignore(): void {}
