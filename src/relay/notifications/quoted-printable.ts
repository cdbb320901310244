/** RFC 2045 §6.7, for the parts of a notification that would not be seven bits and short lines otherwise. Pure. */

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const EQUALS = 0x3d;
/** Without the CRLF; a soft break's `=` is the 76th. */
const maxLineChars = 75;

/** CRLF stays a line end; a CR or LF alone is encoded. The result is ASCII, its lines at most 76 characters. */
export function encodeQuotedPrintable(bytes: Buffer): string {
  let text = '';
  let lineChars = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === CR && bytes[at + 1] === LF) {
      text += '\r\n';
      lineChars = 0;
      at++;
      continue;
    }
    const token = isPlain(byte, bytes, at) ? String.fromCharCode(byte) : `=${hex(byte)}`;
    if (lineChars + token.length > maxLineChars) {
      text += '=\r\n';
      lineChars = 0;
    }
    text += token;
    lineChars += token.length;
  }
  return text;
}

function isPlain(byte: number, bytes: Buffer, at: number): boolean {
  if (byte === SPACE || byte === TAB) return !endsLine(bytes, at + 1);
  return byte > SPACE && byte < 0x7f && byte !== EQUALS;
}

/** Blanks at the end of a line are lost on some ways. */
function endsLine(bytes: Buffer, at: number): boolean {
  return at >= bytes.length || bytes[at] === CR || bytes[at] === LF;
}

function hex(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, '0');
}
