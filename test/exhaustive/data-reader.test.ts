/**
 * Every string over {CR, LF, '.', 'a', NUL} up to length 8 (488 281): whole, byte by byte and in every two pieces,
 * against the reference. Not one `expect` a string: half a million of those would take minutes.
 */
import { describe, expect, test } from 'vitest';
import { DataReader } from '../../src/protocol/data-reader.js';
import { referenceRead, type Reading } from './reference-reader.js';
import { alphabet, strings } from './strings.js';

const longest = 8;

const reader = new DataReader(1024);

/** @param edges where one chunk ends and the next begins, the total last */
function read(bytes: Buffer, edges: readonly number[]): Reading {
  reader.begin();
  let body = '';
  let from = 0;
  for (const edge of edges) {
    const chunk = bytes.subarray(from, edge);
    for (let at = 0; at < chunk.length; at = reader.position) {
      const event = reader.scan(chunk, at);
      for (let piece = 0; piece < reader.pieceCount; piece++)
        body += chunk.toString('latin1', reader.pieceStart(piece), reader.pieceEnd(piece));
      if (event === 'end') return reading(from + reader.position, body);
    }
    from = edge;
  }
  return reading(-1, body);
}

function reading(end: number, body: string): Reading {
  const { defect, doubtfulEnd } = reader;
  if (defect === 'line-too-long') throw new Error('no line is');
  return { end, defect, body: defect === undefined ? body : '', doubtfulEnd };
}

function same(a: Reading, b: Reading): boolean {
  return a.end === b.end && a.defect === b.defect && a.body === b.body && a.doubtfulEnd === b.doubtfulEnd;
}

describe('data reader, all strings up to length 8 (C-054 C-055 C-057 A-010)', () => {
  for (let length = 0; length <= longest; length++) {
    const single = Array.from({ length }, (_, at) => at + 1);
    test(
      `length ${length}: whole, byte by byte and in two pieces read as the reference does`,
      { timeout: 120_000 },
      () => {
        let compared = 0;
        for (const text of strings(length)) {
          const expected = referenceRead(text);
          const bytes = Buffer.from(text, 'latin1');
          if (!same(read(bytes, [length]), expected)) fail('whole', text, read(bytes, [length]), expected);
          if (!same(read(bytes, single), expected)) fail('byte by byte', text, read(bytes, single), expected);
          for (let edge = 1; edge < length; edge++)
            if (!same(read(bytes, [edge, length]), expected))
              fail(`cut at ${edge}`, text, read(bytes, [edge, length]), expected);
          compared++;
        }
        expect(compared).toBe(alphabet.length ** length);
      },
    );
  }
});

function fail(how: string, text: string, found: Reading, expected: Reading): never {
  expect({ how, text, ...found }).toEqual({ how, text, ...expected });
  throw new Error('the comparison and expect disagree');
}
