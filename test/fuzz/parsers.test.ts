/** The fuzzer of single parsers: each against what must be true of any bytes, and against a slower or foreign reading. */
import { isIPv4, isIPv6 } from 'node:net';
import { expect, test } from 'vitest';

import { errorCodeOf } from '../../src/base/errors.js';
import { ClientHelloReader, type HelloEvent } from '../../src/protocol/client-hello.js';
import { isAddressLiteral } from '../../src/protocol/domain.js';
import { HeaderScanner } from '../../src/protocol/header-scanner.js';
import { parseMailParameters, parseRcptParameters } from '../../src/protocol/parameters.js';
import { PathParser } from '../../src/protocol/path-parser.js';
import { ProxyHeaderReader, type ProxyEvent } from '../../src/protocol/proxy-header.js';
import { ReceivedBy } from '../../src/protocol/received-by.js';
import { decodeBase64 } from '../../src/protocol/sasl/base64.js';
import { decodeXtext as readXtext, isPrintableXtext } from '../../src/protocol/xtext.js';
import { extensionsOf } from '../../src/relay/hop-extensions.js';
import { describeReply, type HopReply } from '../../src/relay/last-reply.js';
import { decodeOriginalRecipient, decodeXtext } from '../../src/relay/notifications/xtext.js';
import { ReplyReader } from '../../src/relay/reply-reader.js';
import { Random, seedOfRun } from '../support/random.js';

const seconds = Number(process.env['FUZZ_SECONDS'] ?? 3);
const seed = seedOfRun('FUZZ_SEED');
const printable = /^[ -~]*$/;

/** What an input is made of, and what must be true of it: throws where it is not. */
interface Target {
  readonly parts: readonly string[];
  readonly check: (bytes: Buffer, random: Random) => void;
}

const signature = '\r\n\r\n\0\r\nQUIT\n';
const controls = ['\r\n', '\r', '\n', '\0', '\x01', '\x7f', '\x80', '\xff', '\t', ' '];

const targets: Readonly<Record<string, Target>> = {
  'A-063 A-091 A-093 a path': {
    parts: [
      '<',
      '>',
      '@',
      ',',
      ':',
      '"',
      '\\',
      '.',
      'a',
      'b',
      'x.test',
      '[192.0.2.1]',
      '[IPv6:::1]',
      '-',
      '\xc3\xa9',
    ],
    check: checkPath,
  },
  'C-122 parameters of MAIL and RCPT': {
    parts: [' ', '=', ' SIZE=', '10', ' BODY=', '8BITMIME', ' SMTPUTF8', ' RET=', 'FULL', ' ENVID=', '+2B', '+', ' AUTH=', ' NOTIFY=', 'NEVER', 'DELAY', ',', ' ORCPT=', 'rfc822;', 'utf-8;', '\\x{', 'E9', '}', '-'], // prettier-ignore
    check: checkParameters,
  },
  'C-045 an address literal': {
    parts: [
      '[',
      ']',
      'IPv6:',
      'ipv6:',
      ':',
      '::',
      '.',
      '0',
      '1',
      '25',
      '255',
      '256',
      '01',
      'f',
      'ffff',
      'g',
      '1.2.3.4',
    ],
    check: checkLiteral,
  },
  'C-070 A-012 a header': {
    parts: [
      'Received:',
      'received :',
      ' by ',
      'mx.test',
      ';',
      '(',
      ')',
      '"',
      '\\',
      ': ',
      'x',
      '\r\n',
      '\r\n\r\n',
      ' by mx.test;',
    ],
    check: checkHeader,
  },
  'A-140 A-086 A-141 replies of a hop': {
    parts: [
      '250',
      '250-',
      '250 ',
      '550 ',
      '199 ',
      '600',
      '25',
      '\r\n',
      '\r\n',
      '\r\n',
      'SIZE 10',
      '__proto__',
      'AUTH PLAIN',
      'x',
    ],
    check: checkReplies,
  },
  'A-111 A-112 a PROXY header, version 1': {
    parts: ['PROXY ', 'TCP4 ', 'TCP6 ', 'UNKNOWN', '192.0.2.1 ', '2001:db8::1 ', '::1 ', '25 ', '65535', '65536', '0', ' ', '\r\n', 'EHLO t\r\n'], // prettier-ignore
    check: checkProxyHeader,
  },
  'A-111 A-112 a PROXY header, version 2': {
    parts: [`${signature}\x21\x11\0\x0c`, `${signature}\x20\0\0\0`, signature, '\x21', '\x11', '\x21', '\0', '\x0c', '\x24', '\xc0\0\x02\x01\xc0\0\x02\x02\0\x01\0\x02', '\x02\0\x01a', '\x20\0\x05\x01\0\0\0\0', '\x03\0\x04abcd', 'EHLO t\r\n'], // prettier-ignore
    check: checkProxyHeader,
  },
  'A-025 a ClientHello': {
    parts: ['\x16\x03\x01', '\x16\x03\x01\0\x01', '\0\x40', '\x01\0\0', '\x03\x03', 'x'.repeat(32), '\0', '\0\x02\x13\x01', '\x01\0', '\0\0\0\x0b\0\x09\0\0\x06a.test', '\0\x0f', '\0\x10\0\0', 'EHLO t\r\n'], // prettier-ignore
    check: checkClientHello,
  },
  'A-085 xtext': {
    parts: ['+', '+2B', '+0A', '+zz', 'a', '=', 'rfc822;', 'utf-8;', '\\x{', '2211', '}', ';', 'é'],
    check: checkXtext,
  },
  'A-100 base64': {
    parts: ['A', 'B', 'Q', '=', '==', '+', '/', '-', '_', 'AHUAcA', 'dQ'],
    check: checkBase64,
  },
};

