#!/usr/bin/env node
/**
 * Parsing time is linear: each parser reads hostile input of n and of 2n bytes, up to 1 MiB, and may take at most 2.5
 * times as long for twice as much (G-24, attacks.md A-063). `npm run bench:linear`; ends with 1 when one does not.
 *
 * CPU time of the fastest of several runs is compared, from 128 KiB to 1 MiB, as the mean of its three doublings; a
 * ratio that is too large is measured again before it counts.
 */
import { canonicalDomain } from '../../dist/policy/relay-decision.js';
import { decodeBase64 } from '../../dist/protocol/sasl/base64.js';
import { isDomain } from '../../dist/protocol/domain.js';
import { parseEnvelopeId, parseNotify, parseOriginalRecipient } from '../../dist/protocol/dsn-parameters.js';
import { HeaderScanner } from '../../dist/protocol/header-scanner.js';
import { parseMailParameters, parseRcptParameters } from '../../dist/protocol/parameters.js';
import { PathParser } from '../../dist/protocol/path-parser.js';
import { ProxyHeaderReader } from '../../dist/protocol/proxy-header.js';
import { queuedAs } from '../../dist/protocol/replies.js';
import { Session } from '../../dist/protocol/session.js';
import { isXtext } from '../../dist/protocol/xtext.js';
import { DotStuffer } from '../../dist/relay/dot-stuffer.js';
import { extensionsOf } from '../../dist/relay/hop-extensions.js';
import { describeReply } from '../../dist/relay/last-reply.js';
import { decodeOriginalRecipient, decodeXtext } from '../../dist/relay/notifications/xtext.js';
import { ReplyReader } from '../../dist/relay/reply-reader.js';

const largestBytes = 1024 * 1024;
const doublings = 3;
const smallestBytes = largestBytes / 2 ** doublings;
const maxRatio = 2.5;
const leastRuns = 3;
const mostRuns = 20;
const enoughMs = 60;
const attempts = 4;
// Below this the clock and the machine are measured, not the parser.
const leastMs = 0.2;
const socketReadBytes = 65_536;

const far = 1e9;
const options = {
  hostname: 'mx.test',
  greeting: 'mx.test ESMTP',
  protocol: 'smtp',
  role: 'inbound',
  secure: true,
  startTls: false,
  tlsRequired: false,
  authRequired: false,
  mechanisms: ['PLAIN', 'LOGIN'],
  bareNewlines: 'reject',
  limits: {
    messageBytes: far,
    recipients: far,
    errors: far,
    junkCommands: far,
    commandLineBytes: 2048,
    headerBytes: far,
    receivedHops: far,
    ownReceivedHops: far,
    dataLineBytes: far,
    authFailures: far,
  },
  ask: { mask: 0 },
};

const envelope = 'EHLO t\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\n';

/** A session with a caller who agrees to everything and keeps nothing. */
function session(lead, chunkBytes = socketReadBytes) {
  return (input) => {
    const machine = new Session(options);
    const sink = {
      reply: ignore,
      messageBegin: ignore,
      body: ignore,
      messageAbandon: ignore,
      upgrade: ignore,
      close: ignore,
      ask(question) {
        machine.answer(
          question.kind === 'message-end' ? { ok: true, reply: queuedAs('ID') } : { ok: true },
          sink,
        );
      },
    };
    const feed = (bytes) => {
      machine.feed(bytes, sink);
      while (machine.hasMore) machine.resume(sink);
    };
    machine.start(sink);
    for (const part of lead) feed(Buffer.from(part, 'latin1'));
    for (let at = 0; at < input.length; at += chunkBytes) feed(input.subarray(at, at + chunkBytes));
    machine.end(sink);
  };
}

function ignore() {}

const data = [envelope, 'DATA\r\n'];
const inData = session(data);
const commands = session(['EHLO t\r\n']);
const recipients = session([envelope]);
const auth = session(['EHLO t\r\n', 'AUTH PLAIN\r\n']);

function path(input) {
  new PathParser().parse(input, 0, input.length, 'forward');
}

function parameters(input) {
  parseMailParameters(input, 0, input.length, true);
  parseRcptParameters(input, 0, input.length, true);
}

