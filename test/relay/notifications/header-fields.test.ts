import { describe, expect, test } from 'vitest';

import {
  cutBytes,
  encodeUnstructured,
  field,
  foldedField,
  withoutControls,
} from '../../../src/relay/notifications/header-fields.js';

describe('a field on one line', () => {
  test.each([
    ['a  b', 'X: a  b\r\n', 'blanks are part of an address'],
    ['a\r\nY: b', 'X: a??Y: b\r\n', 'no second field'],
    ['a\0\x1b[2J\x7f\x85\u2028b', 'X: a??[2J???b\r\n', 'no control, no separator of lines'],
    ['a\ud800b', 'X: a?b\r\n', 'no half character'],
    ['x'.repeat(2000), `X: ${'x'.repeat(900)}\r\n`, 'never longer than a line may be'],
    ['ü'.repeat(2000), `X: ${'ü'.repeat(450)}\r\n`, 'counted in octets, cut between characters'],
  ])('%j: %s', (value, expected) => {
    expect(field('X', value)).toBe(expected);
  });
});

describe('a folded field', () => {
  test.each([
    ['short', 'X: short\r\n', 'one line'],
    ['', 'X:\r\n', 'nothing'],
    [' a   b ', 'X: a b\r\n', 'runs of blanks are one, so that no line of blanks comes of them'],
    [`${'a'.repeat(60)} ${'b'.repeat(60)}`, `X: ${'a'.repeat(60)}\r\n ${'b'.repeat(60)}\r\n`, 'at a blank'],
    ['c'.repeat(100), `X: ${'c'.repeat(100)}\r\n`, 'a word that is longer than the line stays with its name'],
  ])('%j: %s', (value, expected) => {
    expect(foldedField('X', value)).toBe(expected);
  });
});

describe('a subject', () => {
  test('in ASCII stays as it is', () => {
    expect(encodeUnstructured('Delayed mail: 50% (still)')).toBe('Delayed mail: 50% (still)');
  });

  test('beyond ASCII is encoded words of at most 75 characters that decode to it', () => {
    const subject = 'Unzustellbar: Ihre Nachricht für 用户 kam zurück, 😀 und noch viel mehr Text danach';
    const words = encodeUnstructured(subject).split(' ');
    expect(words.every((word) => word.length <= 75)).toBe(true);
    const decoded = words.map((word) => /^=\?utf-8\?B\?(.*)\?=$/.exec(word)?.[1] ?? 'no encoded word');
    expect(decoded.map((word) => Buffer.from(word, 'base64').toString()).join('')).toBe(subject);
  });

  test('that looks like an encoded word is encoded, so that it is read as written', () => {
    expect(encodeUnstructured('=?utf-8?Q?x?=')).toMatch(/^=\?utf-8\?B\?/);
  });
});

test('cutBytes keeps whole characters', () => {
  expect(cutBytes('a😀b', 4)).toBe('a');
  expect(cutBytes('a😀b', 5)).toBe('a😀');
});

test('withoutControls leaves scripts and joiners alone', () => {
  expect(withoutControls('क्‍ष 用户 é')).toBe('क्‍ष 用户 é');
});
