/** What short strings cannot show: long chunks, many pieces, long lines. Short ones: test/exhaustive. */
import { describe, expect, test } from 'vitest';
import { DataReader } from '../../src/protocol/data-reader.js';

interface Reading {
  events: string[];
  body: string;
  most: number;
}

function read(text: string, chunkBytes: number, maxLineBytes = 1_000_000): Reading {
  const reader = new DataReader(maxLineBytes);
  reader.begin();
  const reading: Reading = { events: [], body: '', most: 0 };
  const bytes = Buffer.from(text, 'latin1');
  for (let from = 0; from < bytes.length; from += chunkBytes) {
    const chunk = bytes.subarray(from, from + chunkBytes);
    for (let at = 0; at < chunk.length; at = reader.position) {
      const event = reader.scan(chunk, at);
      reading.most = Math.max(reading.most, reader.pieceCount);
      for (let piece = 0; piece < reader.pieceCount; piece++)
        reading.body += chunk.toString('latin1', reader.pieceStart(piece), reader.pieceEnd(piece));
      if (event === 'defect') reading.events.push(`${reader.defect} ${from + reader.position}`);
      if (event === 'end') {
        reading.events.push(`end ${from + reader.position}`);
        return reading;
      }
    }
  }
  return reading;
}

const chunkings = [1, 2, 3, 64, 1000, 65_535, 65_536, 65_537, 10_000_000];

test('a body of dots has more pieces than one scan holds, and loses none (C-057)', () => {
  const lines = Array.from({ length: 30_000 }, (_, n) => '.'.repeat(n % 4));
  const text = `${lines.map((line) => `${line === '' ? '' : '.'}${line}\r\n`).join('')}.\r\n`;
  for (const chunkBytes of chunkings) {
    const { body, events, most } = read(text, chunkBytes);
    expect(body === lines.map((line) => `${line}\r\n`).join(''), `chunks of ${chunkBytes}`).toBe(true);
    expect(events).toEqual([`end ${text.length}`]);
    expect(most).toBeLessThanOrEqual(256);
  }
});

test('a chunk larger than the window is read to its end', () => {
  const text = `${`${'x'.repeat(70)}\r\n`.repeat(5000)}.\r\nNOOP\r\n`;
  for (const chunkBytes of chunkings) {
    const { body, events } = read(text, chunkBytes);
    expect(events).toEqual([`end ${text.length - 6}`]);
    expect(body.length).toBe(72 * 5000);
  }
});

test('a defect behind the end of data is none: those bytes are commands', () => {
  expect(read('x\r\n.\r\nNOOP\n\0\r', 100).events).toEqual(['end 6']);
});

describe('the longest line (C-037 A-060), counted with CRLF and without the stuffed dot', () => {
  test.each([
    ['as long as allowed', `${'x'.repeat(8)}\r\n.\r\n`, ['end 13']],
    ['stuffed, as long as allowed', `..${'x'.repeat(7)}\r\n.\r\n`, ['end 14']],
    ['one byte too long', `${'x'.repeat(9)}\r\n.\r\n`, ['line-too-long 10', 'end 14']],
    ['stuffed, one byte too long', `.${'x'.repeat(9)}\r\n.\r\n`, ['line-too-long 11', 'end 15']],
    ['the second line', `a\r\n${'x'.repeat(9)}\r\n.\r\n`, ['line-too-long 13', 'end 17']],
    ['without an end in sight', 'x'.repeat(100), ['line-too-long 10']],
    ['before a NUL further on', `${'x'.repeat(20)}\0\r\n.\r\n`, ['line-too-long 10', 'end 26']],
    ['behind a NUL', `\0${'x'.repeat(20)}\r\n.\r\n`, ['nul 0', 'end 26']],
    ['a LF alone comes first', `xx\n${'x'.repeat(20)}\r\n.\r\n`, ['bare-newline 2', 'end 28']],
  ])('%s', (_, text, events) => {
    for (const chunkBytes of chunkings)
      expect(read(text, chunkBytes, 10).events, `chunks of ${chunkBytes}`).toEqual(events);
  });
});

test('after the first defect nothing is handed on and no second is reported', () => {
  const { body, events } = read('good\r\nbad\0bad\nbad\r\r\n.\r\n', 100);
  expect(body).toBe('good\r\nbad');
  expect(events).toEqual(['nul 9', 'end 23']);
});

test('drop: the caller has refused the message, only the end is looked for', () => {
  const reader = new DataReader(1000);
  reader.begin();
  reader.drop();
  const chunk = Buffer.from('x\r\n..\r\n.\0\r\n.\r\nNOOP');
  expect(reader.scan(chunk, 0)).toBe('end');
  expect(reader.position).toBe(chunk.length - 4);
  expect(reader.pieceCount).toBe(0);
  expect(reader.defect).toBeUndefined();
});

test('begin forgets the message before', () => {
  const reader = new DataReader(1000);
  reader.begin();
  reader.scan(Buffer.from('bad\0\r\r\n.\r\n'), 0);
  reader.scan(Buffer.from('bad\0\r\r\n.\r\n'), reader.position);
  expect(reader.doubtfulEnd).toBe(true);
  reader.begin();
  expect(reader.defect).toBeUndefined();
  expect(reader.doubtfulEnd).toBe(false);
  expect(reader.scan(Buffer.from('.\r\n'), 0)).toBe('end');
});
