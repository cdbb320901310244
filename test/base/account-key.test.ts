import { describe, expect, it } from 'vitest';
import { accountKey } from '../../src/base/account-key.js';

const alice = accountKey('alice');
const bob = accountKey('bob');

describe('the key of an account', () => {
  it('is the same however the name is written, and as long for every name', () => {
    expect(accountKey('ALICE')).toBe(alice);
    expect(accountKey('\uff21lice')).toBe(alice);
    expect(alice).not.toBe(bob);
    expect(accountKey('x'.repeat(10_000))).toMatch(/^account:[A-Za-z0-9_-]{22}$/);
  });
});

describe('A-103: no spelling that a check takes for the same user has a count of its own', () => {
  it.each([
    ['al\u00adice', 'a soft hyphen, which SASLprep maps to nothing (RFC 4013 §2.1)'],
    ['al\u200bice', 'a space without width'],
    ['\ufeffalice\u2060', 'marks and joiners that nobody sees'],
    ['al\u{e0020}ice', 'a tag'],
    [' alice  ', 'spaces around, which directories ignore (RFC 4518 §2.6.1)'],
    ['alice\u00a0', 'a space that is not U+0020'],
    ['AL\u0130CE', 'a capital I with its dot'],
    ['a\u0301lice', 'a letter with a mark'],
  ])('%j: %s', (name) => {
    expect(accountKey(name)).toBe(alice);
  });

  it('and names that no check takes have a key too', () => {
    expect(accountKey('a\nb')).not.toBe(accountKey('a\nc'));
    expect(accountKey('\u00ad')).toMatch(/^account:/);
  });
});
