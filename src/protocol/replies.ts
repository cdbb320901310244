/**
 * Every reply that Postern can send, by name: the one place with digits of reply codes. Constant ones are encoded
 * when this file is loaded. The `name` of a row is the `reason` label of rejections_total, so it is not changed
 * lightly. Nothing a client sent is ever put into a reply (attacks.md A-084), but the address of an LMTP recipient:
 * printable ASCII of it, and cut.
 */
import { xclientNames, xforwardNames } from './client-attributes.js';
import type { Reply, SessionLimits, SessionOptions } from './types.js';

// RFC 5321 §4.5.3.1.5: 512 octets with code and CRLF.
const maxReplyLineBytes = 512;
// RFC 5321 §4.5.3.1.3: a path; the rest of the line is ours.
const maxRepliedAddress = 254;

/** code, enhanced code ('' where RFC 2034 §4 has none), text, where it comes from */
type Row = readonly [code: number, enhanced: string, text: string, source: string];

const rows = {
  // what goes well
  startTls: [220, '2.0.0', 'Ready to start TLS', 'RFC 3207 §4'],
  goodbye: [221, '2.0.0', 'Bye', 'RFC 5321 §4.1.1.10'],
  authenticated: [235, '2.7.0', 'Authentication successful', 'RFC 4954 §6'],
  ok: [250, '2.0.0', 'Ok', 'RFC 5321 §4.2.2'],
  senderOk: [250, '2.1.0', 'Sender ok', 'RFC 3463 §3.2'],
  recipientOk: [250, '2.1.5', 'Recipient ok', 'RFC 3463 §3.2'],
  help: [214, '2.0.0', 'See RFC 5321', 'RFC 5321 §4.1.1.8'],
  // The same for every address: VRFY must not tell who exists. RFC 5321 §7.3.
  cannotVerify: [252, '2.5.0', 'Cannot verify, but will take mail for a valid recipient', 'RFC 5321 §3.5.3'],
  chunkReceived: [250, '2.0.0', 'Chunk received', 'RFC 3030 §2'],
  startMail: [354, '', 'End data with <CR><LF>.<CR><LF>', 'RFC 5321 §4.1.1.4'],
  // RFC 4954 §4: `334 ` and base64, the space even where the challenge is empty.
  authContinue: [334, '', '', 'RFC 4954 §4'],
  authUserName: [334, '', 'VXNlcm5hbWU6', 'AUTH LOGIN: "Username:"'],
  authPassword: [334, '', 'UGFzc3dvcmQ6', 'AUTH LOGIN: "Password:"'],

  // the end of the session
  shuttingDown: [421, '4.3.2', 'Service shutting down, try again', 'RFC 5321 §3.8'],
  // The old worker of a reload: its successor takes the next session at once.
  reloading: [421, '4.3.2', 'Service reloading, try again', 'RFC 5321 §3.8'],
  timeout: [421, '4.4.2', 'Timeout waiting for the client', 'RFC 5321 §4.5.3.2'],
  tooManyErrors: [421, '4.7.0', 'Too many errors', 'limits.md'],
  tooManyCommands: [421, '4.7.0', 'Too many commands without a message', 'limits.md'],
  tooManyAuthFailures: [421, '4.7.0', 'Too many authentication failures', 'limits.md'],
  tooManyConnections: [421, '4.7.0', 'Too many connections, try again later', 'limits.md'],
  endlessLine: [421, '4.7.0', 'Line goes on without end', 'limits.md'],
  unknownLength: [421, '4.7.0', 'What follows cannot be counted, use a new session', 'attacks.md A-071'],
  doubtfulEnd: [421, '4.7.0', 'The message before had a doubtful end, use a new session', 'attacks.md A-001'],

  tooManyMessages: [421, '4.7.0', 'Too many messages, send the rest in a new session', 'RFC 3463 §3.8'],
  sessionTooOld: [421, '4.7.0', 'This session has lasted too long, use a new one', 'RFC 3463 §3.8'],

  // not now
  localError: [451, '4.3.0', 'Local error in processing, try again', 'RFC 5321 §4.2.2'],
  tryLater: [451, '4.7.1', 'Not now, try again later', 'RFC 3463 §3.8'],
  tooFast: [451, '4.7.1', 'Too much in too short a time, try again later', 'RFC 3463 §3.8'],
  insufficientStorage: [452, '4.3.1', 'Insufficient system storage, try again later', 'RFC 1870 §6.1'],
  tooManyRecipients: [452, '4.5.3', 'Too many recipients, send the rest later', 'RFC 5321 §4.5.3.1.10'],
  tlsUnavailable: [454, '4.7.0', 'TLS not available now', 'RFC 3207 §4'],
  tooManyLoginFailures: [454, '4.7.0', 'Too many failed logins, try again later', 'attacks.md A-103'],
  authUnavailable: [454, '4.7.0', 'Authentication not available now', 'RFC 4954 §4'],

  // syntax and sequence
  unknownCommand: [500, '5.5.2', 'Command not recognized', 'RFC 5321 §4.2.4'],
  lineTooLong: [500, '5.5.2', 'Line too long', 'RFC 5321 §4.5.3.1.4'],
  authLineTooLong: [500, '5.5.6', 'Authentication line too long', 'RFC 4954 §4'],
  badArgument: [501, '5.5.4', 'Syntax error in argument', 'RFC 5321 §4.2.2'],
  noArgument: [501, '5.5.4', 'Command takes no argument', 'RFC 5321 §4.1.1'],
  badChunkSize: [501, '5.5.4', 'Syntax: BDAT size [LAST]', 'RFC 3030 §2'],
  badAttribute: [501, '5.5.4', 'Syntax: NAME=VALUE, as listed after EHLO', 'XCLIENT_README, XFORWARD_README'],
  badParameter: [501, '5.5.4', 'Syntax error in parameters', 'RFC 5321 §4.1.1.11'],
  badSender: [501, '5.1.7', 'Syntax: MAIL FROM:<address>', 'RFC 3463 §3.2'],
  badRecipient: [501, '5.1.3', 'Syntax: RCPT TO:<address>', 'RFC 3463 §3.2'],
  badUtf8: [501, '5.5.2', 'Address is not valid UTF-8', 'RFC 6531 §3.3'],
  badBase64: [501, '5.5.2', 'Cannot decode authentication response', 'RFC 4954 §4'],
  authNoInitialResponse: [501, '5.7.0', 'Mechanism takes no initial response', 'RFC 4954 §4'],
  authCancelled: [501, '5.7.0', 'Authentication cancelled', 'RFC 4954 §4'],
  notImplemented: [502, '5.5.1', 'Command not implemented', 'RFC 5321 §4.2.4'],
  badSequence: [503, '5.5.1', 'Bad sequence of commands', 'RFC 5321 §4.1.4'],
  helloFirst: [503, '5.5.1', 'Send EHLO or HELO first', 'RFC 5321 §4.1.4'],
  lhloFirst: [503, '5.5.1', 'Send LHLO first', 'RFC 2033 §4.1'],
  mailFirst: [503, '5.5.1', 'Send MAIL first', 'RFC 5321 §3.3'],
  nestedMail: [503, '5.5.1', 'Sender already given', 'RFC 5321 §4.1.4'],
  noLmtpRecipients: [503, '5.5.1', 'No valid recipients', 'RFC 2033 §4.2'],
  messageBegun: [503, '5.5.1', 'The message has begun, send BDAT or RSET', 'RFC 3030 §2'],
  alreadySecure: [503, '5.5.1', 'TLS already active', 'RFC 3207 §4.2'],
  alreadyAuthenticated: [503, '5.5.1', 'Already authenticated', 'RFC 4954 §4'],
  authInTransaction: [503, '5.5.1', 'Not during a mail transaction', 'RFC 4954 §4'],
  inTransaction: [503, '5.5.1', 'Not during a mail transaction', 'XCLIENT_README, XFORWARD_README'],
  refusedSession: [503, '5.5.1', 'Service refused, only QUIT is left', 'RFC 5321 §3.1'],
  unknownMechanism: [504, '5.5.4', 'Authentication mechanism not supported', 'RFC 4954 §4'],
  unknownParameter: [555, '5.5.4', 'Parameter not recognized', 'RFC 5321 §4.1.1.11'],

  // refusals
  notSmtp: [521, '5.5.1', 'This is an SMTP server', 'RFC 7504 §2, attacks.md A-044'],
  tlsRequired: [530, '5.7.0', 'Must issue a STARTTLS command first', 'RFC 3207 §4'],
  authRequired: [530, '5.7.0', 'Authentication required', 'RFC 4954 §6'],
  authFailed: [535, '5.7.8', 'Authentication credentials invalid', 'RFC 4954 §6'],
  authNeedsTls: [538, '5.7.11', 'Authentication only under TLS', 'RFC 4954 §6'],
  relayDenied: [550, '5.7.1', 'Relaying denied', 'RFC 5321 §3.6.2'],
  unknownRecipient: [550, '5.1.1', 'No such recipient here', 'RFC 3463 §3.2'],
  badLocalPart: [550, '5.7.1', 'Routing in the local part refused', 'attacks.md §3.9'],
  takesNoMail: [556, '5.1.10', 'The domain takes no mail', 'RFC 7504 §4'],
  notTrusted: [550, '5.7.1', 'Not for this client', 'XCLIENT_README, XFORWARD_README'],
  refused: [550, '5.7.1', 'Refused by policy', 'RFC 3463 §3.8'],
  bareNewline: [550, '5.6.0', 'Message has a CR or LF that is not part of a CRLF', 'RFC 5321 §2.3.8'],
  nulInMessage: [550, '5.6.0', 'Message has a NUL', 'RFC 5322 §4'],
  leadingSpace: [550, '5.6.0', 'Message begins with a continuation line', 'attacks.md A-012'],
  dataLineTooLong: [550, '5.6.0', 'Message has a line that is too long', 'RFC 5321 §4.5.3.1.6'],
  messageTooLarge: [552, '5.3.4', 'Message too large', 'RFC 1870 §6.1'],
  headerTooLarge: [552, '5.3.4', 'Message header too large', 'limits.md'],
  tooManyHeaderFields: [552, '5.3.4', 'Too many header fields', 'limits.md'],
  addressNeedsUtf8: [553, '5.6.7', 'Address needs SMTPUTF8', 'RFC 6531 §3.5'],
  earlyTalk: [554, '5.5.0', 'Data sent before it was asked for', 'RFC 2920 §3.1'],
  noValidRecipients: [554, '5.5.1', 'No valid recipients', 'RFC 2920 §3.2'],
  tooManyHops: [554, '5.4.6', 'Too many hops, this looks like a loop', 'RFC 5321 §6.3'],
  ownLoop: [554, '5.4.6', 'This message was here too often, it loops', 'RFC 5321 §6.3'],
  certificateRequired: [554, '5.7.1', 'Needs a client certificate that we trust', 'RFC 3207 §4.1'],
  noService: [554, '5.7.1', 'No service for you', 'RFC 5321 §3.1'],
} as const satisfies Record<string, Row>;

