import { expect, test } from 'vitest';
import { HeaderScanner } from '../../src/protocol/header-scanner.js';

function scan(text: string, pieceBytes: number): object {
  const scanner = new HeaderScanner();
  scanner.begin();
  const bytes = Buffer.from(text, 'latin1');
  for (let from = 0; from < bytes.length && !scanner.ended; from += pieceBytes)
    scanner.scan(bytes, from, Math.min(bytes.length, from + pieceBytes));
  const { headerBytes, receivedFields, startsWithSpace, ended } = scanner;
  return { headerBytes, receivedFields, startsWithSpace, ended };
}

test.each([
  ['no header at all', '\r\nbody', { headerBytes: 2, receivedFields: 0, ended: true }],
  [
    'a header and its blank line',
    'A: b\r\n\r\nReceived: x\r\n',
    { headerBytes: 8, receivedFields: 0, ended: true },
  ],
  ['a header that has not ended', 'A: b\r\nC', { headerBytes: 7, receivedFields: 0, ended: false }],
  ['a blank line needs its LF', 'A: b\r\n\r', { headerBytes: 7, receivedFields: 0, ended: false }],
  [
    'a line of spaces is a continuation',
    'A: b\r\n \r\n\r\n',
    { headerBytes: 11, receivedFields: 0, ended: true },
  ],
  [
    'Received in any case',
    'Received: a\r\nRECEIVED:b\r\nrEcEiVeD:\r\n c\r\n\r\n',
    { receivedFields: 3, ended: true },
  ],
  [
    'what only begins like it',
    'Received-SPF: a\r\nReceive: b\r\nXReceived: c\r\n Received: d\r\nReceived : e\r\nReceived\x1a x\r\n\r\n',
    { receivedFields: 0, ended: true },
  ],
  ['the very first bytes are a space (A-012)', ' a\r\n\r\n', { startsWithSpace: true, ended: true }],
  ['or a tab', '\ta\r\n\r\n', { startsWithSpace: true, ended: true }],
  ['a later continuation is fine', 'A: b\r\n c\r\n\r\n', { startsWithSpace: false, ended: true }],
])('%s, in one piece or many', (_, text, expected) => {
  for (const pieceBytes of [1, 2, 3, 5, 1000])
    expect(scan(text, pieceBytes), `pieces of ${pieceBytes}`).toMatchObject(expected);
});

test('the index behind the blank line', () => {
  const scanner = new HeaderScanner();
  scanner.begin();
  const bytes = Buffer.from('xxA: b\r\n\r\nbody');
  expect(scanner.scan(bytes, 2, bytes.length)).toBe(10);
});
