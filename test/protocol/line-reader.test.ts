import { describe, expect, test } from 'vitest';
import { byteLoopLine } from '../exhaustive/byte-loop-line.js';
import { LineReader } from '../../src/protocol/line-reader.js';

const bound = 20;

/** Everything the reader says about `text` in chunks of `chunkBytes`; lines in angle brackets. */
function read(text: string, chunkBytes: number, inAuth = false): string[] {
  const reader = new LineReader(bound);
  const said: string[] = [];
  const bytes = Buffer.from(text, 'latin1');
  for (let from = 0; from < bytes.length; from += chunkBytes) {
    const chunk = Buffer.from(bytes.subarray(from, from + chunkBytes));
    for (let at = 0; at < chunk.length; at = reader.position) {
      const event = reader.next(chunk, at, inAuth);
      if (event === 'line') said.push(`<${reader.source.toString('latin1', reader.start, reader.end)}>`);
      else if (event !== 'more') said.push(event + (reader.auth ? ' auth' : ''));
      if (event === 'endless') return said;
    }
    chunk.fill('?'); // views end with the chunk
  }
  return said;
}

const chunkings = [1, 2, 3, 7, 19, 20, 21, 4096, 200_000];

test.each([
  ['lines', 'a\r\nbc\r\n\r\nd\r\n', ['<a>', '<bc>', '<>', '<d>']],
  ['a line that has not ended is not one yet', 'a\r\nbc\r', ['<a>']],
  ['C-008: a LF alone ends nothing', 'a\nb\r\n', ['<a\nb>']],
  ['C-008: nor does a CR', 'a\rb\r\r\n', ['<a\rb\r>']],
  ['LF CR is not CR LF', 'a\n\rb\r\n', ['<a\n\rb>']],
  ['the longest line allowed', `${'x'.repeat(18)}\r\ny\r\n`, [`<${'x'.repeat(18)}>`, '<y>']],
  [
    'A-060: one byte more is too long, once, and the next line is in step',
    `${'x'.repeat(19)}\r\ny\r\n`,
    ['too-long', '<y>'],
  ],
  [
    'A-060: far too long, with bare CRs and LFs on the way',
    `${'x\ny\r'.repeat(100)}\r\ny\r\n`,
    ['too-long', '<y>'],
  ],
  [
    'C-117: AUTH has its own bound',
    `auTH ${'x'.repeat(12_281)}\r\ny\r\n`,
    [`<auTH ${'x'.repeat(12_281)}>`, '<y>'],
  ],
  ['C-117: and passes that too', `AUTH ${'x'.repeat(12_282)}\r\ny\r\n`, ['too-long auth', '<y>']],
  [
    'C-035: MAIL may be longer by what its parameters need',
    `mail ${'x'.repeat(682)}\r\ny\r\n`,
    [`<mail ${'x'.repeat(682)}>`, '<y>'],
  ],
  ['C-035: and no more', `MAIL ${'x'.repeat(683)}\r\ny\r\n`, ['too-long', '<y>']],
  ['C-035: so may RCPT', `Rcpt ${'x'.repeat(549)}\r\ny\r\n`, [`<Rcpt ${'x'.repeat(549)}>`, '<y>']],
  ['C-035: by a little less', `RCPT ${'x'.repeat(550)}\r\ny\r\n`, ['too-long', '<y>']],
  ['MAILS is not MAIL', `MAILS${'x'.repeat(100)}\r\ny\r\n`, ['too-long', '<y>']],
  ['AUTHX is not AUTH', `AUTHX${'x'.repeat(100)}\r\ny\r\n`, ['too-long', '<y>']],
  ['A-060: 64 KiB and no end', 'x'.repeat(65_537), ['too-long', 'endless']],
  ['64 KiB with an end', `${'x'.repeat(65_534)}\r\ny\r\n`, ['too-long', '<y>']],
  [
    'a LF right behind a line too long belongs to the next',
    `${'x'.repeat(30)}\r\n\ny\r\n`,
    ['too-long', '<\ny>'],
  ],
  ['two lines too long', `${'x'.repeat(30)}\r\n${'y'.repeat(30)}\r\nz\r\n`, ['too-long', 'too-long', '<z>']],
])('%s, however it is cut', (_, text, said) => {
  for (const chunkBytes of chunkings) expect(read(text, chunkBytes), `chunks of ${chunkBytes}`).toEqual(said);
});

test('C-117: a SASL response has the bound of AUTH', () => {
  for (const chunkBytes of chunkings) {
    expect(read(`${'x'.repeat(12_286)}\r\n`, chunkBytes, true)).toEqual([`<${'x'.repeat(12_286)}>`]);
    expect(read(`${'x'.repeat(12_287)}\r\n`, chunkBytes, true)).toEqual(['too-long auth']);
  }
});

describe('copies', () => {
  test('a line inside one chunk is a view on it', () => {
    const reader = new LineReader(2048);
    const chunk = Buffer.from('NOOP\r\nQUIT\r\n');
    reader.next(chunk, 0, false);
    expect(reader.source).toBe(chunk);
  });

  test('a line over two chunks is gathered', () => {
    const reader = new LineReader(2048);
    reader.next(Buffer.from('NO'), 0, false);
    expect(reader.partial).toBe(true);
    const second = Buffer.from('OP\r\nQUIT\r\n');
    expect(reader.next(second, 0, false)).toBe('line');
    expect(reader.source).not.toBe(second);
    expect(reader.position).toBe(4);
    expect(reader.partial).toBe(false);
    expect(reader.next(second, 4, false)).toBe('line');
    expect(reader.source).toBe(second);
  });
});

test('all strings over {CR, LF, a} to length 8, whole and byte by byte, end where the loop over bytes says', () => {
  const alphabet = ['\r', '\n', 'a'];
  let compared = 0;
  for (let length = 1; length <= 8; length++) {
    for (let number = 0; number < alphabet.length ** length; number++) {
      let text = '';
      for (let rest = number; text.length < length; rest = Math.floor(rest / 3)) text += alphabet[rest % 3];
      const wanted = linesByLoop(text);
      const found = [read(text, 1), read(text, 8)];
      if (found.some((lines) => lines.join() !== wanted.join()))
        expect({ text, found }).toEqual({ text, found: [wanted, wanted] });
      compared++;
    }
  }
  expect(compared).toBe(9840);
});

function linesByLoop(text: string): string[] {
  const bytes = Buffer.from(text, 'latin1');
  const lines: string[] = [];
  for (
    let from = 0, after = byteLoopLine(bytes, 0);
    after >= 0;
    from = after, after = byteLoopLine(bytes, from)
  )
    lines.push(`<${bytes.toString('latin1', from, after - 2)}>`);
  return lines;
}
