import { describe, expect, test } from 'vitest';
import { formatDate, traceField, type TraceFacts } from '../../src/protocol/received.js';

const facts: TraceFacts = {
  clientName: 'client.example',
  clientAddress: '192.0.2.1',
  hostname: 'mx.test',
  protocol: 'smtp',
  extended: true,
  secure: false,
  authenticated: false,
  smtpUtf8: false,
  queueId: '0HN5K3XJ2Q8A0001',
  forPath: 'b@ok.test',
  date: new Date('2026-01-02T03:04:05Z'),
};

function field(changes: Partial<TraceFacts> = {}): string {
  return traceField({ ...facts, ...changes }).toString('utf8');
}

// RFC 5321 §4.4 with RFC 5322 §3.3's date-time, as far as we write it.
const grammar =
  /^Received: from (?:[A-Za-z0-9.-]+|\[[^\]\s]+\]) \(\[[^\]\s]+\]\)\r\n\tby [A-Za-z0-9.-]+ with (?:SMTP|(?:ESMTP|UTF8SMTP|LMTP|UTF8LMTP)S?A?) id [0-9A-Z]+(?:\r\n\tfor <[^\r\n]+>)?;\r\n\t[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n$/;

test('C-064 C-065 C-066: the whole field', () => {
  expect(field()).toBe(
    'Received: from client.example ([192.0.2.1])\r\n\tby mx.test with ESMTP id 0HN5K3XJ2Q8A0001\r\n\tfor <b@ok.test>;\r\n\tFri, 2 Jan 2026 03:04:05 +0000\r\n',
  );
});

test('C-067: several recipients, no `for`', () => {
  expect(field({ forPath: undefined })).not.toContain('for <');
  expect(field({ forPath: undefined })).toMatch(grammar);
});

test('a `for` needs a domain: Postmaster has none', () => {
  expect(field({ forPath: 'Postmaster' })).not.toContain('for <');
});

test.each([
  [false, false, false, false, 'SMTP'],
  [true, false, false, false, 'ESMTP'],
  [true, true, false, false, 'ESMTPS'],
  [true, false, true, false, 'ESMTPA'],
  [true, true, true, false, 'ESMTPSA'],
  [true, false, false, true, 'UTF8SMTP'],
  [true, true, false, true, 'UTF8SMTPS'],
  [true, false, true, true, 'UTF8SMTPA'],
  [true, true, true, true, 'UTF8SMTPSA'],
])(
  'C-104 C-105: EHLO %s, TLS %s, AUTH %s, SMTPUTF8 %s is %s',
  (extended, secure, authenticated, smtpUtf8, type) => {
    const text = field({ extended, secure, authenticated, smtpUtf8 });
    expect(text).toContain(` with ${type} id `);
    expect(text).toMatch(grammar);
  },
);

test.each([
  [false, false, false, 'LMTP'],
  [true, false, false, 'LMTPS'],
  [false, true, false, 'LMTPA'],
  [true, true, true, 'UTF8LMTPSA'],
])('C-104 C-105: LMTP, TLS %s, AUTH %s, SMTPUTF8 %s is %s', (secure, authenticated, smtpUtf8, type) => {
  const text = field({ protocol: 'lmtp', secure, authenticated, smtpUtf8 });
  expect(text).toContain(` with ${type} id `);
  expect(text).toMatch(grammar);
});

test('IPv6 clients have a tag in their literal', () => {
  expect(field({ clientAddress: '2001:db8::1' })).toContain('([IPv6:2001:db8::1])');
});

describe('A-081: an EHLO name that does not fit the grammar never gets in', () => {
  test.each([
    'x) by evil (y',
    'x\tfor <v@d>',
    'a;b',
    'a_b',
    '',
    '[999.1.1.1]',
    'x\r\nX-Evil: 1',
    'é',
    '-a',
    '"a"',
    'a'.repeat(300),
  ])('%j', (clientName) => {
    expect(field({ clientName })).toContain('from unknown ([192.0.2.1])');
    expect(field({ clientName })).toMatch(grammar);
  });

  test.each(['mail.example.org', 'localhost', '[192.0.2.7]', '[IPv6:::1]'])('%j does', (clientName) => {
    expect(field({ clientName })).toContain(`from ${clientName} (`);
    expect(field({ clientName })).toMatch(grammar);
  });
});

test.each([
  ['2026-03-04T05:06:07.999Z', 'Wed, 4 Mar 2026 05:06:07 +0000'],
  ['1999-12-31T23:59:59Z', 'Fri, 31 Dec 1999 23:59:59 +0000'],
  ['2024-02-29T00:00:00Z', 'Thu, 29 Feb 2024 00:00:00 +0000'],
])('C-069: %s is %s', (iso, formatted) => {
  expect(formatDate(new Date(iso))).toBe(formatted);
  expect(new Date(formatted).getTime()).toBe(Math.floor(Date.parse(iso) / 1000) * 1000);
});
