/** Hostile input for each parser, made of one piece as often as one likes: what twice of it costs is linear.test.ts's. */
import { canonicalDomain } from '../../src/policy/relay-decision.js';
import { decodeBase64 } from '../../src/protocol/sasl/base64.js';
import { parseOauthBearer, parseXoauth2 } from '../../src/protocol/sasl/bearer-messages.js';
import { parseClientFinal, parseClientFirst } from '../../src/protocol/sasl/scram-messages.js';
import { ClientHelloReader } from '../../src/protocol/client-hello.js';
import { isDomain } from '../../src/protocol/domain.js';
import { parseEnvelopeId, parseNotify, parseOriginalRecipient } from '../../src/protocol/dsn-parameters.js';
import { HeaderScanner } from '../../src/protocol/header-scanner.js';
import { parseXclient, parseXforward } from '../../src/protocol/client-attributes.js';
import { parseMailParameters, parseRcptParameters } from '../../src/protocol/parameters.js';
import { PathParser } from '../../src/protocol/path-parser.js';
import { parseProxyFacts } from '../../src/protocol/proxy-facts.js';
import { ProxyHeaderReader } from '../../src/protocol/proxy-header.js';
import type { SessionOptions } from '../../src/protocol/types.js';
import { decodeXtext } from '../../src/protocol/xtext.js';
import { DotStuffer } from '../../src/relay/dot-stuffer.js';
import { extensionsOf } from '../../src/relay/hop-extensions.js';
import { describeReply } from '../../src/relay/last-reply.js';
import {
  decodeOriginalRecipient,
  decodeXtext as decodeXtextForNotification,
} from '../../src/relay/notifications/xtext.js';
import { ReplyReader } from '../../src/relay/reply-reader.js';
import { limits, options, policy } from '../protocol/harness.js';
import { helloBody, message, records, vector } from '../support/client-hello.js';
import { ForgetfulCaller } from './forgetful-caller.js';

type Parse = (input: Buffer) => unknown;

const socketReadBytes = 8192;
const far = 1e9;

// No bound ends a run early but those of a line.
const patient: SessionOptions = {
  ...options,
  secure: true,
  mechanisms: ['PLAIN', 'LOGIN'],
  limits: {
    ...limits,
    messageBytes: far,
    recipients: far,
    errors: far,
    softErrors: far,
    junkCommands: far,
    headerBytes: far,
    headerFields: far,
    transactions: far,
    receivedHops: far,
    ownReceivedHops: far,
    dataLineBytes: far,
    authFailures: far,
  },
};

function session(
  lead: readonly string[],
  chunkBytes = socketReadBytes,
  own: Partial<SessionOptions> = {},
): Parse {
  return (input) =>
    new ForgetfulCaller({ ...patient, ...own }, policy).say(lead).pour(input, chunkBytes).end();
}

const envelope = 'EHLO t\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\n';
const data = [envelope, 'DATA\r\n'];
const inData = session(data);
const normalized = session(data, socketReadBytes, { bareNewlines: 'normalize' });
const commands = session(['EHLO t\r\n']);
const recipients = session([envelope]);
const auth = session(['EHLO t\r\n', 'AUTH PLAIN\r\n']);

function path(input: Buffer): void {
  new PathParser().parse(input, 0, input.length, 'forward');
}

function parameters(input: Buffer): void {
  parseMailParameters(input, 0, input.length, true);
  parseRcptParameters(input, 0, input.length, true);
}

function header(input: Buffer): void {
  const scanner = new HeaderScanner('mx.test');
  scanner.begin();
  scanner.scan(input, 0, input.length);
}

function repliesOfHop(input: Buffer): void {
  const reader = new ReplyReader();
  for (let at = 0; at < input.length; at += socketReadBytes)
    reader.feed(input.subarray(at, at + socketReadBytes), () => undefined);
}

function proxyHeader(input: Buffer): void {
  new ProxyHeaderReader().read(input);
}

function proxyBytes(input: Buffer): void {
  const reader = new ProxyHeaderReader();
  for (let at = 0; at < input.length; at++)
    if (reader.read(input.subarray(at, at + 1)).kind !== 'more') return;
}

/** Within its bound both the one and the other that are compared by steps are read to their end. */
function helloOf(input: Buffer): Buffer {
  return input.subarray(0, Math.min(input.length / 4, 16_000));
}

function clientHello(input: Buffer): void {
  new ClientHelloReader().read(helloOf(input));
}

function clientHelloBytes(input: Buffer): void {
  const reader = new ClientHelloReader();
  const hello = helloOf(input);
  for (let at = 0; at < hello.length; at++)
    if (reader.read(hello.subarray(at, at + 1)).kind !== 'more') return;
}

function extensionsOfHello(input: Buffer): void {
  const list = vector(2, helloOf(input));
  new ClientHelloReader().read(records(message(helloBody([], list))));
}

const text =
  (parse: (value: string) => unknown): Parse =>
  (input) =>
    parse(input.toString('latin1'));

/** name, what is repeated up to n bytes, who reads it; what comes before and behind */
type Row = readonly [name: string, unit: string, parse: Parse, before?: string, behind?: string];

