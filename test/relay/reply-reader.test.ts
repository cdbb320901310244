import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { HopReply } from '../../src/relay/last-reply.js';
import { ReplyReader } from '../../src/relay/reply-reader.js';

function read(...chunks: (string | Buffer)[]): HopReply[] {
  const reader = new ReplyReader();
  const replies: HopReply[] = [];
  for (const chunk of chunks) reader.feed(Buffer.from(chunk), (reply) => replies.push(reply));
  return replies;
}

const ignore = (): void => undefined;

describe('replies', () => {
  it.each([
    ['one line', '250 2.0.0 Ok\r\n', [{ code: 250, lines: ['2.0.0 Ok'] }]],
    ['a code without text (RFC 5321 §4.2)', '250\r\n', [{ code: 250, lines: [''] }]],
    ['a code and a space', '250 \r\n', [{ code: 250, lines: [''] }]],
    ['several lines', '250-a\r\n250-B c\r\n250 d\r\n', [{ code: 250, lines: ['a', 'B c', 'd'] }]],
    ['a bare code as the last line', '250-a\r\n250\r\n', [{ code: 250, lines: ['a', ''] }]],
    ['a dash in the text', '550 -no-\r\n', [{ code: 550, lines: ['-no-'] }]],
    [
      'several replies in one chunk',
      '250 a\r\n354 b\r\n',
      [
        { code: 250, lines: ['a'] },
        { code: 354, lines: ['b'] },
      ],
    ],
    ['UTF-8 in the text, byte for byte', '550 \u00e9\r\n', [{ code: 550, lines: ['\u00c3\u00a9'] }]],
  ])('are read: %s', (_name, bytes, replies) => {
    expect(read(bytes)).toEqual(replies);
    expect(read(...bytes.split(/(?<=.)/s).map((one) => Buffer.from(one)))).toEqual(replies);
  });

  it.each([
    ['a line of 10 MB without an end', `250 ${'x'.repeat(10_000_000)}`],
    ['a line one byte too long', `250 ${'x'.repeat(4096 - 5)}\r\n`],
    ['endless continuation lines', '250-x\r\n'.repeat(1_000_000)],
    ['a code that changes half-way', '250-a\r\n550 b\r\n'],
    ['code 199', '199 a\r\n'],
    ['code 600', '600 a\r\n'],
    ['no code', 'hello\r\n'],
    ['two digits', '25\r\n'],
    ['four digits', '2500 a\r\n'],
    ['an empty line', '\r\n'],
    ['a bare LF as the end', '250 a\n'],
    ['nothing but LF', '\n'],
    ['a bare CR in the text', '250 a\rb\r\n'],
    ['a NUL', '250 a\0b\r\n'],
    ['HTTP', 'HTTP/1.1 400 Bad Request\r\n'],
    ['TLS', Buffer.from([0x15, 3, 1, 0, 2, 2, 0x0a])],
  ])('A-140: %s breaks the protocol', (_name, bytes) => {
    expect(() => read(bytes)).toThrow(expect.objectContaining({ code: 'RELAY_PROTOCOL' }));
  });

  it('A-140: an endless line is noticed however small its pieces are', () => {
    const reader = new ReplyReader();
    const drip = (): void => {
      for (let i = 0; i < 5000; i++) reader.feed(Buffer.from('2'), () => undefined);
    };
    expect(drip).toThrow(expect.objectContaining({ code: 'RELAY_PROTOCOL' }));
  });

  it('the longest line that is allowed is read', () => {
    const text = 'x'.repeat(4096 - 6);
    expect(read(`250 ${text}\r\n`)).toEqual([{ code: 250, lines: [text] }]);
  });

  it('the bound on the whole counts anew for each reply', () => {
    const reply = '250-x\r\n'.repeat(5000) + '250 y\r\n';
    expect(read(reply, reply, reply)).toHaveLength(3);
  });

  it('are the same however the bytes are cut', () => {
    const texts = fc.string({ unit: 'grapheme-ascii', maxLength: 40 });
    const reply = fc.tuple(
      fc.integer({ min: 200, max: 599 }),
      fc.array(texts, { minLength: 1, maxLength: 4 }),
    );
    fc.assert(
      fc.property(fc.array(reply, { maxLength: 5 }), fc.array(fc.nat(30)), (replies, cuts) => {
        const bytes = replies
          .map(([code, lines]) =>
            lines.map((line, i) => `${code}${i < lines.length - 1 ? '-' : ' '}${line}\r\n`).join(''),
          )
          .join('');
        const chunks: string[] = [];
        let at = 0;
        for (const cut of cuts) chunks.push(bytes.slice(at, (at += cut)));
        chunks.push(bytes.slice(at));
        expect(read(...chunks)).toEqual(replies.map(([code, lines]) => ({ code, lines })));
      }),
    );
  });

  it('idle tells whether something of a next reply is there', () => {
    const reader = new ReplyReader();
    expect(reader.idle).toBe(true);
    reader.feed(Buffer.from('220 go\r\n'), ignore);
    expect(reader.idle).toBe(true);
    reader.feed(Buffer.from('2'), ignore);
    expect(reader.idle).toBe(false);
    reader.feed(Buffer.from('50-injected\r\n'), ignore);
    expect(reader.idle).toBe(false);
  });
});
