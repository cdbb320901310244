/** Messages that next hops like to change: each with what is special about it, as a client sends it (CRLF). */

export interface CorpusMessage {
  readonly name: string;
  readonly bytes: Buffer;
  readonly eightBit: boolean;
}

function message(name: string, body: string, eightBit = false): CorpusMessage {
  const header = `From: a@client.test\r\nTo: joe@example.test\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <${name.replaceAll(/[^a-z0-9]+/g, '-')}@client.test>\r\nSubject: ${name}\r\nX-Folded: a\r\n\tb\r\n`;
  return { name, bytes: Buffer.from(`${header}\r\n${body}`, 'latin1'), eightBit };
}

const sentence = 'All work and no play makes Jack a dull boy.\r\n';

/** Lines of at most 998 characters (RFC 5321 §4.5.3.1.6), so that no server has a reason to break one. */
export const corpus: readonly CorpusMessage[] = [
  message('dots alone and doubled', '.\r\n..\r\n.a\r\n...\r\n'),
  message('an empty body', ''),
  message('empty lines at the end', 'x\r\n\r\n\r\n'),
  message('tabs and trailing blanks', '\tx  \r\n  \r\n\t\r\n'),
  message('lines that look like mbox', 'From here on\r\n>From\r\n'),
  message('lines of 998 characters', `${'x'.repeat(998)}\r\n${'.'.repeat(998)}\r\n`),
  message('utf-8 text', Buffer.from('Grüße aus Köln, 日本\r\n').toString('latin1'), true),
  message(
    'all 8-bit bytes',
    `${Array.from({ length: 128 }, (_, i) => String.fromCharCode(i + 128)).join('')}\r\n`,
    true,
  ),
  message('25 MiB', sentence.repeat(Math.floor((25 * 2 ** 20) / sentence.length))),
];

/** Splits off the fields on top that mail servers add. @param stored with LF line ends */
export function withoutTrace(stored: string): { trace: string[]; rest: string } {
  const trace: string[] = [];
  let rest = stored;
  for (;;) {
    const field = /^(Return-Path|Delivered-To|X-Original-To|Envelope-To|Received):.*\n(?:[ \t].*\n)*/i.exec(
      rest,
    );
    if (field?.[1] === undefined) return { trace, rest };
    trace.push(field[1]);
    rest = rest.slice(field[0].length);
  }
}
