/** MAIL and RCPT, RFC 5321 §3.3: what begins a transaction and what it is for. Their syntax is mail-commands.ts's. */
import type { Dialogue } from './dialogue.js';
import { isReply, parseMail, parseRcpt, type MailQuestion } from './mail-commands.js';
import { replies } from './replies.js';
import { OpenTransaction } from './transaction.js';
import {
  askBits,
  type Accepted,
  type Question,
  type Reply,
  type SessionOptions,
  type SessionSink,
} from './types.js';

// RCPTs beyond the limit get 452 without counting as errors, so that a client with a long list can send the rest
// later (RFC 5321 §4.5.3.1.10). As many as Postfix allows.
const recipientOvershoot = 1000;

export function mail(dialogue: Dialogue, bytes: Buffer, start: number, end: number, sink: SessionSink): void {
  if (dialogue.message?.doubtful === true) {
    dialogue.leave(replies.doubtfulEnd, 'MAIL', 'errors', sink);
    return;
  }
  if (dialogue.transactions >= dialogue.options.limits.transactions) {
    dialogue.leave(replies.tooManyMessages, 'MAIL', 'too-old', sink);
    return;
  }
  const parsed = parseMail(bytes, start, end, dialogue.options);
  if (isReply(parsed)) dialogue.reply(parsed, 'MAIL', sink);
  else if (dialogue.isAskedAt(askBits.MAIL)) dialogue.ask(parsed, sink);
  else beginTransaction(dialogue, parsed, undefined, sink);
}

export function beginTransaction(
  dialogue: Dialogue,
  { reversePath, parameters }: MailQuestion,
  reply: Reply | undefined,
  sink: SessionSink,
): void {
  dialogue.transactions++;
  dialogue.transaction = new OpenTransaction(
    dialogue.transactions,
    reversePath,
    parameters,
    dialogue.forwarded,
  );
  dialogue.inOurWake = false;
  // XFORWARD_README: for the next transaction alone.
  dialogue.forwarded = undefined;
  dialogue.reply(reply ?? replies.senderOk, 'MAIL', sink);
}

export function rcpt(dialogue: Dialogue, bytes: Buffer, start: number, end: number, sink: SessionSink): void {
  const transaction = dialogue.openTransaction();
  const parsed = parseRcpt(bytes, start, end, transaction.parameters.smtpUtf8);
  if (isReply(parsed)) dialogue.reply(parsed, 'RCPT', sink);
  else if (transaction.recipients.length < mostRecipients(dialogue.options))
    dialogue.ask({ kind: 'recipient', ...parsed, transaction }, sink);
  else if (++transaction.overshoot > recipientOvershoot)
    dialogue.reply(replies.tooManyRecipients, 'RCPT', sink);
  else sink.reply(replies.tooManyRecipients, 'RCPT');
}

function mostRecipients({ limits, envelopeRoom }: SessionOptions): number {
  return Math.min(limits.recipients, envelopeRoom?.recipients ?? Infinity);
}

export function addRecipient(
  dialogue: Dialogue,
  question: Extract<Question, { kind: 'recipient' }>,
  verdict: Accepted,
  sink: SessionSink,
): void {
  dialogue.openTransaction().add(question, verdict.route ?? '', verdict.address);
  dialogue.reply(verdict.reply ?? replies.recipientOk, 'RCPT', sink);
}