export const cases: readonly Row[] = [
  ['commands', 'NOOP\r\n', commands],
  ['commands that are none', 'x\r\n', commands],
  ['one command line', 'x', commands],
  ['one command line, byte by byte', 'x', session(['EHLO t\r\n'], 1)],
  ['command lines with CR alone', 'a\r', commands],
  ['MAIL with parameters', ' SIZE=1', commands, 'MAIL FROM:<a@x.test>'],
  ['recipients', 'RCPT TO:<b@ok.test>\r\n', recipients],
  [
    'recipients with parameters',
    'RCPT TO:<b@ok.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb\r\n',
    recipients,
  ],
  ['a SASL response', 'A', auth],
  ['a message of dots', '.\r\n.', inData],
  ['a message of stuffed dots', '..\r\n', inData],
  ['a message of CR LF', '\r\n', inData],
  ['a message of one line', 'x', inData],
  ['a message of CR alone', 'a\r', inData],
  ['a refused message of almost ends', '\r\n.\r', inData, 'x\ny\r\n'],
  ['a message byte by byte', 'x\r\n', session(data, 1)],
  ['a message of LF alone, made canonical', 'a\n', normalized],
  ['a message of CR alone, made canonical', '\r', normalized],
  ['chunks', 'BDAT 1\r\nx', recipients],
  ['chunks of nothing', 'BDAT 0\r\n', recipients],
  ['a chunk', 'x', recipients, 'BDAT 999999999\r\n'],
  ['a message of NULs', '\0', inData],
  ['a folded header field', 'a\r\n ', inData, 'X: '],
  ['header fields', 'X: y\r\n', inData],
  ['Received fields', 'Received: by mx.test;\r\n', inData],
  ['a path: letters', 'a', path, '<', '@b>'],
  ['a path: brackets', '<', path],
  ['a path: escaped quotes', '\\"', path, '<"', '"@b>'],
  ['a path: a source route', '@a,', path, '<', '@a:b@c>'],
  ['a path: dots', '.a', path, '<a', '@b>'],
  ['a path: labels', '.b', path, '<a@b', '>'],
  ['a domain of labels', 'a.', (input) => isDomain(input, 0, input.length), '', 'a'],
  ['parameters: unknown', ' X=1', parameters],
  ['parameters: the same', ' SIZE=1', parameters],
  ['parameters: spaces', ' ', parameters],
  ['parameters: one long value', 'a', parameters, ' ENVID='],
  ['NOTIFY', 'SUCCESS,', text(parseNotify), '', 'DELAY'],
  ['ENVID', '+2B', text(parseEnvelopeId)],
  ['ORCPT', '\\x{E9}', text((value) => parseOriginalRecipient(value, true)), 'utf-8;'],
  ['a PROXY line', 'x', proxyHeader, 'PROXY TCP4 '],
  ['a PROXY line, byte by byte', ' ', proxyBytes, 'PROXY'],
  ['a ClientHello, byte by byte', 'x', clientHelloBytes, '\x16\x03\x01\x3f\x7f\x01\0\x3f\x70'],
  ['a ClientHello in records of one octet', '\x16\x03\x01\0\x01x', clientHello, '\x16\x03\x01\0\x04\x01\0\x3f\0'], // prettier-ignore
  ['the same, byte by byte', '\x16\x03\x01\0\x01x', clientHelloBytes, '\x16\x03\x01\0\x04\x01\0\x3f\0'],
  ['extensions of a ClientHello', '\0\x0f\0\0', extensionsOfHello],
  ['xtext', '+2B', text(decodeXtext)],
  ['XCLIENT', 'NAME=x ', text(parseXclient)],
  ['XFORWARD', '+20', text(parseXforward), 'HELO='],
  ['TLVs of a PROXY header', '\x04\0\0', (input) => parseProxyFacts(input, 0, input.length)],
  ['a TLV of a PROXY header', '\x02', (input) => parseProxyFacts(input, 0, input.length), '\x04'],
  ['OAUTHBEARER', 'a=b\x01', parseOauthBearer, 'n,,\x01', '\x01'],
  ['OAUTHBEARER: escapes', '=2C', parseOauthBearer, 'n,a=', ',\x01auth=Bearer x\x01\x01'],
  ['XOAUTH2', 'x\x01', parseXoauth2, 'user=u\x01', '\x01'],
  ['SCRAM: the first message', '=2C', parseClientFirst, 'n,,n=', ',r=x'],
  ['SCRAM: extensions', ',x=y', parseClientFirst, 'n,,n=u,r=x'],
  ['SCRAM: the last message', ',x=y', parseClientFinal, 'c=biws,r=x', ',p=AAAA'],
  ['base64', 'QUJD', text(decodeBase64)],
  ['the header scanner: folds', '\r\n ', header, 'Received:'],
  ['the header scanner: comments in comments', '(', header, 'Received: '],
  ['the header scanner: by and by', ' by', header, 'Received:'],
  ['replies of a hop', '250 x\r\n', repliesOfHop],
  ['keywords of a hop', 'X a\n', text((value) => extensionsOf(value.split('\n')))],
  ["a hop's last words", 'x\n', text((value) => describeReply({ code: 550, lines: value.split('\n') }))],
  ['a message to a hop: dots', '.\r\n', (input) => new DotStuffer().stuff(input)],
  ['xtext for a notification', '+2B', text(decodeXtextForNotification)],
  [
    'code points for a notification',
    '\\x{2211}',
    text((value) => decodeOriginalRecipient(value, true)),
    'utf-8;',
  ],
  ['a domain for policy', 'a.', text(canonicalDomain), '', 'b'],
  ['a domain of U-labels for policy', 'é.', (input) => canonicalDomain(input.toString('utf8')), '', 'b'],
];

export function inputOf([, unit, , before = '', behind = '']: Row, bytes: number): Buffer {
  const piece = Buffer.from(unit, 'utf8');
  const middle = Buffer.alloc(Math.floor(bytes / piece.length) * piece.length, piece);
  return Buffer.concat([Buffer.from(before), middle, Buffer.from(behind)]);
}