test.each(Object.entries(targets))('%s: any bytes', { timeout: (seconds + 60) * 1000 }, (name, target) => {
  const random = new Random(seed);
  const end = performance.now() + (seconds * 1000) / Object.keys(targets).length;
  let runs = 0;
  for (; performance.now() < end; runs++) {
    const bytes = make(target.parts, random);
    try {
      target.check(bytes, random);
    } catch (error) {
      throw new Error(`seed ${seed}: ${JSON.stringify(bytes.toString('latin1'))}`, { cause: error });
    }
  }
  expect(runs).toBeGreaterThan(0);
  console.log(`fuzz: ${name}: seed ${seed}, ${runs} inputs`);
});

function make(parts: readonly string[], random: Random): Buffer {
  let text = '';
  for (let count = random.between(1, 20); count > 0; count--) {
    const part = random.pick(random.chance(0.9) ? parts : controls);
    text += random.chance(0.01) ? part.repeat(random.between(1, 300)) : part;
  }
  return Buffer.from(text, 'latin1');
}

/** `expect` costs more than what is looked at here. */
function same(one: unknown, other: unknown): void {
  const [left, right] = [JSON.stringify(one), JSON.stringify(other)];
  if (left !== right) throw new Error(`${left} is not ${right}`);
}

/** The same bytes at the end of others and in front of others: nobody reads beyond the bounds that are given. */
function embedded(bytes: Buffer, random: Random): { around: Buffer; start: number } {
  const before = Buffer.alloc(random.between(0, 5), '<');
  return { around: Buffer.concat([before, bytes, Buffer.from('> SIZE=1\r\n')]), start: before.length };
}

function checkPath(bytes: Buffer, random: Random): void {
  const { around, start } = embedded(bytes, random);
  for (const kind of ['reverse', 'forward'] as const) {
    const parser = new PathParser();
    if (parser.parse(around, start, start + bytes.length, kind) !== undefined) continue;
    expect(parser.end).toBeGreaterThan(start);
    expect(parser.end).toBeLessThanOrEqual(start + bytes.length);
    const { mailbox, nonAscii } = parser;
    // oxlint-disable-next-line no-control-regex -- these are exactly what must not be there
    expect(mailbox.address).not.toMatch(/[\0-\x1f\x7f]/);
    const again = new PathParser();
    const written = Buffer.from(`<${mailbox.address}>`, 'utf8');
    expect(again.parse(written, 0, written.length, kind)).toBeUndefined();
    expect([again.mailbox, again.nonAscii]).toEqual([mailbox, nonAscii]);
  }
}

function checkParameters(bytes: Buffer, random: Random): void {
  const { around, start } = embedded(bytes, random);
  const end = start + bytes.length;
  const mail = parseMailParameters(around, start, end, random.chance(0.5));
  if (typeof mail !== 'string') {
    expect(mail.sizeBytes ?? 0).toBeGreaterThanOrEqual(0);
    expect(mail.envelopeId ?? '').toMatch(printable);
    expect((mail.envelopeId ?? '').length).toBeLessThanOrEqual(100);
    expect(decodeXtext(mail.envelopeId ?? '')).toMatch(printable);
  }
  const rcpt = parseRcptParameters(around, start, end, random.chance(0.5));
  if (typeof rcpt !== 'string') expect(rcpt.originalRecipient ?? '').not.toMatch(/\p{Cc}/u);
}

