/** Which command may come when, RFC 5321 §4.1.4 and the extensions; what an argument may be. Pure checks, one reply each. */
import { TAB } from './characters.js';
import { isAddressLiteral } from './domain.js';
import { replies } from './replies.js';
import type { Reply, SessionOptions, Transaction, Verb } from './types.js';
import type { VerbRow } from './verb-table.js';

/** What the order depends on; a Session is one. */
export interface OrderFacts {
  readonly heloName: string;
  readonly extended: boolean;
  readonly user: string;
  readonly transaction: Transaction | null;
  /** A message has begun: what is left is BDAT. */
  readonly inMessage: boolean;
}

export function orderFault(row: VerbRow, options: SessionOptions, facts: OrderFacts): Reply | undefined {
  if (options.certificateMissing && row.verb !== 'QUIT') return replies.certificateRequired;
  // RFC 2033 §4.1: LHLO takes the place of EHLO and HELO.
  if (isHello(row.verb) && (row.verb === 'LHLO') !== (options.protocol === 'lmtp'))
    return replies.unknownCommand;
  // RFC 3207 §4: everything but NOOP, EHLO, STARTTLS and QUIT.
  if (options.tlsRequired && !options.secure && !row.beforeTls) return replies.tlsRequired;
  if (facts.heloName === '' && !row.beforeHello)
    return options.protocol === 'lmtp' ? replies.lhloFirst : replies.helloFirst;
  switch (row.verb) {
    case 'MAIL':
      if (facts.transaction !== null) return replies.nestedMail;
      return options.authRequired && facts.user === '' ? replies.authRequired : undefined;
    case 'RCPT':
      if (facts.inMessage) return replies.messageBegun;
      return facts.transaction === null ? replies.mailFirst : undefined;
    case 'DATA':
      return facts.inMessage ? replies.messageBegun : recipientsFault(options, facts); // RFC 3030 §2
    case 'BDAT':
      return recipientsFault(options, facts);
    case 'STARTTLS':
      if (options.secure) return replies.alreadySecure;
      return options.startTls ? undefined : replies.notImplemented;
    case 'AUTH':
      return authFault(options, facts);
    case 'XCLIENT':
    case 'XFORWARD':
      if (!options.mayNameClients) return replies.notTrusted;
      return facts.transaction === null ? undefined : replies.inTransaction;
    case 'EHLO':
    case 'HELO':
    case 'LHLO':
    case 'RSET':
    case 'NOOP':
    case 'QUIT':
    case 'VRFY':
    case 'HELP':
    case 'EXPN':
      break;
  }
  return undefined;
}

function recipientsFault({ protocol }: SessionOptions, { transaction }: OrderFacts): Reply | undefined {
  if (transaction === null) return replies.mailFirst;
  if (transaction.recipients.length > 0) return undefined;
  return protocol === 'lmtp' ? replies.noLmtpRecipients : replies.noValidRecipients;
}

/** RFC 4954 §4. */
function authFault(options: SessionOptions, facts: OrderFacts): Reply | undefined {
  if (options.mechanisms.length === 0) return replies.notImplemented;
  if (!options.secure) return replies.authNeedsTls;
  if (!facts.extended) return replies.helloFirst;
  if (facts.user !== '') return replies.alreadyAuthenticated;
  return facts.transaction === null ? undefined : replies.authInTransaction;
}

/** MAIL and RCPT have parsers of their own. `start` and `end` are the argument, spaces around it gone. */
export function argumentFault(row: VerbRow, bytes: Buffer, start: number, end: number): Reply | undefined {
  if (row.argument === 'none') return start < end ? replies.noArgument : undefined;
  if (start === end) return row.argument === 'required' ? replies.badArgument : undefined;
  if (isHello(row.verb)) return isHelloName(bytes, start, end) ? undefined : replies.badArgument;
  // RFC 6531 §3.7.4.2: VRFY may name a UTF-8 mailbox. It gets the same 252 as any other.
  return isText(bytes, start, end, row.verb === 'VRFY') ? undefined : replies.badArgument;
}

function isHello(verb: Verb): boolean {
  return verb === 'EHLO' || verb === 'HELO' || verb === 'LHLO';
}

const maxHelloBytes = 255;

/**
 * Whatever a client calls itself, if it is one printable word (RFC 5321 §4.1.4: not refused for being wrong). What
 * claims to be an address literal has to be one (C-045).
 */
function isHelloName(bytes: Buffer, start: number, end: number): boolean {
  if (end - start > maxHelloBytes) return false;
  if (bytes[start] === 0x5b) return isAddressLiteral(bytes, start, end);
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte <= 0x20 || byte >= 0x7f) return false;
  }
  return true;
}

function isText(bytes: Buffer, start: number, end: number, eightBit: boolean): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if ((byte < 0x20 && byte !== TAB) || byte === 0x7f || (byte >= 0x80 && !eightBit)) return false;
  }
  return true;
}