export type ReplyName = keyof typeof rows;

/** The constant replies. */
export const replies: Readonly<Record<ReplyName, Reply>> = Object.freeze(encodeAll(rows));

/** Our trouble, not the client's: they do not count as its errors. */
export const ourTrouble: ReadonlySet<Reply> = new Set([
  replies.localError,
  replies.insufficientStorage,
  replies.tlsUnavailable,
  replies.authUnavailable,
]);

function encodeAll<Name extends string>(table: Readonly<Record<Name, Row>>): Record<Name, Reply> {
  const encoded: Partial<Record<Name, Reply>> = {};
  for (const name in table) {
    const [code, enhanced, text] = table[name];
    encoded[name] = encode(name, code, enhanced, [text]);
  }
  return encoded as Record<Name, Reply>; // oxlint-disable-line typescript/no-unsafe-type-assertion -- each name of the table was just set
}

/** The only 250 that a message-end may be answered with: its message is committed and fsynced. */
export function queuedAs(id: string): Reply {
  return encode('queued', 250, '2.0.0', [`Ok: queued as ${id}`]);
}

/**
 * RFC 2033 §4.2: the order says whose reply it is; people and their logs read better with the address in it.
 * @param reply of one line
 */
export function forRecipient(reply: Reply, address: string): Reply {
  const { name, code, enhanced, bytes } = reply;
  const text = bytes.toString('latin1', `${code} ${enhanced} `.length, bytes.length - 2);
  return encode(name, code, enhanced, [`<${address.slice(0, maxRepliedAddress)}> ${text}`]);
}