function checkLiteral(bytes: Buffer): void {
  const text = bytes.toString('latin1');
  const inside = text.slice(1, -1);
  const bracketed = text.startsWith('[') && text.endsWith(']') && text.length > 2;
  const isSix = inside.slice(0, 5).toLowerCase() === 'ipv6:' && isIPv6(inside.slice(5));
  const wanted = bracketed && (isIPv4(inside) || isSix);
  same(isAddressLiteral(bytes, 0, bytes.length), wanted);
}

function checkHeader(bytes: Buffer, random: Random): void {
  const whole = new HeaderScanner('mx.test');
  whole.begin();
  const stop = whole.scan(bytes, 0, bytes.length);
  const pieces = new HeaderScanner('mx.test');
  pieces.begin();
  const received = new ReceivedBy('mx.test');
  const receivedWhole = new ReceivedBy('mx.test');
  received.begin();
  receivedWhole.begin();
  receivedWhole.scan(bytes, 0, bytes.length);
  let stopped = bytes.length;
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + random.between(1, 9));
    received.scan(bytes, at, end);
    if (!pieces.ended) {
      const next = pieces.scan(bytes, at, end);
      if (pieces.ended) stopped = next;
    }
    at = end;
  }
  same(received.matched, receivedWhole.matched);
  same(stopped, stop);
  same(facts(pieces), facts(whole));
  same(whole.ownReceivedFields <= whole.receivedFields, true);
}

function checkReplies(bytes: Buffer, random: Random): void {
  const whole = readReplies([bytes]);
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + random.between(1, 9);
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  same(readReplies(pieces), whole);
  for (const reply of whole.replies) {
    same(printable.test(describeReply(reply)), true);
    extensionsOf(reply.lines);
  }
}

function facts(scanner: HeaderScanner): unknown[] {
  const { ended, headerBytes, receivedFields, ownReceivedFields, startsWithSpace } = scanner;
  return [ended, headerBytes, receivedFields, ownReceivedFields, startsWithSpace];
}

function checkProxyHeader(bytes: Buffer, random: Random): void {
  const whole = readProxyHeader([bytes]);
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + random.between(1, 30);
    pieces.push(Buffer.from(bytes.subarray(at, end)));
    at = end;
  }
  same(readProxyHeader(pieces), whole);
  if (whole.event.kind === 'header') same(whole.usedBytes <= bytes.length && whole.usedBytes >= 8, true);
}

/** What came of it, and how many bytes the header had. */
function readProxyHeader(pieces: readonly Buffer[]): { event: ProxyEvent; usedBytes: number } {
  const reader = new ProxyHeaderReader();
  let read = 0;
  for (const piece of pieces) {
    const event = reader.read(piece);
    read += piece.length;
    if (event.kind === 'fault') return { event, usedBytes: 0 };
    if (event.kind === 'header') {
      const { header, rest } = event;
      return { event: { kind: 'header', header, rest: Buffer.alloc(0) }, usedBytes: read - rest.length };
    }
  }
  return { event: { kind: 'more' }, usedBytes: 0 };
}

function checkClientHello(bytes: Buffer, random: Random): void {
  const whole = readClientHello([bytes]);
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + random.between(1, 30);
    pieces.push(Buffer.from(bytes.subarray(at, end)));
    at = end;
  }
  same(readClientHello(pieces), whole);
}

function readClientHello(pieces: readonly Buffer[]): HelloEvent {
  const reader = new ClientHelloReader();
  let event: HelloEvent = { kind: 'more' };
  for (const piece of pieces) if (event.kind === 'more') event = reader.read(piece);
  return event;
}

function readReplies(pieces: readonly Buffer[]): { replies: HopReply[]; broken: boolean } {
  const reader = new ReplyReader();
  const replies: HopReply[] = [];
  try {
    for (const piece of pieces) reader.feed(Buffer.from(piece), (reply) => replies.push(reply));
  } catch (error) {
    if (errorCodeOf(error) !== 'RELAY_PROTOCOL') throw error;
    return { replies, broken: true };
  }
  return { replies, broken: false };
}

function checkXtext(bytes: Buffer): void {
  const text = bytes.toString('latin1');
  same(readXtext(text) !== undefined, /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/.test(text));
  if (isPrintableXtext(text)) same(readXtext(text) !== undefined, true);
  for (const decoded of [decodeXtext(text), decodeOriginalRecipient(text, false)])
    if (printable.test(text)) same(printable.test(decoded), true);
}

function checkBase64(bytes: Buffer): void {
  const text = bytes.toString('latin1');
  const decoded = decodeBase64(text);
  const isStrict = Buffer.from(text, 'base64').toString('base64') === text;
  same(decoded !== undefined, isStrict);
  if (decoded !== undefined) same(decoded.toString('base64'), text);
}
