/**
 * Reverse-path and forward-path, RFC 5321 §4.1.2: one pass over the bytes, no regular expression, so that no input
 * costs more than its length (attacks.md A-063). Strict: what is not in the grammar is refused, but for local parts
 * longer than 64 octets, which bounce addresses of large senders have. Whether `%`, `!` or an `@` inside a quoted
 * local part may pass is the policy's business.
 */
import {
  AT,
  ATEXT,
  BACKSLASH,
  COLON,
  COMMA,
  DOT,
  GREATER,
  LEFT_BRACKET,
  LESS,
  QTEXT,
  QUOTE,
  is,
  isUtf8,
  lowerAscii,
} from './characters.js';
import { scanAddressLiteral, scanDomain } from './domain.js';
import type { Mailbox } from './types.js';

// RFC 5321 §4.5.3.1.1 asks for 64 at least; VERP makes longer ones. With a domain of 255, `@` and the brackets this
// bounds the path, source route included.
const maxLocalPartBytes = 256;
const maxPathBytes = maxLocalPartBytes + 255 + 3;

const nullPath: Mailbox = Object.freeze({ address: '', localPart: '', domain: '' });

export type PathFault = 'syntax' | 'utf8';

/**
 * One per session; `parse` fills the fields in. They are valid when it returned undefined.
 */
export class PathParser {
  mailbox: Mailbox = nullPath;
  /** The first byte after `>`. */
  end = 0;
  /** The address has octets from 0x80 up: well-formed UTF-8, good in an SMTPUTF8 transaction only. */
  nonAscii = false;

  /**
   * @param start where `<` must be
   * @param limit end of the command line
   * @param kind `reverse` may be `<>`, `forward` may be `<Postmaster>`
   */
  parse(bytes: Buffer, start: number, limit: number, kind: 'reverse' | 'forward'): PathFault | undefined {
    const stop = Math.min(limit, start + maxPathBytes);
    if (bytes[start] !== LESS) return 'syntax';
    let at = start + 1;
    if (kind === 'reverse' && at < stop && bytes[at] === GREATER) return this.#accept(nullPath, at + 1);
    if (at < stop && bytes[at] === AT) at = skipSourceRoute(bytes, at, stop);
    if (at < 0) return 'syntax';
    const localEnd = scanLocalPart(bytes, at, stop);
    if (localEnd < 0 || localEnd - at > maxLocalPartBytes || localEnd >= stop) return 'syntax';
    if (bytes[localEnd] === GREATER) return this.#postmaster(bytes, at, localEnd, kind);
    if (bytes[localEnd] !== AT) return 'syntax';
    const domainEnd = scanDomainOrLiteral(bytes, localEnd + 1, stop);
    if (domainEnd < 0 || domainEnd >= stop || bytes[domainEnd] !== GREATER) return 'syntax';
    // What is ignored of it has to be well-formed too, and UTF-8 needs SMTPUTF8 there as anywhere.
    const isAsciiRoute = isAscii(bytes, start, at);
    if (!isAsciiRoute && !isUtf8(bytes, start, at)) return 'utf8';
    const fault = this.#found(bytes, at, localEnd, domainEnd);
    this.nonAscii ||= !isAsciiRoute;
    return fault;
  }

  #found(bytes: Buffer, at: number, localEnd: number, domainEnd: number): PathFault | undefined {
    const ascii = isAscii(bytes, at, domainEnd);
    if (!ascii && !isUtf8(bytes, at, domainEnd)) return 'utf8';
    // One decoding, so strings of its own that cannot pin the chunk; its parts are views on it.
    const address = bytes.toString(ascii ? 'latin1' : 'utf8', at, domainEnd);
    const localLength = ascii ? localEnd - at : bytes.toString('utf8', at, localEnd).length;
    const local = address.slice(0, localLength);
    const localPart = bytes[at] === QUOTE ? unquote(local) : local;
    this.#accept(
      { address, localPart, domain: lowerAscii(address.slice(localLength + 1), ascii) },
      domainEnd + 1,
    );
    this.nonAscii = !ascii;
    return undefined;
  }

  /** RFC 5321 §4.5.1: the one recipient without a domain. */
  #postmaster(
    bytes: Buffer,
    at: number,
    localEnd: number,
    kind: 'reverse' | 'forward',
  ): PathFault | undefined {
    const localPart = bytes.toString('latin1', at, localEnd);
    if (kind !== 'forward' || localPart.toLowerCase() !== 'postmaster') return 'syntax';
    return this.#accept({ address: localPart, localPart, domain: '' }, localEnd + 1);
  }

  #accept(mailbox: Mailbox, end: number): undefined {
    this.mailbox = mailbox;
    this.end = end;
    this.nonAscii = false;
    return undefined;
  }
}

/** `@a,@b:`: accepted and ignored, RFC 5321 §3.6.1 and Appendix C. Returns what follows the colon, or -1. */
function skipSourceRoute(bytes: Buffer, start: number, stop: number): number {
  let at = start;
  while (at < stop && bytes[at] === AT) {
    at = scanDomainOrLiteral(bytes, at + 1, stop);
    if (at < 0 || at >= stop) return -1;
    if (bytes[at] === COLON) return at + 1;
    if (bytes[at++] !== COMMA) return -1;
  }
  return -1;
}

function scanDomainOrLiteral(bytes: Buffer, at: number, stop: number): number {
  return bytes[at] === LEFT_BRACKET ? scanAddressLiteral(bytes, at, stop) : scanDomain(bytes, at, stop);
}

/** Where the local part ends, or -1: empty, a dot at an edge or doubled, a quote that does not close. */
function scanLocalPart(bytes: Buffer, start: number, stop: number): number {
  if (bytes[start] === QUOTE) return scanQuoted(bytes, start, stop);
  let at = start;
  let afterDot = true;
  for (; at < stop; at++) {
    const byte = bytes[at];
    if (is(ATEXT, byte)) afterDot = false;
    else if (byte !== DOT || afterDot) break;
    else afterDot = true;
  }
  return afterDot ? -1 : at;
}

function scanQuoted(bytes: Buffer, start: number, stop: number): number {
  let at = start + 1;
  while (at < stop) {
    const byte = bytes[at];
    // RFC 5321 §4.1.2 allows `""`; it names nobody, and next hops differ on it.
    if (byte === QUOTE) return at === start + 1 ? -1 : at + 1;
    if (byte === BACKSLASH) at++;
    // A quoted pair is a backslash and any printable ASCII: the qtext table and the two that it leaves out.
    const escapable = byte === BACKSLASH && (bytes[at] === QUOTE || bytes[at] === BACKSLASH);
    if (!escapable && !is(QTEXT, bytes[at])) return -1;
    at++;
  }
  return -1;
}

function unquote(quoted: string): string {
  let text = '';
  for (let at = 1; at < quoted.length - 1; at++) {
    if (quoted[at] === '\\') at++;
    text += quoted[at] ?? '';
  }
  return text;
}

function isAscii(bytes: Buffer, start: number, end: number): boolean {
  let seen = 0;
  for (let at = start; at < end; at++) seen |= bytes[at] ?? 0;
  return seen < 0x80;
}
