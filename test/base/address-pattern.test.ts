import { describe, expect, it } from 'vitest';

import { parseAddressPattern } from '../../src/base/address-pattern.js';

describe('an address pattern matches', () => {
  const table: [pattern: string, address: string, matches: boolean, why: string][] = [
    ['127.0.0.2', '127.0.0.2', true, 'the address itself'],
    ['127.0.0.2', '127.0.0.20', false, 'numbers, not text'],
    ['127.0.0.[2..11]', '127.0.0.2', true, 'the low end belongs to a range'],
    ['127.0.0.[2..11]', '127.0.0.11', true, 'and the high end'],
    ['127.0.0.[2..11]', '127.0.0.1', false, 'nothing below'],
    ['127.0.0.[2..11]', '127.0.0.12', false, 'nothing above'],
    ['127.0.0.[2..11]', '127.0.1.2', false, 'other octets are compared too'],
    ['127.0.[0..255].[1,3,5]', '127.0.77.3', true, 'ranges and alternatives in one pattern'],
    ['127.0.[0..255].[1,3,5]', '127.0.77.4', false, 'not one of the alternatives'],
    ['127.0.0.[1;3;10..12]', '127.0.0.11', true, "Postfix's separator, and a range among alternatives"],
    ['127.0.0.[ 2 , 4 ]', '127.0.0.4', true, 'spaces around alternatives'],
  ];
  it.each(table)('%s · %s → %s: %s', (pattern, address, matches) => {
    expect(parseAddressPattern(pattern)?.matches(address)).toBe(matches);
  });
});

describe('what is no address pattern', () => {
  const table: [text: string, why: string][] = [
    ['', 'nothing'],
    ['127.0.0', 'three octets'],
    ['127.0.0.2.3', 'five'],
    ['127.0.0.256', 'beyond an octet'],
    ['127.0.0.-1', 'no number'],
    ['127.0.0.', 'an empty octet'],
    ['127.0.0.[', 'an open bracket'],
    ['127.0.0.]', 'a closed one'],
    ['127.0.0.[[2]]', 'nested brackets'],
    ['127.0.0.[2]3', 'text behind a bracket'],
    ['127.0.0.3[2]', 'text before a bracket'],
    ['127.0.0.[]', 'no alternative'],
    ['127.0.0.[2,]', 'an empty alternative'],
    ['127.0.0.[11..2]', 'a range that runs backwards'],
    ['127.0.0.[2..4..6]', 'a range with three ends'],
    ['127.0.0.[2-11]', 'another notation for a range'],
    ['127.0.0.[2--11]', 'and another'],
    ['127.0.0.*', 'a wildcard'],
  ];
  it.each(table)('"%s": %s', (text) => {
    expect(parseAddressPattern(text)).toBeUndefined();
  });

  it('takes linear time for 100 000 brackets (A-063)', () => {
    expect(parseAddressPattern('['.repeat(100_000))).toBeUndefined();
    expect(parseAddressPattern(`127.0.0.[${'1,'.repeat(100_000)}1]`)).toBeDefined();
  });
});
