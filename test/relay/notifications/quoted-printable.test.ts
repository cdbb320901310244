import fc from 'fast-check';
import { expect, test } from 'vitest';

import { encodeQuotedPrintable } from '../../../src/relay/notifications/quoted-printable.js';

test.each([
  ['plain\r\ntext\r\n', 'plain\r\ntext\r\n', 'nothing to do'],
  ['a=b', 'a=3Db', 'the equals sign'],
  ['grün', 'gr=C3=BCn', 'octets beyond ASCII'],
  ['blank \r\ntab\t\r\nend ', 'blank=20\r\ntab=09\r\nend=20', 'blanks at the end of a line'],
  ['a\rb\nc', 'a=0Db=0Ac', 'a CR or LF alone'],
  ['\x7f\0', '=7F=00', 'controls'],
  ['x'.repeat(76), `${'x'.repeat(75)}=\r\nx`, 'a soft break'],
  [`${'x'.repeat(74)}=`, `${'x'.repeat(74)}=\r\n=3D`, 'never within an encoded octet'],
])('%j is %j: %s', (text, expected) => {
  expect(encodeQuotedPrintable(Buffer.from(text))).toBe(expected);
});

/** RFC 2045 §6.7, the other way round. */
function decode(text: string): Buffer {
  const joined = text.replaceAll('=\r\n', '');
  return Buffer.from(
    joined.replaceAll(/=([0-9A-F]{2})/g, (_all, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    ),
    'latin1',
  );
}

test('any bytes come back, in lines of at most 76 characters of ASCII', () => {
  const piece = fc.constantFrom('\r\n', '\r', '\n', ' ', '\t', '=', 'x', 'ü', '\0', 'x'.repeat(40));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const bytes = Buffer.from(pieces.join(''));
      const encoded = encodeQuotedPrintable(bytes);
      expect(decode(encoded).equals(bytes)).toBe(true);
      expect(encoded.split('\r\n').every((line) => /^[\t -~]{0,76}$/.test(line))).toBe(true);
    }),
  );
});
