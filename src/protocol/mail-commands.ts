/**
 * What follows MAIL and RCPT, RFC 5321 §4.1.1.2 and §4.1.1.3: bytes in; the path and its parameters, or the reply that
 * says what is wrong.
 */
import { COLON, GREATER, LESS } from './characters.js';
import { parseMailParameters, parseRcptParameters, type ParameterFault } from './parameters.js';
import { PathParser, type PathFault } from './path-parser.js';
import { replies } from './replies.js';
import type { Mailbox, Question, RcptParameters, Reply, SessionOptions } from './types.js';
import { matches } from './verb-table.js';

export type MailQuestion = Extract<Question, { kind: 'mail' }>;

// As much of a path as RFC 5321 §4.5.3.1.3 lets it be long.
const maxPathTextBytes = 256;

// Used within one command only, so one for all sessions.
const paths = new PathParser();

const reversePathReplies: Readonly<Record<PathFault, Reply>> = {
  syntax: replies.badSender,
  utf8: replies.badUtf8,
};
const forwardPathReplies: Readonly<Record<PathFault, Reply>> = {
  syntax: replies.badRecipient,
  utf8: replies.badUtf8,
};
const parameterReplies: Readonly<Record<ParameterFault, Reply>> = {
  syntax: replies.badParameter,
  unknown: replies.unknownParameter,
};

/** @param start first byte after the verb and its space; `end` without trailing spaces */
export function parseMail(
  bytes: Buffer,
  start: number,
  end: number,
  options: SessionOptions,
): MailQuestion | Reply {
  const fault = parsePath(bytes, start, end, 'FROM:', 'reverse');
  if (fault !== undefined) return reversePathReplies[fault];
  const { mailbox: reversePath, nonAscii } = paths;
  const authAnnounced = options.secure && options.mechanisms.length > 0;
  const parameters = parseMailParameters(bytes, paths.end, end, authAnnounced);
  if (typeof parameters === 'string') return parameterReplies[parameters];
  if (nonAscii && !parameters.smtpUtf8) return replies.addressNeedsUtf8;
  // RFC 1870 §6.1: refused before a byte of it is sent.
  if ((parameters.sizeBytes ?? 0) > options.limits.messageBytes) return replies.messageTooLarge;
  return { kind: 'mail', reversePath, parameters };
}

export interface ParsedRcpt {
  readonly mailbox: Mailbox;
  readonly parameters: RcptParameters;
}

/** @param smtpUtf8 MAIL of this transaction said SMTPUTF8 */
export function parseRcpt(bytes: Buffer, start: number, end: number, smtpUtf8: boolean): ParsedRcpt | Reply {
  const fault = parsePath(bytes, start, end, 'TO:', 'forward');
  if (fault !== undefined) return forwardPathReplies[fault];
  const { mailbox, nonAscii } = paths;
  const parameters = parseRcptParameters(bytes, paths.end, end, smtpUtf8);
  if (typeof parameters === 'string') return parameterReplies[parameters];
  return nonAscii && !smtpUtf8 ? replies.addressNeedsUtf8 : { mailbox, parameters };
}

function parsePath(
  bytes: Buffer,
  start: number,
  end: number,
  prefix: string,
  kind: 'reverse' | 'forward',
): PathFault | undefined {
  const path = start + prefix.length;
  return path < end && matches(bytes, start, prefix) ? paths.parse(bytes, path, end, kind) : 'syntax';
}

/** For a log: what a command says between its brackets, or behind its colon where it has none. Cut. */
export function pathText(bytes: Buffer, start: number, end: number): string {
  const open = bytes.indexOf(LESS, start);
  const from = open >= 0 && open < end ? open + 1 : Math.min(end, bytes.indexOf(COLON, start) + 1 || end);
  const close = bytes.indexOf(GREATER, from);
  const to = close >= 0 && close < end ? close : end;
  return bytes.toString('utf8', from, Math.min(to, from + maxPathTextBytes));
}

export function isReply(result: object): result is Reply {
  return 'code' in result;
}
