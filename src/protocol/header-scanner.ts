/**
 * Watches the body's bytes go by until the blank line that ends the header, and counts there: header bytes and
 * `Received:` fields (RFC 5321 §6.3). One native search per header line; after the header it is not called any more.
 */
import { COLON, CR, LF, SPACE, TAB } from './characters.js';

// Field names ignore case (RFC 5322 §1.2.2).
const receivedName = Buffer.from('received:', 'latin1');

export class HeaderScanner {
  headerBytes = 0;
  receivedFields = 0;
  /** The first line is a continuation: it would become part of our trace field (attacks.md A-012). */
  startsWithSpace = false;
  ended = false;
  // Bytes of the current line seen so far, as far as they matter: up to the length of `received:`.
  #column = 0;
  #matching = true;
  #onlyCr = false;

  begin(): void {
    this.headerBytes = 0;
    this.receivedFields = 0;
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
      if (lf < 0 || lf >= end) {
        at = end;
        break;
      }
      this.ended = this.#onlyCr && lf === at;
      this.#beginLine();
      at = lf + 1;
    }
    this.headerBytes += at - start;
    return at;
  }

  /** Goes over the first bytes of a line as long as they may be `Received:` or nothing but the CR. */
  #lineBegin(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && this.#matching) {
      const byte = bytes[at] ?? 0;
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
      }
    }
    return at;
  }
}
