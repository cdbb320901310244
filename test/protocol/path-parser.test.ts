/** Paths, RFC 5321 §4.1.2: one line a case, its reason as the title. */
import { describe, expect, test } from 'vitest';
import { PathParser } from '../../src/protocol/path-parser.js';

const parser = new PathParser();

function parse(text: string, kind: 'reverse' | 'forward' = 'forward'): unknown {
  const bytes = Buffer.from(text, 'utf8');
  const fault = parser.parse(bytes, 0, bytes.length, kind);
  return fault ?? { ...parser.mailbox, rest: bytes.toString('utf8', parser.end) };
}

test.each([
  ['a plain mailbox', '<joe@ok.test>', 'joe@ok.test', 'joe', 'ok.test'],
  [
    'the local part keeps its case, the domain is folded for comparison (C-006, C-080)',
    '<JoE@Ok.TEST>',
    'JoE@Ok.TEST',
    'JoE',
    'ok.test',
  ],
  [
    'every atext character',
    "<!#$%&'*+-/=?^_`{|}~@ok.test>",
    "!#$%&'*+-/=?^_`{|}~@ok.test",
    "!#$%&'*+-/=?^_`{|}~",
    'ok.test',
  ],
  ['dots inside a local part', '<a.b.c@ok.test>', 'a.b.c@ok.test', 'a.b.c', 'ok.test'],
  [
    'a quoted local part is the same mailbox as the bare one (C-042)',
    '<"joe"@ok.test>',
    '"joe"@ok.test',
    'joe',
    'ok.test',
  ],
  [
    'a quoted pair stands for its character',
    '<"a\\"b\\\\c\\d"@ok.test>',
    '"a\\"b\\\\c\\d"@ok.test',
    'a"b\\cd',
    'ok.test',
  ],
  [
    'an @ and spaces inside quotes do not end the local part',
    '<"v@x.test and"@ok.test>',
    '"v@x.test and"@ok.test',
    'v@x.test and',
    'ok.test',
  ],
  ['brackets and colons inside quotes', '<"<:>,"@ok.test>', '"<:>,"@ok.test', '<:>,', 'ok.test'],
  [
    '% and ! are for the policy to judge',
    '<v%x.test!w@ok.test>',
    'v%x.test!w@ok.test',
    'v%x.test!w',
    'ok.test',
  ],
  ['a single label', '<a@localhost>', 'a@localhost', 'a', 'localhost'],
  ['a label of digits and hyphens', '<a@1-2.3>', 'a@1-2.3', 'a', '1-2.3'],
  ['an IPv4 literal (C-045)', '<a@[192.0.2.1]>', 'a@[192.0.2.1]', 'a', '[192.0.2.1]'],
  [
    'an IPv6 literal, folded for comparison (C-045)',
    '<a@[IPv6:2001:DB8::1]>',
    'a@[IPv6:2001:DB8::1]',
    'a',
    '[ipv6:2001:db8::1]',
  ],
  ['a source route is dropped (C-043)', '<@a.test,@[192.0.2.1]:j@d.test>', 'j@d.test', 'j', 'd.test'],
  [
    'keys of objects are names like others (A-088)',
    '<__proto__@constructor>',
    '__proto__@constructor',
    '__proto__',
    'constructor',
  ],
  ['UTF-8 on both sides; only ASCII letters are folded', '<Ünï@Ö.TEST>', 'Ünï@Ö.TEST', 'Ünï', 'Ö.test'],
  ['a Kelvin sign is not a k (§3.9)', '<v@o\u212a.test>', 'v@o\u212a.test', 'v', 'o\u212a.test'],
])('%s', (_, text, address, localPart, domain) => {
  expect(parse(text)).toEqual({ address, localPart, domain, rest: '' });
  expect(parse(text, 'reverse')).toEqual({ address, localPart, domain, rest: '' });
});

test('the null path is a reverse-path only (A-094)', () => {
  expect(parse('<>', 'reverse')).toEqual({ address: '', localPart: '', domain: '', rest: '' });
  expect(parse('<>', 'forward')).toBe('syntax');
});

test('<Postmaster> is a forward-path only, in any case (C-046)', () => {
  expect(parse('<PostMaster>')).toEqual({
    address: 'PostMaster',
    localPart: 'PostMaster',
    domain: '',
    rest: '',
  });
  expect(parse('<Postmaster>', 'reverse')).toBe('syntax');
});

test('what follows > is left for the parameter parser', () => {
  expect(parse('<a@b> SIZE=1')).toMatchObject({ rest: ' SIZE=1' });
});

