/**
 * One message between its first byte and its end: hands the body on, and keeps to the limits of size, header, hops and
 * lines, the same for DATA and BDAT. What is wrong is found once, the message abandoned at once, and the refusal kept
 * until SMTP has the place for it. One per session, used again for each message.
 */
import { DataReader, type Defect, type ScanEvent } from './data-reader.js';
import { HeaderScanner } from './header-scanner.js';
import { NewlineNormalizer } from './newline-normalizer.js';
import { replies } from './replies.js';
import type { AbandonReason, Reply, SessionLimits, SessionOptions, SessionSink } from './types.js';

const defectRefusals: Readonly<Record<Defect, readonly [Reply, AbandonReason]>> = {
  'bare-newline': [replies.bareNewline, 'bare-newline'],
  nul: [replies.nulInMessage, 'nul'],
  'line-too-long': [replies.dataLineTooLong, 'too-large'],
};

/** RFC 5322 §2.2.3: white space around it, and a fold before it, are not part of it. Printable, as what others say has to be. */
function unfolded(text: string): string {
  return text
    .replaceAll('\r\n', '')
    .trim()
    .replaceAll(/[^ -~]/g, '?');
}

const carriageReturn = Buffer.from('\r', 'latin1');
const nothing = Buffer.alloc(0);

export class IncomingMessage {
  /** Where the bytes that were read end in the chunk. */
  position = 0;
  /** As handed on: dots unstuffed, CRLFs included. RFC 1870 §6.3. */
  bodyBytes = 0;
  /** What the message will be answered with; undefined: it is good so far. */
  refusal: Reply | undefined;
  /** Nothing goes on until header-end is asked and answered: `headerEndAsked`, then `goOn`. */
  headerEndDue = false;
  /** The end of data has been read. */
  ended = false;
  readonly #limits: SessionLimits;
  readonly #normalizes: boolean;
  readonly #reader: DataReader;
  readonly #header: HeaderScanner;
  readonly #normalizer = new NewlineNormalizer();
  #headerEndWanted = false;
  #normalizing = false;
  // Of the last scan, what was not handed on yet: while header-end is due the rest waits here.
  #chunk: Buffer = nothing;
  #piece = 0;
  #event: ScanEvent = 'more';
  #rest: Buffer = nothing;

  constructor(options: SessionOptions) {
    this.#limits = options.limits;
    this.#normalizes = options.bareNewlines === 'normalize';
    this.#header = new HeaderScanner(options.hostname);
    this.#reader = new DataReader(options.limits.dataLineBytes);
  }

