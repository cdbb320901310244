import { describe, expect, it } from 'vitest';

import { describeReply, enhancedCodeOf, printable } from '../../src/relay/last-reply.js';

describe('what is kept of a reply', () => {
  it.each([
    ['one line', { code: 250, lines: ['2.0.0 Ok'] }, '250 2.0.0 Ok'],
    [
      'several lines are joined',
      { code: 550, lines: ['5.1.1 no', '5.1.1 such user'] },
      '550 5.1.1 no 5.1.1 such user',
    ],
    ['a bare code stays bare', { code: 250, lines: [''] }, '250'],
    ['A-086: an escape sequence', { code: 550, lines: ['5.1.1 \u001b]0;x\u0007'] }, '550 5.1.1 ?]0;x?'],
    ['A-086: bytes above 127', { code: 550, lines: ['\u00c3\u00a9'] }, '550 ??'],
  ])('%s', (_name, reply, kept) => {
    expect(describeReply(reply)).toBe(kept);
  });

  it('A-086: a megabyte of continuation lines is cut to 512 characters', () => {
    const reply = { code: 550, lines: Array.from({ length: 10_000 }, () => 'x'.repeat(100)) };
    expect(describeReply(reply)).toHaveLength(512);
    expect(printable('\n'.repeat(1000))).toBe('?'.repeat(512));
  });

  it.each([
    ['5.2.2 full', '5.2.2'],
    ['4.5.3', '4.5.3'],
    ['5.2.2full', ''],
    ['full 5.2.2', ''],
    ['9.1.1 x', ''],
    ['', ''],
  ])('the enhanced code at the head of %j is %j', (text, code) => {
    expect(enhancedCodeOf({ code: 552, lines: [text] })).toBe(code);
  });
});