function header(input) {
  const scanner = new HeaderScanner('mx.test');
  scanner.begin();
  scanner.scan(input, 0, input.length);
}

function repliesOfHop(input) {
  const reader = new ReplyReader();
  for (let at = 0; at < input.length; at += socketReadBytes)
    reader.feed(input.subarray(at, at + socketReadBytes), ignore);
}

function proxyHeader(input) {
  new ProxyHeaderReader().read(input);
}

function proxyBytes(input) {
  const reader = new ProxyHeaderReader();
  for (let at = 0; at < input.length; at++)
    if (reader.read(input.subarray(at, at + 1)).kind !== 'more') return;
}

const text = (parse) => (input) => parse(input.toString('latin1'));

/** name, what is repeated up to n bytes, who reads it; what comes before and behind */
/** @type {readonly (readonly [string, string, (input: Buffer) => unknown, string?, string?])[]} */
const cases = [
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
  ['xtext', '+2B', text(isXtext)],
  ['base64', 'QUJD', text(decodeBase64)],
  ['the header scanner: folds', '\r\n ', header, 'Received:'],
  ['the header scanner: comments in comments', '(', header, 'Received: '],
  ['the header scanner: by and by', ' by', header, 'Received:'],
  ['replies of a hop', '250 x\r\n', repliesOfHop],
  ['keywords of a hop', 'X a\n', text((value) => extensionsOf(value.split('\n')))],
  ["a hop's last words", 'x\n', text((value) => describeReply({ code: 550, lines: value.split('\n') }))],
  ['a message to a hop: dots', '.\r\n', (input) => new DotStuffer().stuff(input)],
  ['xtext for a notification', '+2B', text(decodeXtext)],
  [
    'code points for a notification',
    '\\x{2211}',
    text((value) => decodeOriginalRecipient(value, true)),
    'utf-8;',
  ],
  ['a domain for policy', 'a.', text(canonicalDomain), '', 'b'],
  ['a domain of U-labels for policy', 'é.', (input) => canonicalDomain(input.toString('utf8')), '', 'b'],
];

function make(unit, bytes, before = '', behind = '') {
  const piece = Buffer.from(unit, 'utf8');
  const middle = Buffer.alloc(Math.floor(bytes / piece.length) * piece.length, piece);
  return Buffer.concat([Buffer.from(before), middle, Buffer.from(behind)]);
}

/** CPU time, so that what else the machine does counts less. The least of several runs, milliseconds of one call. */
function timeOf(parse, input) {
  let least = Infinity;
  let spent = 0;
  for (let run = 0; run < leastRuns || (run < mostRuns && spent < enoughMs); run++) {
    const before = process.cpuUsage();
    parse(input);
    const { user, system } = process.cpuUsage(before);
    const took = (user + system) / 1000;
    spent += took;
    least = Math.min(least, took);
  }
  return least;
}

/** For twice the input, on average over three doublings; the second run of all sizes counts, the first warms up. */
function ratioOf([, unit, parse, before, behind]) {
  const inputs = [smallestBytes, largestBytes].map((bytes) => make(unit, bytes, before, behind));
  for (const input of inputs) parse(input);
  const [least = 0, most = 0] = inputs.map((input) => timeOf(parse, input));
  // What takes no time at all stops at a bound of its own.
  const ratio = most < leastMs ? 0 : (most / Math.max(least, leastMs / doublings)) ** (1 / doublings);
  return { ratio, largestMs: most };
}

let failed = 0;
console.log('t(2n)/t(n)  1 MiB, ms  parser');
for (const one of cases) {
  let result = ratioOf(one);
  for (let again = 1; again < attempts && result.ratio >= maxRatio; again++) {
    const other = ratioOf(one);
    if (other.ratio < result.ratio) result = other;
  }
  const bad = result.ratio >= maxRatio;
  if (bad) failed++;
  console.log(
    `${result.ratio.toFixed(2).padStart(10)}  ${result.largestMs.toFixed(2).padStart(9)}  ${one[0]}${bad ? '  NOT LINEAR' : ''}`,
  );
}
console.log(failed === 0 ? `all ${cases.length} linear` : `${failed} of ${cases.length} are not linear`);
process.exitCode = failed === 0 ? 0 : 1;
