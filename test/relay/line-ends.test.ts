import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { LineEnds } from '../../src/relay/line-ends.js';

function converted(chunks: readonly string[]): string {
  const lineEnds = new LineEnds();
  const parts = chunks.map((chunk) => lineEnds.convert(Buffer.from(chunk, 'latin1')).toString('latin1'));
  return parts.join('') + lineEnds.end().toString('latin1');
}

describe('CRLF to LF', () => {
  it('is replaceAll on the whole, however the message is cut', () => {
    const text = fc.array(fc.array(fc.constantFrom('\r', '\n', '\r\n', 'a', '\u00ff')), { maxLength: 20 });
    fc.assert(
      fc.property(text, (parts) => {
        const chunks = parts.map((part) => part.join(''));
        expect(converted(chunks)).toBe(chunks.join('').replaceAll('\r\n', '\n'));
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['a CRLF across chunks', ['a\r', '\nb'], 'a\nb'],
    ['a CR that stays alone', ['a\r', 'b'], 'a\rb'],
    ['two CRs across chunks', ['\r', '\r', '\n'], '\r\n'],
    ['a CR at the end', ['a\r'], 'a\r'],
  ])('%s', (_name, chunks, text) => {
    expect(converted(chunks)).toBe(text);
  });

  it('keeps every other byte value', () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    expect(new LineEnds().convert(bytes)).toEqual(bytes);
  });
});