  /** As the header says, cut and unfolded; '' where it does not. */
  get messageId(): string {
    return unfolded(this.#header.messageId);
  }

  /** @see DataReader.doubtfulEnd */
  get doubtfulEnd(): boolean {
    return this.#reader.doubtfulEnd;
  }

  /** @param dots as DATA has them; octets of BDAT have none, and `finish` is their end */
  begin(headerEndWanted: boolean, dots: boolean): void {
    this.bodyBytes = 0;
    this.refusal = undefined;
    this.headerEndDue = false;
    this.ended = false;
    this.#headerEndWanted = headerEndWanted;
    this.#normalizing = false;
    this.#reader.begin(dots);
    this.#header.begin();
    this.letGo();
  }

  /** @param to where the message's bytes end in the chunk at the latest */
  read(chunk: Buffer, from: number, to: number, sink: SessionSink): void {
    this.#event = this.#reader.scan(chunk, from, to);
    this.position = this.#reader.position;
    this.#chunk = chunk;
    this.#piece = 0;
    if (this.#reader.crBefore) this.#take(carriageReturn, 0, 1, sink);
    this.goOn(sink);
  }

  /** Hands on what has been read, as far as nothing is to be asked. */
  goOn(sink: SessionSink): void {
    const reader = this.#reader;
    const rest = this.#rest;
    this.#rest = nothing;
    if (rest.length > 0 && this.refusal === undefined) this.#deliver(rest, 0, rest.length, sink);
    while (this.#piece < reader.pieceCount && this.refusal === undefined) {
      if (this.headerEndDue) return;
      const index = this.#piece++;
      this.#take(this.#chunk, reader.pieceStart(index), reader.pieceEnd(index), sink);
    }
    if (!this.headerEndDue) this.#settle(sink);
  }

  /** All octets of a BDAT message have been read and handed on. */
  finish(sink: SessionSink): void {
    if (this.refusal === undefined && !this.#normalizing && this.#reader.afterCr)
      this.#foundBareNewline(sink);
    if (this.refusal === undefined && this.#normalizing) {
      const missing = this.#normalizer.end();
      this.#pass(missing, 0, missing.length, sink);
    }
    this.#end();
  }

  headerEndAsked(): void {
    this.headerEndDue = false;
    this.#headerEndWanted = false;
  }

  /** The first reason stays. */
  refuse(reply: Reply, reason: AbandonReason, sink: SessionSink): void {
    if (this.refusal !== undefined) return;
    this.refusal = reply;
    this.headerEndDue = false;
    this.#reader.drop();
    sink.messageAbandon(reason);
  }

  /** Holds on to no chunk any more. */
  letGo(): void {
    this.#chunk = nothing;
    this.#rest = nothing;
    this.#piece = 0;
    this.#event = 'more';
    this.#reader.pieceCount = 0;
  }

  /** All pieces of the scan are handed on: what it ended with. */
  #settle(sink: SessionSink): void {
    const event = this.#event;
    this.letGo();
    if (event === 'more') return;
    if (event === 'end') {
      // Other servers see no end here: what is behind it may be this message's, so that not even its newlines are mended.
      if (this.#reader.doubtfulEnd) this.refuse(...defectRefusals['bare-newline'], sink);
      this.#end();
      return;
    }
    const { defect } = this.#reader;
    if (defect === 'bare-newline') this.#foundBareNewline(sink);
    else if (defect !== undefined) this.refuse(...defectRefusals[defect], sink);
  }

  #foundBareNewline(sink: SessionSink): void {
    if (!this.#normalizes) {
      this.refuse(...defectRefusals['bare-newline'], sink);
      return;
    }
    this.#normalizing = true;
    this.#normalizer.begin(this.#reader.afterCr);
    this.#reader.tolerate();
  }

  /** A message of a header alone has the header's end here too. */
  #end(): void {
    this.ended = true;
    if (this.#headerEndWanted && this.refusal === undefined) this.headerEndDue = true;
  }

  #take(bytes: Buffer, start: number, end: number, sink: SessionSink): void {
    if (!this.#normalizing) {
      this.#pass(bytes, start, end, sink);
      return;
    }
    const canonical = this.#normalizer.convert(bytes, start, end);
    this.#pass(canonical, 0, canonical.length, sink);
  }

  /** Hands canonical bytes on, up to the header's end where that is to be asked about. */
  #pass(bytes: Buffer, start: number, end: number, sink: SessionSink): void {
    let stop = end;
    if (!this.#header.ended) {
      const headerEnd = this.#header.scan(bytes, start, end);
      this.#checkHeader(sink);
      if (this.#header.ended && this.#headerEndWanted && this.refusal === undefined) {
        this.headerEndDue = true;
        this.#rest = bytes.subarray(headerEnd, end);
        stop = headerEnd;
      }
    }
    this.#deliver(bytes, start, stop, sink);
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
    // After the hops: a loop is told as one.
    if (header.fields > this.#limits.headerFields)
      this.refuse(replies.tooManyHeaderFields, 'header-too-large', sink);
  }

  #deliver(bytes: Buffer, start: number, end: number, sink: SessionSink): void {
    this.bodyBytes += end - start;
    if (this.bodyBytes > this.#limits.messageBytes) this.refuse(replies.messageTooLarge, 'too-large', sink);
    if (this.refusal === undefined)
      sink.body(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
  }
}
