import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReceivedBy } from '../../src/protocol/received-by.js';

const part = fc.constantFrom(
  'by', 'BY', ' by ', 'by mx.test ', ' by (', ') mx.test;', 'from', 'mx.test', 'MX.test', 'mx.test.x', 'b', 'bye', ' ', '\t', '\r\n ', '(', ')', '(x)', '"', '\\', ';', 'x',
); // prettier-ignore

/** Slow and plain: comments and quoted strings taken out of the whole field, then its words. */
function reference(field: string): boolean {
  let text = '';
  let depth = 0;
  let quoted = false;
  let wordOpen = false;
  for (let at = 0; at < field.length; at++) {
    const character = field.charAt(at);
    if (depth > 0 || quoted) {
      if (character === '\\') at++;
      else if (quoted) quoted = character !== '"';
      else if (character === '(') depth++;
      else if (character === ')') depth--;
    } else if (character === '(') {
      depth = 1;
      text += ' ';
      wordOpen = false;
    } else if (character === '"' && !wordOpen) {
      // A quoted string begins a word that is neither `by` nor a name.
      quoted = true;
      wordOpen = true;
      text += '?';
    } else {
      wordOpen = !' \t\r\n;'.includes(character);
      text += character.toLowerCase();
    }
  }
  const words = text.split(/[ \t\r\n;]+/).filter((word) => word !== '');
  // A word that the text ends in has not ended.
  const ended = words.slice(0, /[ \t\r\n;]$/.test(text) ? undefined : -1);
  return ended.some((word, at) => word === 'mx.test' && ended[at - 1] === 'by');
}

test('C-070: any field, in any pieces, is ours where the words say so', () => {
  let ours = 0;
  fc.assert(
    fc.property(fc.array(part, { maxLength: 20 }), fc.integer({ min: 1, max: 30 }), (parts, pieceBytes) => {
      const field = parts.join('');
      const bytes = Buffer.from(`${field}\r\n`, 'latin1');
      const scanner = new ReceivedBy('mx.test');
      scanner.begin();
      for (let at = 0; at < bytes.length; at += pieceBytes)
        scanner.scan(bytes, at, Math.min(bytes.length, at + pieceBytes));
      expect(scanner.matched).toBe(reference(`${field}\r\n`));
      if (scanner.matched) ours++;
    }),
    { numRuns: 3000 },
  );
  expect(ours).toBeGreaterThan(100);
});