/** RFC 4954 §4: a challenge may be as long as a response, so the bound on reply lines does not hold for it. */
export function authChallenge(challenge: Buffer): Reply {
  const bytes = Buffer.from(`334 ${challenge.toString('base64')}\r\n`, 'latin1');
  return { name: 'authChallenge', code: 334, enhanced: '', bytes };
}

/** @param zone the list, as configured, that made the sum reach the threshold */
export function dnsblRefused(clientAddress: string, zone: string): Reply {
  return encode('dnsbl', 550, '5.7.1', [`Service unavailable; client [${clientAddress}] listed by ${zone}`]);
}

export function dnsblDeferred(clientAddress: string, zone: string): Reply {
  return encode('dnsblDeferred', 451, '4.7.1', [
    `Try again later; client [${clientAddress}] listed by ${zone}`,
  ]);
}

/** @param text what follows `220 `; RFC 5321 §4.2 wants the host name first */
export function greeting(text: string): Reply {
  return encode('greeting', 220, '', [text]);
}

/** The same text behind `220-`: what looks like a whole greeting to a client that does not read replies. */
function teaserOf(last: Reply): Reply {
  const bytes = Buffer.from(last.bytes);
  bytes[3] = '-'.charCodeAt(0);
  return Object.freeze({ ...last, name: 'teaser', bytes });
}

