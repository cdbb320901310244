/**
 * One message between 354 and its end: hands the body on, and keeps to the limits of size, header, hops and lines.
 * What is wrong is found once, the message abandoned at once, and the refusal kept until the end of data, where SMTP
 * has the place for it. One per session, used again for each message.
 */
import { DataReader, type Defect } from './data-reader.js';
import { HeaderScanner } from './header-scanner.js';
import { replies } from './replies.js';
import type { AbandonReason, Reply, SessionLimits, SessionSink } from './types.js';

const defectRefusals: Readonly<Record<Defect, readonly [Reply, AbandonReason]>> = {
  'bare-newline': [replies.bareNewline, 'bare-newline'],
  nul: [replies.nulInMessage, 'nul'],
  'line-too-long': [replies.dataLineTooLong, 'too-large'],
};

export type ReadEvent =
  /** Read up to `position`. */
  | 'more'
  /** The blank line is passed on and header-end is to be asked; `position` is behind it. */
  | 'header-end'
  /** End of data, `position` is behind it. */
  | 'end';

export class IncomingMessage {
  position = 0;
  /** Dots unstuffed, CRLFs included. RFC 1870 §6.3. */
  bodyBytes = 0;
  /** What the end of data will be answered with; undefined: the message is good so far. */
  refusal: Reply | undefined;
  /** header-end is wanted and was not asked yet. */
  headerEndWanted = false;
  readonly #limits: SessionLimits;
  readonly #reader: DataReader;
  readonly #header: HeaderScanner;

  /** @param hostname ours, lower case: what a loop of mail through this machine has behind `by` */
  constructor(limits: SessionLimits, hostname: string) {
    this.#limits = limits;
    this.#header = new HeaderScanner(hostname);
    this.#reader = new DataReader(limits.dataLineBytes);
  }

  /** @see DataReader.doubtfulEnd */
  get doubtfulEnd(): boolean {
    return this.#reader.doubtfulEnd;
  }

  begin(headerEndWanted: boolean): void {
    this.bodyBytes = 0;
    this.refusal = undefined;
    this.headerEndWanted = headerEndWanted;
    this.#reader.begin();
    this.#header.begin();
  }

  read(chunk: Buffer, from: number, sink: SessionSink): ReadEvent {
    const reader = this.#reader;
    const event = reader.scan(chunk, from);
    this.position = reader.position;
    for (let index = 0; index < reader.pieceCount; index++) {
      const headerEnd = this.#take(chunk, reader.pieceStart(index), reader.pieceEnd(index), sink);
      if (this.refusal !== undefined) break;
      if (headerEnd >= 0) {
        this.position = headerEnd;
        reader.restartAtLine();
        return 'header-end';
      }
    }
    if (event === 'defect' && reader.defect !== undefined)
      this.refuse(...defectRefusals[reader.defect], sink);
    return event === 'end' ? 'end' : 'more';
  }

  /** The first reason stays. */
  refuse(reply: Reply, reason: AbandonReason, sink: SessionSink): void {
    if (this.refusal !== undefined) return;
    this.refusal = reply;
    this.#reader.drop();
    sink.messageAbandon(reason);
  }

  /** Hands a piece on; returns where the header ended in it if header-end is to be asked there, else -1. */
  #take(chunk: Buffer, start: number, end: number, sink: SessionSink): number {
    let stop = end;
    if (!this.#header.ended) {
      const headerEnd = this.#header.scan(chunk, start, end);
      this.#checkHeader(sink);
      if (this.#header.ended && this.headerEndWanted) stop = headerEnd;
    }
    this.#deliver(chunk, start, stop, sink);
    return this.#header.ended && this.headerEndWanted ? stop : -1;
  }

  #checkHeader(sink: SessionSink): void {
    const header = this.#header;
    if (header.startsWithSpace) this.refuse(replies.leadingSpace, 'refused', sink);
    if (header.headerBytes > this.#limits.headerBytes)
      this.refuse(replies.headerTooLarge, 'header-too-large', sink);
    if (header.receivedFields > this.#limits.receivedHops)
      this.refuse(replies.tooManyHops, 'too-many-hops', sink);
    if (header.ownReceivedFields > this.#limits.ownReceivedHops)
      this.refuse(replies.ownLoop, 'too-many-hops', sink);
  }

  #deliver(chunk: Buffer, start: number, end: number, sink: SessionSink): void {
    this.bodyBytes += end - start;
    if (this.bodyBytes > this.#limits.messageBytes) this.refuse(replies.messageTooLarge, 'too-large', sink);
    if (this.refusal === undefined)
      sink.body(start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end));
  }
}
