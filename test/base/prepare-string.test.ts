import { describe, expect, it } from 'vitest';

import { prepareString } from '../../src/base/prepare-string.js';

describe('names and passwords have one spelling', () => {
  const table: [text: string, prepared: string | undefined, why: string][] = [
    // The examples of RFC 4013 §3; the last two need the tables that are left out, or are refused.
    ['I\u00ADX', 'IX', 'SOFT HYPHEN mapped to nothing'],
    ['user', 'user', 'no transformation'],
    ['USER', 'USER', 'case preserved, will not match user'],
    ['\u00AA', 'a', 'output is NFKC'],
    ['\u2168', 'IX', 'output is NFKC, matches the first'],
    ['\u0007', undefined, 'a prohibited character'],
    ['e\u0301', '\u00e9', 'a composed letter and its parts are one password'],
    ['a\u00A0b\u3000c', 'a b c', 'all spaces are spaces'],
    ['pass word', 'pass word', 'a space is a character'],
    ['a\u200Db', 'ab', 'joiners are dropped'],
    ['\u{1F511}', '\u{1F511}', 'emoji newer than Unicode 3.2 are let through'],
    ['', undefined, 'nothing'],
    ['\u00AD', undefined, 'nothing that can be seen'],
    ['a\0b', undefined, 'NUL, the separator of SASL PLAIN'],
    ['a\nb', undefined, 'a line end'],
    ['a\x7fb', undefined, 'DEL'],
    ['a\x85b', undefined, 'a C1 control'],
    ['a\u2028b', undefined, 'a line separator'],
    ['a\uFFFDb', undefined, 'what broken UTF-8 decodes to (A-101)'],
    ['a\ud800b', undefined, 'half a character'],
    ['x'.repeat(1024), 'x'.repeat(1024), 'as long as it may be'],
    ['x'.repeat(1025), undefined, 'too long'],
    ['\u00e9'.repeat(600), undefined, 'too long in bytes'],
    ['\uFDFA'.repeat(300), undefined, 'too long after normalisation: U+FDFA becomes 18 characters'],
  ];
  it.each(table.map(([text, prepared, why]) => ({ text, prepared, why })))('$why', ({ text, prepared }) => {
    expect(prepareString(text)).toBe(prepared);
  });

  it('gives what it gave for what it gave', () => {
    for (const [, prepared] of table)
      if (prepared !== undefined) expect(prepareString(prepared)).toBe(prepared);
  });
});
