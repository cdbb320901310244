/**
 * Cuts command lines out of chunks. A line inside one chunk is a view on it (`source`, `start`, `end`); one that
 * straddles chunks is gathered in a carry buffer, which never holds more than the longest line allowed. Only CR LF
 * ends a line (RFC 5321 §2.3.8): a CR or LF alone stays in the line, and whoever parses it refuses it.
 *
 * Native search for the LF: 60 ns a line, as a byte loop takes for 6 bytes already (bench/micro/line-reader.bench.ts).
 */
import { CR, LF } from './characters.js';
import { matches } from './verb-table.js';

// RFC 4954 §4: AUTH's own bound, with its CRLF.
const authLineBytes = 12_288;
// What the parameters that we know add to 512: for MAIL SIZE 26 (RFC 1870 §3), BODY 17 (RFC 6152 §2), SMTPUTF8 10
// (RFC 6531 §3.1), AUTH 500 (RFC 4954 §3), RET and ENVID 116; for RCPT NOTIFY and ORCPT 536 (RFC 3461 §4).
const mailGrowthBytes = 669;
const rcptGrowthBytes = 536;
// What is left of a line that was too long is read and dropped; a client that sends more than this has no line end.
const endlessLineBytes = 65_536;

export type LineEvent =
  /** `source`, `start` and `end` (CRLF excluded) are a line. */
  | 'line'
  /** The chunk is used up. */
  | 'more'
  /** The line passed its bound: reported once, its rest is dropped. */
  | 'too-long'
  /** The rest of it has no end in sight. */
  | 'endless';

const empty = Buffer.alloc(0);

export class LineReader {
  source: Buffer = empty;
  start = 0;
  end = 0;
  /** Where the next line begins in the chunk given to `next`. */
  position = 0;
  /** The line that was too long had AUTH's bound. */
  auth = false;
  readonly #lineBytes: number;
  #carry: Buffer = empty;
  #carried = 0;
  #dropping = false;
  #dropped = 0;
  #afterCr = false;

  /** @param lineBytes longest line, CRLF included; that of AUTH, MAIL and RCPT is longer */
  constructor(lineBytes: number) {
    this.#lineBytes = lineBytes;
  }

  /** A line has begun and not ended: in the carry, or being dropped. */
  get partial(): boolean {
    return this.#carried > 0 || this.#dropping;
  }

  /**
   * @param chunk borrowed: after 'line' the views stay valid until the next call
   * @param inAuth the line is a SASL response
   */
  next(chunk: Buffer, from: number, inAuth: boolean): LineEvent {
    if (this.#dropping) return this.#drop(chunk, from);
    let limit = from - this.#carried + (inAuth ? authLineBytes : this.#lineBytes);
    let after = this.#scan(chunk, from, limit);
    this.auth = inAuth;
    if (after < 0 && chunk.length >= limit && !inAuth) {
      const scanned = Math.max(from, limit);
      limit = from - this.#carried + this.#ownBytes(chunk, from);
      after = this.#scan(chunk, scanned, limit);
    }
    if (after >= 0) return this.#line(chunk, from, after);
    if (chunk.length >= limit) return this.#tooLong(from, limit);
    this.#append(chunk, from, chunk.length);
    this.position = chunk.length;
    return 'more';
  }

  /** The index after the CR LF, or -1; keeps in mind whether the last byte was a CR. */
  #scan(chunk: Buffer, from: number, limit: number): number {
    const stop = Math.min(chunk.length, limit);
    if (from >= stop) return -1;
    if (this.#afterCr && chunk[from] === LF) return from + 1;
    for (let lf = chunk.indexOf(LF, from); lf >= 0 && lf < stop; lf = chunk.indexOf(LF, lf + 1)) {
      if (lf > from && chunk[lf - 1] === CR) return lf + 1; // one before `from` was the last octet of a chunk
    }
    this.#afterCr = chunk[stop - 1] === CR;
    return -1;
  }

  #line(chunk: Buffer, from: number, after: number): LineEvent {
    this.position = after;
    this.#afterCr = false;
    if (this.#carried === 0) {
      this.source = chunk;
      this.start = from;
      this.end = after - 2;
      return 'line';
    }
    this.#append(chunk, from, after);
    this.source = this.#carry;
    this.start = 0;
    this.end = this.#carried - 2;
    this.#carried = 0;
    return 'line';
  }

  /** Some verbs may be longer, and are told apart by their first bytes, wherever the chunk edge fell. */
  #ownBytes(chunk: Buffer, from: number): number {
    const wordBytes = 'AUTH '.length;
    const head =
      this.#carried >= wordBytes
        ? this.#carry
        : Buffer.concat([this.#carry.subarray(0, this.#carried), chunk.subarray(from, from + wordBytes)]);
    this.auth = matches(head, 0, 'AUTH ');
    if (this.auth) return authLineBytes;
    if (matches(head, 0, 'MAIL ')) return this.#lineBytes + mailGrowthBytes;
    return this.#lineBytes + (matches(head, 0, 'RCPT ') ? rcptGrowthBytes : 0);
  }

  #tooLong(from: number, at: number): LineEvent {
    this.#dropped = this.#carried + at - from;
    this.#carried = 0;
    this.#carry = empty;
    this.#dropping = true;
    this.position = at;
    return 'too-long';
  }

  #drop(chunk: Buffer, from: number): LineEvent {
    const after = this.#scan(chunk, from, chunk.length);
    this.position = after < 0 ? chunk.length : after;
    this.#dropped += this.position - from;
    if (this.#dropped > endlessLineBytes) return 'endless';
    if (after >= 0) {
      this.#dropping = false;
      this.#afterCr = false;
    }
    return 'more';
  }

  #append(chunk: Buffer, from: number, to: number): void {
    const needed = this.#carried + to - from;
    if (needed > this.#carry.length) this.#grow(needed);
    chunk.copy(this.#carry, this.#carried, from, to);
    this.#carried = needed;
  }

  /** The usual bound first, that of longer verbs only when a line needs it. */
  #grow(needed: number): void {
    const longest = Math.max(authLineBytes, this.#lineBytes + mailGrowthBytes);
    const size = needed <= this.#lineBytes ? this.#lineBytes : longest;
    const carry = Buffer.allocUnsafeSlow(size);
    this.#carry.copy(carry, 0, 0, this.#carried);
    this.#carry = carry;
  }
}