test.each([
  '',
  '<',
  '>',
  'a@b',
  ' <a@b>',
  '<a@b',
  '<<a@b>',
  '<a b@c>',
  '<a>',
  '<@>',
  '<a@>',
  '<@b>',
  '<a@@b>',
  '<a@b@c>',
  '<.a@b>',
  '<a.@b>',
  '<a..b@c>',
  '<a@-b>',
  '<a@b->',
  '<a@b_c>',
  '<a@.b>',
  '<a@b.>',
  '<a@b..c>',
  '<a@b:25>',
  '<a@b c>',
  '<a@[127.0.0.1>',
  '<a@[127.0.0.1]x>',
  '<a@[127.0.0]>',
  '<a@[127.0.0.256]>',
  '<a@[127.0.0.01]>',
  '<a@[1.2.3.4.5]>',
  '<a@[]>',
  '<a@[IPv6:zz]>',
  '<a@[IPv6:::1::]>',
  '<a@[IPv6::::1]>',
  '<a@[IPv6:1:::2]>',
  '<a@[IPv6:1:2:3:4:5:6:7:8:9]>',
  '<a@[IPv6:12345::]>',
  '<a@[IPv6:1:]>',
  '<a@[IPv6::1]>',
  '<a@[evil:x]>',
  '<"a@b>',
  '<"a\\">',
  '<"a\\',
  '<"a\\">',
  '<"a',
  '<"">',
  '<""@b>',
  '<"a"b@c>',
  '<a"b"@c>',
  '<"\r\n"@b>',
  '<"a\u0001"@b>',
  '<"a\\\u0001"@b>',
  '<a\\@b>',
  '<@:a@b>',
  '<@a.test a@b>',
  '<@a.test,a@b>',
  '<@a.test',
  '<@a.test>',
  '<a\u0000@b>',
  '<a@b\u0000>',
  '<a@b%00.test>',
  '<\u007f@b>',
  '<(c)a@b>',
])('A-090 A-091 A-093 C-044: %j is no path', (text) => {
  expect(parse(text)).toBe('syntax');
  expect(parse(text, 'reverse')).toBe('syntax');
});

test.each([
  '[0.0.0.0]',
  '[255.255.255.255]',
  '[IPv6:::]',
  '[IPv6:::1]',
  '[IPv6:1::]',
  '[IPv6:1:2:3:4:5:6:7:8]',
  '[IPv6:::ffff:192.0.2.1]',
  '[IPv6:1:2:3:4:5:6:192.0.2.1]',
  '[ipv6:a::B]',
])('%s is an address literal', (literal) => {
  expect(parse(`<a@${literal}>`)).toMatchObject({ domain: literal.toLowerCase() });
});

test.each([
  ['overlong', [0xc0, 0xaf]],
  ['a surrogate', [0xed, 0xa0, 0x80]],
  ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ['cut short', [0xe2, 0x82]],
  ['a lone continuation', [0x80]],
  ['an octet of no encoding', [0xff]],
])('C-101: UTF-8 that is not: %s', (_, octets) => {
  const bytes = Buffer.concat([Buffer.from('<a'), Buffer.from(octets), Buffer.from('@b>')]);
  expect(parser.parse(bytes, 0, bytes.length, 'forward')).toBe('utf8');
});

test('U+FFFD itself is well-formed', () => {
  expect(parse('<\ufffd@b>')).toMatchObject({ localPart: '\ufffd' });
});

describe('lengths (C-032 C-033 C-034 A-092)', () => {
  const domain255 = [63, 63, 63, 63].map((length) => 'd'.repeat(length)).join('.');
  test.each([
    ['a local part of 64', `<${'l'.repeat(64)}@d>`, true],
    ['of 256, as bounce addresses may have', `<${'l'.repeat(256)}@d>`, true],
    ['of 257', `<${'l'.repeat(257)}@d>`, false],
    ['a domain of 255', `<a@${domain255}>`, true],
    ['of 256', `<a@${domain255}d>`, false],
    [
      'of 256, every label short enough',
      `<a@${[63, 63, 63, 62, 1].map((length) => 'd'.repeat(length)).join('.')}>`,
      false,
    ],
    ['a label of 64', `<a@${'d'.repeat(64)}>`, false],
    ['the longest of both', `<${'l'.repeat(256)}@${domain255}>`, true],
  ])('%s', (_, text, good) => {
    expect(parse(text) !== 'syntax').toBe(good);
  });
});

test.each([
  ['A-063: ten thousand letters', `<${'a'.repeat(10_000)}>`],
  ['A-063: two thousand brackets', '<'.repeat(2000)],
  ['A-063: a thousand escaped quotes', `<"${'\\"'.repeat(1000)}"@b>`],
  ['A-063: five hundred hops of a source route', `<${'@a,'.repeat(500)}@a:b@c>`],
  ['A-063: two thousand dots', `<a${'.a'.repeat(2000)}@b>`],
  ['A-063: two thousand labels', `<a@b${'.b'.repeat(2000)}>`],
])('%s are refused after at most one path length', (_, text) => {
  expect(parse(text)).toBe('syntax');
});

test('bytes behind the line are not looked at', () => {
  const bytes = Buffer.from('<a@b>');
  for (let limit = 0; limit < bytes.length; limit++)
    expect(parser.parse(bytes, 0, limit, 'forward')).toBe('syntax');
  expect(parser.parse(bytes, 0, bytes.length, 'forward')).toBeUndefined();
});
