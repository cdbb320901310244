/** The message that `postern send` sends: composed from a subject and a text, or read from a file. Pure. */
import { randomUUID } from 'node:crypto';

export interface TestMessage {
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly body: string;
  readonly date: Date;
}

// RFC 5322 §2.2.3 wants a fold somewhere; 39 bytes of UTF-8 make an encoded word of at most 75 (RFC 2047 §2).
const encodedWordBytes = 39;

/** RFC 5322 with CRLF line ends. Text that is not ASCII is UTF-8: 8bit in the body, encoded words in the subject. */
export function composeMessage(message: TestMessage): Buffer {
  const at = message.from.lastIndexOf('@');
  const domain = at < 0 ? 'localhost' : message.from.slice(at + 1);
  const lines = [
    `Date: ${rfc5322Date(message.date)}`,
    `From: <${message.from === '' ? `postmaster@${domain}` : message.from}>`,
    `To: ${message.to.map((address) => `<${address}>`).join(',\r\n ')}`,
    `Subject: ${headerText(message.subject)}`,
    `Message-ID: <${randomUUID()}@${domain}>`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Transfer-Encoding: ${isAscii(message.body) ? '7bit' : '8bit'}`,
    '',
    '',
  ];
  return Buffer.concat([Buffer.from(lines.join('\r\n')), toCrlf(Buffer.from(`${message.body}\n`))]);
}

/** Any mix of line ends becomes CRLF (RFC 5321 §2.3.8); all other bytes stay. */
export function toCrlf(text: Buffer): Buffer {
  return Buffer.from(text.toString('latin1').replaceAll(/\r\n|\r|\n/g, '\r\n'), 'latin1');
}

export function isAscii(text: string | Buffer): boolean {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  return bytes.every((byte) => byte < 0x80);
}

/** RFC 5322 §3.3: `+0000`, where toUTCString says GMT. */
function rfc5322Date(date: Date): string {
  return date.toUTCString().replace(/GMT$/, '+0000');
}

function headerText(text: string): string {
  // A line break in a subject would start a header field of its own.
  const line = text.replaceAll(/[\r\n]+/g, ' ');
  if (isAscii(line)) return line;
  const words: string[] = [];
  let word = '';
  for (const character of line) {
    if (Buffer.byteLength(word + character) > encodedWordBytes) {
      words.push(word);
      word = '';
    }
    word += character;
  }
  words.push(word);
  return words.map((part) => `=?utf-8?B?${Buffer.from(part).toString('base64')}?=`).join('\r\n ');
}
