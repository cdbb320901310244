/**
 * Header fields and status fields out of words that may be anybody's: an address, a reply of a hop, an operator's
 * template. Whatever comes in, one field comes out: no control character and no line end survives, and no line is
 * longer than RFC 5322 §2.1.1 allows. Pure.
 */

/** RFC 5322 §2.1.1 allows 998 octets a line; the longest name of a field and its separator come on top. */
const maxValueBytes = 900;
/** RFC 5322 §2.1.1: better not longer than this. */
const goodLineChars = 78;
/** RFC 2047 §2: 75 with the `=?utf-8?B?` and `?=` around; of base64 that is 45 octets. */
const encodedWordBytes = 45;

/** What ends a line, steers a terminal or is half a character, as question marks. */
export function withoutControls(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/gu, '?');
}

/** Whole characters, at most so many octets of UTF-8. */
export function cutBytes(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  let cut = '';
  let bytes = 0;
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > maxBytes) break;
    cut += character;
  }
  return cut;
}

export function isAscii(text: string): boolean {
  return /^[\0-\x7f]*$/.test(text);
}

/** A field on one line, its blanks as they are: for addresses and ids, in which a fold would be a change. */
export function field(name: string, value: string): string {
  return `${name}: ${cutBytes(withoutControls(value), maxValueBytes)}\r\n`;
}

/** A field of prose: runs of blanks are one blank, folded at blanks. A blank line can never come of it. */
export function foldedField(name: string, value: string): string {
  const words = cutBytes(withoutControls(value), maxValueBytes).split(' ');
  let folded = `${name}:`;
  let lineChars = folded.length;
  let first = true;
  for (const word of words) {
    if (word === '') continue;
    const fold = !first && lineChars + 1 + word.length > goodLineChars;
    folded += fold ? `\r\n ${word}` : ` ${word}`;
    lineChars = (fold ? 0 : lineChars) + 1 + word.length;
    first = false;
  }
  return `${folded}\r\n`;
}

/** Unstructured text as RFC 2047 §5 lets it stand in a header: encoded words where it is not ASCII. */
export function encodeUnstructured(text: string): string {
  const clean = cutBytes(withoutControls(text), maxValueBytes);
  // RFC 2047 §6: what looks like an encoded word would be read as one.
  if (isAscii(clean) && !clean.includes('=?')) return clean;
  const words: string[] = [];
  for (let rest = clean; rest !== '';) {
    const part = cutBytes(rest, encodedWordBytes);
    words.push(`=?utf-8?B?${Buffer.from(part).toString('base64')}?=`);
    rest = rest.slice(part.length);
  }
  return words.join(' ');
}
