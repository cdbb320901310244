import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  forRecipient,
  dnsblDeferred,
  dnsblRefused,
  greeting,
  openingReplies,
  queuedAs,
  replies,
} from '../../src/protocol/replies.js';
import type { Reply } from '../../src/protocol/types.js';
import { options } from './harness.js';

const opening = openingReplies({ ...options, secure: true, mechanisms: ['PLAIN', 'LOGIN'] });
const all: Reply[] = [
  ...Object.values(replies),
  queuedAs('0HN5K3XJ2Q8A0001'),
  dnsblRefused('192.0.2.1', 'zen.example'),
  dnsblDeferred('2001:db8::1', 'zen.example'),
  dnsblRefused('192.0.2.1', `${'x'.repeat(600)}.example`),
  greeting('mx.test ESMTP\r\n250 injected'),
  opening.greeting,
  opening.ehlo,
  opening.helo,
];

// The golden reply table of conformance.md, and what its rows C-114 to C-120 and attacks.md add to it.
const golden = new Set(
  `220|220 2.0.0|214 2.0.0|221 2.0.0|235 2.7.0|250|250 2.0.0|250 2.1.0|250 2.1.5|252 2.5.0|334|354|421 4.3.2|421 4.4.2|421 4.7.0|451 4.3.0|451 4.7.1|452 4.3.1|452 4.5.3|454 4.7.0|500 5.5.2|500 5.5.6|501 5.5.4|501 5.1.7|501 5.1.3|501 5.5.2|501 5.7.0|502 5.5.1|503 5.5.1|504 5.5.4|521 5.5.1|530 5.7.0|535 5.7.8|538 5.7.11|550 5.7.1|550 5.1.1|550 5.6.0|552 5.3.4|553 5.6.7|554 5.5.0|554 5.5.1|554 5.4.6|554 5.7.1|555 5.5.4|556 5.1.10`.split(
    '|',
  ),
);

describe.each(all.map((reply) => [reply.name, reply] as const))('%s', (_, reply) => {
  const lines = reply.bytes.toString('latin1').split('\r\n');

  test('C-030 C-036 C-103: one code on each line, ASCII, at most 512 octets', () => {
    expect(lines.pop()).toBe('');
    expect(lines.length).toBeGreaterThan(0);
    lines.forEach((line, index) => {
      expect(line).toMatch(
        index === lines.length - 1 ? /^[2-5]\d\d [\x20-\x7e]*$/ : /^[2-5]\d\d-[\x20-\x7e]+$/,
      );
      expect(line.startsWith(String(reply.code))).toBe(true);
      expect(line.length + 2).toBeLessThanOrEqual(512);
    });
  });

  test("C-106: an enhanced code of the reply's class, but for greeting, EHLO, HELO, 334 and 354", () => {
    const bare = ['greeting', 'ehlo', 'helo', 'startMail', 'authContinue', 'authUserName', 'authPassword'];
    if (bare.includes(reply.name)) expect(reply.enhanced).toBe('');
    else {
      expect(reply.enhanced).toMatch(/^[245]\.\d{1,3}\.\d{1,3}$/);
      expect(reply.enhanced.charAt(0)).toBe(String(reply.code).charAt(0));
      expect(reply.bytes.toString('latin1')).toContain(` ${reply.enhanced} `);
    }
  });

  test('C-031 C-134: a pair of the golden table', () => {
    expect(golden).toContain(`${reply.code} ${reply.enhanced}`.trim());
  });
});

test('the reply that promises: 250 2.0.0 Ok: queued as ID', () => {
  expect(queuedAs('ID').bytes.toString()).toBe('250 2.0.0 Ok: queued as ID\r\n');
});

test('A-084: what is put into a reply cannot begin another line', () => {
  expect(greeting('a\r\n250 b').bytes.toString()).toBe('220 a??250 b\r\n');
});

test('A-084: an LMTP recipient in its reply is printable and cut, and the line as short as any', () => {
  expect(forRecipient(queuedAs('ID'), 'b@ok.test').bytes.toString()).toBe(
    '250 2.0.0 <b@ok.test> Ok: queued as ID\r\n',
  );
  const hostile = forRecipient(replies.nulInMessage, `"\r\n250 \u009b${'ü'.repeat(600)}"@ok.test`);
  expect(hostile).toMatchObject({ name: 'nulInMessage', code: 550, enhanced: '5.6.0' });
  expect(hostile.bytes.toString()).toMatch(/^550 5\.6\.0 <"\?\?250 \?{241,}> Message has a NUL\r\n$/);
  expect(hostile.bytes.length).toBeLessThanOrEqual(512);
});

test('a greeting text without the host name gets it in front', () => {
  expect(openingReplies({ ...options, greeting: 'ESMTP' }).greeting.bytes.toString()).toBe(
    '220 mx.test ESMTP\r\n',
  );
});

test('no other file of the protocol has the digits of a reply', () => {
  const directory = join(import.meta.dirname, '../../src/protocol');
  for (const file of readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.ts') && name !== 'replies.ts',
  )) {
    const code = readFileSync(join(directory, file), 'utf8').replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, '');
    expect(code.match(/['"`][2-5]\d\d[ -]/g) ?? [], file).toEqual([]);
  }
});
