import { describe, expect, test } from 'vitest';
import { HeaderScanner } from '../../src/protocol/header-scanner.js';

function scan(text: string, pieceBytes: number): object {
  const scanner = new HeaderScanner('mx.test');
  scanner.begin();
  const bytes = Buffer.from(text, 'latin1');
  for (let from = 0; from < bytes.length && !scanner.ended; from += pieceBytes)
    scanner.scan(bytes, from, Math.min(bytes.length, from + pieceBytes));
  const { headerBytes, receivedFields, ownReceivedFields, startsWithSpace, ended } = scanner;
  return { headerBytes, receivedFields, ownReceivedFields, startsWithSpace, ended };
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
  ['a CR alone begins no blank line', '\rA: b\r\n', { headerBytes: 7, ended: false }],
  ['the very first bytes are a space (A-012)', ' a\r\n\r\n', { startsWithSpace: true, ended: true }],
  ['or a tab', '\ta\r\n\r\n', { startsWithSpace: true, ended: true }],
  ['a later continuation is fine', 'A: b\r\n c\r\n\r\n', { startsWithSpace: false, ended: true }],
])('%s, in one piece or many', (_, text, expected) => {
  for (const pieceBytes of [1, 2, 3, 5, 1000])
    expect(scan(text, pieceBytes), `pieces of ${pieceBytes}`).toMatchObject(expected);
});

test.each([
  ['in its line', 'A: b\r\nMessage-ID: <1@x.test>\r\nB: c\r\n\r\n', ' <1@x.test>\r\n'],
  ['in any case, and folded', 'message-id:\r\n <1@x.test>\r\n\r\n', '\r\n <1@x.test>\r\n'],
  ['of the first field alone', 'MESSAGE-ID:1\r\nMessage-ID:2\r\n 3\r\n\r\n', '1\r\n'],
  ['cut', `Message-ID:${'x'.repeat(1000)}\r\n ${'y'.repeat(1000)}\r\n\r\n`, 'x'.repeat(256)],
  [
    'not of what only begins like it',
    'Message: 1\r\nMessage-IDs: 2\r\nMessage\rID:3\r\n Message-ID: 4\r\n\r\nMessage-ID:5\r\n',
    '',
  ],
])('the Message-ID is kept %s', (_, text, expected) => {
  const bytes = Buffer.from(text, 'latin1');
  const scanner = new HeaderScanner('mx.test');
  for (const pieceBytes of [1, 2, 3, 5, 10_000]) {
    scanner.begin();
    for (let from = 0; from < bytes.length && !scanner.ended; from += pieceBytes)
      scanner.scan(bytes, from, Math.min(bytes.length, from + pieceBytes));
    expect(scanner.messageId, `pieces of ${pieceBytes}`).toBe(expected);
  }
});

describe('C-070 our own name behind `by`', () => {
  test.each([
    ['in one line', 'Received: from a by mx.test with ESMTP id 1;\r\n', 1],
    ['as we write it', 'Received: from a ([192.0.2.1])\r\n\tby mx.test with ESMTP id 1;\r\n\tdate\r\n', 1],
    ['in other letters', 'Received: FROM a BY MX.Test;\r\n', 1],
    ['folded between the two', 'Received: from a by\r\n \t\r\n mx.test\r\n', 1],
    ['at the very end of the field', 'Received: by mx.test\r\n', 1],
    ['right behind the colon', 'Received:by mx.test;\r\n', 1],
    ['with a comment between', 'Received: by (a (nested \\) one) b) mx.test(x)\r\n', 1],
    ['behind a client that is called `by`', 'Received: from by by mx.test;\r\n', 1],
    ['twice in one field: one pass', 'Received: by mx.test by mx.test;\r\n', 1],
    ['in several fields', 'Received: by mx.test;\r\nA: b\r\nReceived: by mx.test;\r\n', 2],
    ['a name that ours begins', 'Received: by mx.test.example;\r\n', 0],
    ['a name that begins ours', 'Received: by mx.tes;\r\n', 0],
    ['a name that ends as ours', 'Received: by a.mx.test;\r\n', 0],
    ['as the client\u2019s name', 'Received: from mx.test by other;\r\n', 0],
    ['in a comment', 'Received: from a (by mx.test) by other;\r\n', 0],
    ['in a comment that does not end', 'Received: from a (by mx.test by mx.test\r\n', 0],
    ['in a quoted string', 'Received: from "x\\" by mx.test" by other;\r\n', 0],
    ['quoted itself', 'Received: by "mx.test";\r\n', 0],
    ['behind a word that ends in by', 'Received: from a standby mx.test;\r\n', 0],
    ['behind a word that begins with by', 'Received: from a bye mx.test;\r\n', 0],
    ['in another field', 'Resent: by mx.test;\r\nSubject: x\r\n by mx.test\r\n', 0],
    ['in a field that follows', 'Received: from a by\r\nSubject: mx.test\r\n', 0],
  ])('%s', (_, header, own) => {
    for (const pieceBytes of [1, 2, 3, 5, 1000])
      expect(scan(`${header}\r\n`, pieceBytes), `pieces of ${pieceBytes}`).toMatchObject({
        ownReceivedFields: own,
        ended: true,
      });
  });

  test.each(['by.test', 'b.test', 'bye.test'])('also where it is %s', (hostname) => {
    const scanner = new HeaderScanner(hostname);
    scanner.begin();
    const bytes = Buffer.from(`Received: from by by ${hostname};\r\nReceived: by by.by.test\r\n\r\n`);
    scanner.scan(bytes, 0, bytes.length);
    expect(scanner.ownReceivedFields).toBe(1);
  });

  test('is forgotten with the message', () => {
    const scanner = new HeaderScanner('mx.test');
    const first = Buffer.from('Received: from a by\r\n (');
    const second = Buffer.from(' mx.test\r\n\r\n');
    scanner.begin();
    scanner.scan(first, 0, first.length);
    scanner.begin();
    scanner.scan(second, 0, second.length);
    expect(scanner.ownReceivedFields).toBe(0);
  });
});

test('the index behind the blank line', () => {
  const scanner = new HeaderScanner('mx.test');
  scanner.begin();
  const bytes = Buffer.from('xxA: b\r\n\r\nbody');
  expect(scanner.scan(bytes, 2, bytes.length)).toBe(10);
});
