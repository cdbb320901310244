/** The bytes of the grammar and their classes, one table look-up each. Used by every parser of this folder. */

export const NUL = 0x00;
export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const HYPHEN = 0x2d;
export const DOT = 0x2e;
export const COLON = 0x3a;
export const LESS = 0x3c;
export const EQUALS = 0x3d;
export const GREATER = 0x3e;
export const AT = 0x40;
export const LEFT_BRACKET = 0x5b;
export const BACKSLASH = 0x5c;
export const RIGHT_BRACKET = 0x5d;

/** atext, RFC 5322 §3.2.3, and UTF-8 octets (RFC 6531 §3.3; whether they are allowed is decided later). */
export const ATEXT = 1;
/** Let-dig, RFC 5321 §4.1.2, and UTF-8 octets (U-labels). */
export const LET_DIG = 2;
/** qtextSMTP, RFC 5321 §4.1.2, and UTF-8 octets. */
export const QTEXT = 4;
/** esmtp-value, RFC 5321 §4.1.2, and UTF-8 octets. */
export const VALUE = 8;
export const HEX = 16;
export const DIGIT = 32;

function classOf(byte: number): number {
  if (byte >= 0x80) return ATEXT | LET_DIG | QTEXT | VALUE;
  if (byte < 0x20 || byte === 0x7f) return 0;
  const character = String.fromCharCode(byte);
  let flags = 0;
  if (/[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]/.test(character)) flags |= ATEXT;
  if (/[A-Za-z0-9]/.test(character)) flags |= LET_DIG;
  if (character !== '"' && character !== '\\') flags |= QTEXT;
  if (character !== '=' && character !== ' ') flags |= VALUE;
  if (/[0-9A-Fa-f]/.test(character)) flags |= HEX;
  if (/[0-9]/.test(character)) flags |= DIGIT;
  return flags;
}

const classes = Uint8Array.from({ length: 256 }, (_, byte) => classOf(byte));

/** @param byte undefined (past the end) has no class */
export function is(flags: number, byte: number | undefined): boolean {
  return byte !== undefined && ((classes[byte] ?? 0) & flags) !== 0;
}

/** ASCII letters only: Unicode folding would make a Kelvin sign a `k`, and a foreign domain ours. */
export function lowerAscii(text: string, ascii: boolean): string {
  return ascii ? text.toLowerCase() : text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** RFC 3629. Decoding replaces what is malformed, so only well-formed bytes come back the same. */
export function isUtf8(bytes: Buffer, start: number, end: number): boolean {
  const again = Buffer.from(bytes.toString('utf8', start, end), 'utf8');
  return again.compare(bytes, start, end) === 0;
}
