/** What each verb does once its order and argument were found good. Those with more to them have a file of their own. */
import { authenticate } from './authentication.js';
import type { Dialogue } from './dialogue.js';
import { beginData } from './message-transfer.js';
import { forward, nameClient } from './named-client.js';
import { openingReplies, replies } from './replies.js';
import type { Reply, SessionSink, Verb } from './types.js';

/** The others are parsed from the bytes: envelope.ts, chunk-transfer.ts. */
export type SimpleVerb = Exclude<Verb, 'MAIL' | 'RCPT' | 'BDAT'>;

/** @param reply replaces the catalogue's */
type Perform = (dialogue: Dialogue, argument: string, reply: Reply | undefined, sink: SessionSink) => void;

export const commands: Readonly<Record<SimpleVerb, Perform>> = {
  EHLO: (dialogue, argument, reply, sink) => hello(dialogue, 'EHLO', argument, reply, sink),
  HELO: (dialogue, argument, reply, sink) => hello(dialogue, 'HELO', argument, reply, sink),
  LHLO: (dialogue, argument, reply, sink) => hello(dialogue, 'LHLO', argument, reply, sink),
  DATA: (dialogue, _argument, reply, sink) => beginData(dialogue, reply, sink),
  RSET: reset,
  NOOP: (dialogue, _argument, reply, sink) => dialogue.reply(reply ?? replies.ok, 'NOOP', sink),
  VRFY: (dialogue, _argument, reply, sink) => dialogue.reply(reply ?? replies.cannotVerify, 'VRFY', sink),
  HELP: (dialogue, _argument, reply, sink) => dialogue.reply(reply ?? replies.help, 'HELP', sink),
  EXPN: (dialogue, _argument, reply, sink) => dialogue.reply(reply ?? replies.notImplemented, 'EXPN', sink),
  QUIT: (dialogue, _argument, reply, sink) => dialogue.leave(reply ?? replies.goodbye, 'QUIT', 'quit', sink),
  STARTTLS: startTls,
  // The reply to AUTH is the exchange's.
  AUTH: (dialogue, argument, _reply, sink) => authenticate(dialogue, ...splitOnce(argument), sink),
  // As is the reply to XCLIENT: the greeting.
  XCLIENT: (dialogue, argument, _reply, sink) => nameClient(dialogue, argument, sink),
  XFORWARD: (dialogue, argument, reply, sink) => forward(dialogue, argument, reply, sink),
};

function hello(
  dialogue: Dialogue,
  verb: 'EHLO' | 'HELO' | 'LHLO',
  argument: string,
  reply: Reply | undefined,
  sink: SessionSink,
): void {
  dialogue.heloName = argument;
  dialogue.extended = verb !== 'HELO';
  dialogue.dropTransaction(sink); // RFC 5321 §4.1.4: as RSET
  dialogue.forwarded = undefined;
  const { ehlo, helo } = openingReplies(dialogue.options);
  dialogue.reply(reply ?? (verb === 'HELO' ? helo : ehlo), verb, sink);
}

function reset(dialogue: Dialogue, _argument: string, reply: Reply | undefined, sink: SessionSink): void {
  dialogue.dropTransaction(sink);
  dialogue.forwarded = undefined;
  dialogue.reply(reply ?? replies.ok, 'RSET', sink);
}

/** RFC 3207 §5: bytes behind STARTTLS came in plaintext and must never be taken as said inside TLS. */
function startTls(dialogue: Dialogue, _argument: string, reply: Reply | undefined, sink: SessionSink): void {
  if (!dialogue.input.isEmpty) {
    dialogue.leave(replies.earlyTalk, 'STARTTLS', 'plaintext-after-starttls', sink);
    return;
  }
  sink.reply(reply ?? replies.startTls, 'STARTTLS');
  dialogue.phase = 'upgraded';
  dialogue.dropTransaction(sink);
  sink.upgrade();
}

/** The first word, and the rest without the spaces between. */
export function splitOnce(text: string): [string, string] {
  const space = text.indexOf(' ');
  return space < 0 ? [text, ''] : [text.slice(0, space), text.slice(space).trim()];
}
