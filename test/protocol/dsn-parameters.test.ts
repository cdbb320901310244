import { describe, expect, test } from 'vitest';
import {
  parseEnvelopeId,
  parseNotify,
  parseOriginalRecipient,
  parseRet,
} from '../../src/protocol/dsn-parameters.js';

test.each([
  ['FULL', 'FULL'],
  ['hdrs', 'HDRS'],
  ['BODY', undefined],
  ['FULL,HDRS', undefined],
])('C-122 RET=%s → %s', (value, ret) => {
  expect(parseRet(value)).toBe(ret);
});

test.each<[string, string | undefined, string]>([
  ['QQ314159', 'QQ314159', 'as it is'],
  ['a+2Bb', 'a+2Bb', 'still encoded'],
  ['x'.repeat(100), 'x'.repeat(100), '100 characters'],
  ['x'.repeat(101), undefined, '101'],
  ['a+0A', undefined, 'a line end inside (A-085)'],
])('C-122 ENVID=%s → %s: %s', (value, envelopeId) => {
  expect(parseEnvelopeId(value)).toBe(envelopeId);
});

test.each<[string, string[] | undefined, string]>([
  ['NEVER', [], 'an empty list'],
  ['never', [], 'in any case'],
  ['SUCCESS', ['SUCCESS'], 'one'],
  ['delay,Failure,SUCCESS', ['DELAY', 'FAILURE', 'SUCCESS'], 'all, in their order'],
  ['SUCCESS,SUCCESS', ['SUCCESS'], 'twice is once'],
  ['NEVER,SUCCESS', undefined, 'NEVER stands alone'],
  ['SUCCESS,NEVER', undefined, 'at any place'],
  ['NEVER,NEVER', undefined, 'even with itself'],
  ['SUCCESS,', undefined, 'a word is missing'],
  [',', undefined, 'two are'],
  ['SUCCESSES', undefined, 'another word'],
])('C-122 NOTIFY=%s → %j: %s', (value, notify) => {
  expect(parseNotify(value)).toEqual(notify);
});

/** As the session hands it over: one character for each octet. */
function octets(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

describe('C-122 ORCPT', () => {
  test.each<[string, string]>([
    ['rfc822;joe@example.org', 'an address'],
    ['RFC822;Joe+2Bx@Example.ORG', 'as it was written'],
    ['rfc822;', 'an empty one: xtext may be empty'],
    ['X-400;c+3Dus', 'of another type'],
    [`rfc822;${'x'.repeat(493)}`, '500 octets'],
    ['utf-8;\\x{5B9D}@x.test', 'RFC 6533: a code point in ASCII'],
    ['utf-8;\\x{20}\\x{2B}\\x{3D}\\x{5C}\\x{80}\\x{fff}\\x{ffff}\\x{fffff}\\x{10ffff}', 'all forms of it'],
    ['UTF-8;joe@x.test', 'none needed'],
  ])('%s: %s', (value) => {
    expect(parseOriginalRecipient(value, false)).toBe(value);
    expect(parseOriginalRecipient(value, true)).toBe(value);
  });

  test('UTF-8 in an address of type utf-8, where MAIL said SMTPUTF8', () => {
    expect(parseOriginalRecipient(octets('utf-8;用户@x.test'), true)).toBe('utf-8;用户@x.test');
    expect(parseOriginalRecipient(octets('utf-8;用户@x.test'), false)).toBeUndefined();
    expect(parseOriginalRecipient(octets('rfc822;用户@x.test'), true)).toBeUndefined();
    expect(parseOriginalRecipient(octets('用;joe@x.test'), true)).toBeUndefined();
  });

  test.each<[string, string]>([
    ['joe@example.org', 'no type'],
    [';joe@example.org', 'an empty one'],
    ['rfc.822;joe', 'a type that is no atom'],
    ['rf(c;joe', 'nor is this'],
    ['rfc822;a=b', 'no xtext'],
    ['rfc822;a+0D+0ARCPT+20TO:+3Cx+3E', 'a line end inside (A-085)'],
    [`rfc822;${'x'.repeat(494)}`, '501 octets'],
    ['utf-8;', 'nothing: this grammar has a 1*'],
    ['utf-8;a+2Bb@x.test', 'xtext is not the encoding of this type'],
    ['utf-8;\\x{0A}', 'a line end inside (A-085)'],
    ['utf-8;\\x{41}', 'a character that needs no encoding'],
    ['utf-8;\\x{D800}', 'a surrogate'],
    ['utf-8;\\x{110000}', 'beyond Unicode'],
    ['utf-8;\\x{0E9}', 'a leading zero'],
    ['utf-8;\\x{E9', 'no end'],
    ['utf-8;\\E9', 'no beginning'],
    ['utf-8;\\x{\\x{20}20}', 'one inside another'],
    ['utf-8;\xc3', 'half a character'],
  ])('%s is none: %s', (value) => {
    expect(parseOriginalRecipient(value, true)).toBeUndefined();
  });
});