interface OpeningReplies {
  /** A first line of the greeting; `greeting` is the last one then too. RFC 5321 §4.2.1. */
  readonly teaser: Reply;
  readonly greeting: Reply;
  readonly ehlo: Reply;
  readonly helo: Reply;
}

// One SessionOptions per listener and TLS state, so this holds a few entries and the hot path one look-up.
const openings = new WeakMap<SessionOptions, OpeningReplies>();

/** Greeting, EHLO's and HELO's reply for these options, encoded on first use. */
export function openingReplies(options: SessionOptions): OpeningReplies {
  const known = openings.get(options);
  if (known !== undefined) return known;
  const { hostname } = options;
  const text = options.greeting.startsWith(hostname) ? options.greeting : `${hostname} ${options.greeting}`;
  const last = greeting(text.trimEnd());
  const made = {
    teaser: teaserOf(last),
    greeting: last,
    ehlo: encode('ehlo', 250, '', [hostname, ...ehloKeywords(options)]),
    // RFC 5321 §3.2: HELO gets no extended reply.
    helo: encode('helo', 250, '', [hostname]),
  };
  openings.set(options, made);
  return made;
}

/** RFC 9422 §4: of MAIL in a session, the next is answered 421; of RCPT in a transaction, the next is answered 452. */
function sessionLimits({ transactions, recipients }: SessionLimits): string {
  const recipientMaximum = `RCPTMAX=${recipients}`;
  // Without that bound there is nothing to say.
  return Number.isFinite(transactions) ? `MAILMAX=${transactions} ${recipientMaximum}` : recipientMaximum;
}

/** Only what works for these options (promise 6). */
function ehloKeywords(options: SessionOptions): string[] {
  const keywords = [
    'PIPELINING',
    `SIZE ${options.limits.messageBytes}`,
    '8BITMIME',
    'CHUNKING',
    'SMTPUTF8',
    'ENHANCEDSTATUSCODES',
    'DSN',
    `LIMITS ${sessionLimits(options.limits)}`,
  ];
  if (options.startTls && !options.secure) keywords.push('STARTTLS');
  if (options.secure && options.mechanisms.length > 0) keywords.push(`AUTH ${options.mechanisms.join(' ')}`);
  if (options.mayNameClients)
    keywords.push(`XCLIENT ${xclientNames.join(' ')}`, `XFORWARD ${xforwardNames.join(' ')}`);
  // Behind the two above: there are clients that do not look for a keyword in the last line (GNU SASL 2.2).
  keywords.push('HELP');
  return keywords;
}

function encode(name: string, code: number, enhanced: string, lines: readonly string[]): Reply {
  const last = lines.length - 1;
  const prefix = enhanced === '' ? '' : `${enhanced} `;
  const encoded = lines.map((line, at) => {
    const whole = `${code}${at === last ? ' ' : '-'}${prefix}${printable(line)}`;
    return `${whole.slice(0, maxReplyLineBytes - 2)}\r\n`;
  });
  return Object.freeze({ name, code, enhanced, bytes: Buffer.from(encoded.join(''), 'latin1') });
}

/** Host names, zones and ids come from the config and from us; a stray byte must not become a second line. */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- these are exactly what must not leave
  return text.replaceAll(/[^\x20-\x7e]/g, '?');
}
