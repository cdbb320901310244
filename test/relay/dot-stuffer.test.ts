import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DotStuffer } from '../../src/relay/dot-stuffer.js';

/** Slow and plain: what RFC 5321 §4.5.2 says, on the whole message. */
function reference(message: string): string {
  const stuffed = message.split('\r\n').map((line) => (line.startsWith('.') ? `.${line}` : line));
  const body = stuffed.join('\r\n');
  return body === '' || body.endsWith('\r\n') ? `${body}.\r\n` : `${body}\r\n.\r\n`;
}

function stuffed(chunks: readonly string[]): string {
  const stuffer = new DotStuffer();
  let sent = '';
  for (const chunk of chunks) sent += stuffer.stuff(Buffer.from(chunk, 'latin1')).toString('latin1');
  return sent + stuffer.end().toString('latin1');
}

function* strings(alphabet: string, length: number): Generator<string> {
  if (length === 0) yield '';
  else for (const head of strings(alphabet, length - 1)) for (const last of alphabet) yield head + last;
}

describe('dot stuffing', () => {
  it('is the reference for every string of CR, LF, dot and a up to 8 bytes, whole, byte by byte, and cut in two', () => {
    let checked = 0;
    for (let length = 0; length <= 8; length++)
      for (const message of strings('\r\n.a', length)) {
        const wanted = reference(message);
        let same = stuffed([message]) === wanted && stuffed(message.split('')) === wanted;
        if (length <= 6)
          for (let cut = 1; cut < length; cut++)
            same &&= stuffed([message.slice(0, cut), message.slice(cut)]) === wanted;
        if (!same) expect.fail(JSON.stringify(message));
        checked++;
      }
    expect(checked).toBe(87_381);
  }, 120_000); // two seconds of work on an idle machine

  it('is the reference behind so many dots that the rest is copied byte by byte', () => {
    const dense = '\r\n.'.repeat(40);
    for (let length = 0; length <= 6; length++)
      for (const message of strings('\r\n.a', length))
        if (stuffed([dense + message]) !== reference(dense + message)) expect.fail(JSON.stringify(message));
    for (let hits = 30; hits <= 35; hits++)
      for (const head of ['', '.', '\n.', 'a'])
        for (const tail of ['', '\r\n', '\r\n.', '.', '\r']) {
          const message = `${head}${'\r\n.'.repeat(hits)}${tail}`;
          expect(stuffed([message])).toBe(reference(message));
          expect(stuffed(['x\r', message])).toBe(reference(`x\r${message}`));
        }
  });

  it('is the reference for long messages in random pieces', () => {
    const pieces = fc.array(
      fc.array(fc.constantFrom('\r\n', '.', '\r', '\n', 'text', '\r\n.', '\r\n.\r\n')),
      {
        maxLength: 30,
      },
    );
    fc.assert(
      fc.property(pieces, (parts) => {
        const chunks = parts.map((part) => part.join(''));
        expect(stuffed(chunks)).toBe(reference(chunks.join('')));
      }),
    );
  });

  it('C-058: keeps every byte value', () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    expect(new DotStuffer().stuff(all)).toEqual(all);
  });

  it('passes a chunk without dots on without a copy', () => {
    const chunk = Buffer.from('a\r\nb\r\n');
    expect(new DotStuffer().stuff(chunk)).toBe(chunk);
  });

  it('A-001: what is sent has its end of data at the end alone', () => {
    const message = '.\r\n\r\n.\r\n..\r\n.\r\n';
    expect(stuffed([message]).indexOf('\r\n.\r\n')).toBe(stuffed([message]).length - 5);
  });
});
