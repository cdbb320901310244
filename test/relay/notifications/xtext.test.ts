import { describe, expect, test } from 'vitest';

import {
  decodeOriginalRecipient,
  decodeUnitext,
  decodeXtext,
} from '../../../src/relay/notifications/xtext.js';

describe('xtext', () => {
  test.each([
    ['QQ314159', 'QQ314159', 'nothing to decode'],
    ['joe+2Bbox+3D1', 'joe+box=1', 'plus and equals, which xtext never holds as they are'],
    ['a+20b', 'a b', 'a blank'],
    ['+0D+0AX-Evil:+20yes', '+0D+0AX-Evil:+20yes', 'a line end: stays as it was written (A-085)'],
    ['+00', '+00', 'a NUL'],
    ['+1B[2J', '+1B[2J', 'an escape sequence'],
    ['+C3+BC', '+C3+BC', 'octets beyond ASCII'],
    ['+2b', '+2b', 'lower case is no xtext'],
    ['a+', 'a+', 'cut short'],
  ])('%s is %s: %s', (written, decoded) => {
    expect(decodeXtext(written)).toBe(decoded);
  });
});

describe('embedded code points of utf-8 addresses (RFC 6533 §3)', () => {
  test.each([
    ['\\x{7528}\\x{6237}@example.net', '用户@example.net', 'two characters'],
    ['\\x{1F600}@example.net', '😀@example.net', 'beyond the basic plane'],
    ['\\x{c4}@example.net', 'Ä@example.net', 'lower case, as RCPT takes it'],
    ['\\x{0A}@example.net', '\\x{0A}@example.net', 'a line end stays as it was written'],
    ['\\x{D800}@example.net', '\\x{D800}@example.net', 'half a surrogate pair'],
    ['\\x{FFFFFF}', '\\x{FFFFFF}', 'beyond Unicode'],
    ['\\x{2028}', '\\x{2028}', 'a line separator'],
  ])('%s is %s: %s', (written, decoded) => {
    expect(decodeUnitext(written)).toBe(decoded);
  });
});

test.each([
  ['rfc822;joe+2Bbox@example.org', false, 'rfc822; joe+box@example.org'],
  ['RFC822;joe@example.org', false, 'RFC822; joe@example.org'],
  ['utf-8;\\x{7528}@example.net', true, 'utf-8; 用@example.net'],
  ['utf-8;\\x{7528}@example.net', false, 'utf-8; \\x{7528}@example.net'],
  ['without a type', false, 'without a type'],
])('ORCPT %s (international: %s) is %s', (written, international, field) => {
  expect(decodeOriginalRecipient(written, international)).toBe(field);
});
