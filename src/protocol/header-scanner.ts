/**
 * Watches the body's bytes go by until the blank line that ends the header, and counts there: header bytes, fields, `Received:`
 * fields (RFC 5321 §6.3) and those of them that are ours. One native search per header line; only the text of
 * `Received:` is looked at byte by byte. After the header it is not called any more.
 */
import { COLON, CR, LF, SPACE, TAB } from './characters.js';
import { ReceivedBy } from './received-by.js';

// Field names ignore case (RFC 5322 §1.2.2).
const receivedName = Buffer.from('received:', 'latin1');

export class HeaderScanner {
  headerBytes = 0;
  fields = 0;
  receivedFields = 0;
  /** With our own name behind `by`. */
  ownReceivedFields = 0;
  /** The first line is a continuation: it would become part of our trace field (attacks.md A-012). */
  startsWithSpace = false;
  ended = false;
  // Bytes of the current line seen so far, as far as they matter: up to the length of `received:`.
  #column = 0;
  #matching = true;
  #onlyCr = false;
  /** The current line belongs to a `Received:` field. */
  #inReceived = false;
  readonly #receivedBy: ReceivedBy;

  /** @param hostname ASCII, lower case */
  constructor(hostname: string) {
    this.#receivedBy = new ReceivedBy(hostname);
  }

  begin(): void {
    this.headerBytes = 0;
    this.fields = 0;
    this.receivedFields = 0;
    this.ownReceivedFields = 0;
    this.#inReceived = false;
    this.startsWithSpace = false;
    this.ended = false;
    this.#beginLine();
  }

  #beginLine(): void {
    this.#column = 0;
    this.#matching = true;
    this.#onlyCr = false;
  }

  /** @returns the index after the blank line, or `end` when the header goes on */
  scan(bytes: Buffer, start: number, end: number): number {
    if (this.headerBytes === 0 && start < end) {
      this.startsWithSpace = bytes[start] === SPACE || bytes[start] === TAB;
    }
    let at = start;
    while (at < end && !this.ended) {
      at = this.#lineBegin(bytes, at, end);
      if (at === end) break;
      const lf = bytes.indexOf(LF, at);
      const lineEnd = lf < 0 || lf >= end ? end : lf + 1;
      if (this.#inReceived) this.#scanReceived(bytes, at, lineEnd);
      if (lineEnd === lf + 1) {
        this.ended = this.#onlyCr && lf === at;
        this.#beginLine();
      } else this.#onlyCr = false;
      at = lineEnd;
    }
    this.headerBytes += at - start;
    return at;
  }

  #scanReceived(bytes: Buffer, start: number, end: number): void {
    if (this.#receivedBy.matched) return;
    this.#receivedBy.scan(bytes, start, end);
    if (this.#receivedBy.matched) this.ownReceivedFields++;
  }

  /** Goes over the first bytes of a line as long as they may be `Received:` or nothing but the CR. */
  #lineBegin(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && this.#matching) {
      const byte = bytes[at] ?? 0;
      // RFC 5322 §2.2.3: a line that begins with a blank goes on with the field before.
      if (this.#column === 0 && byte !== SPACE && byte !== TAB) {
        this.#inReceived = false;
        if (byte !== CR) this.fields++;
      }
      if (this.#column === 0 && byte === CR) {
        this.#onlyCr = true;
        this.#matching = false;
        return at + 1;
      }
      const wanted = receivedName[this.#column] ?? 0;
      if (byte !== wanted && (wanted === COLON || byte !== wanted - 0x20)) {
        this.#matching = false;
        return at;
      }
      at++;
      this.#column++;
      if (this.#column === receivedName.length) {
        this.receivedFields++;
        this.#matching = false;
        this.#inReceived = true;
        this.#receivedBy.begin();
      }
    }
    return at;
  }
}
