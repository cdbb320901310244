/**
 * XCLIENT and XFORWARD, as Postfix's documents of these names define them: a client that the operator trusts says for
 * whom it speaks. XCLIENT makes the session another client's, from its greeting on; XFORWARD is only shown with the
 * next message. Who is trusted, and whether the new client gets in, is the caller's to say.
 */
import { parseXclient, parseXforward, type XclientAttributes } from './client-attributes.js';
import type { Dialogue } from './dialogue.js';
import { openingReplies, replies } from './replies.js';
import { askBits, type Accepted, type Reply, type SessionSink } from './types.js';

export function nameClient(dialogue: Dialogue, argument: string, sink: SessionSink): void {
  // What follows may be the body of the message before: a new client must not make that forgotten.
  if (dialogue.message?.doubtful === true) {
    dialogue.leave(replies.doubtfulEnd, 'XCLIENT', 'errors', sink);
    return;
  }
  const attributes = parseXclient(argument);
  if (attributes === undefined) dialogue.reply(replies.badAttribute, 'XCLIENT', sink);
  else dialogue.ask({ kind: 'xclient', attributes }, sink);
}

/**
 * XCLIENT_README: back to the greeting, with nothing known but what this command said. How often the peer has erred is
 * not forgotten: it is still the same.
 */
export function clientNamed(
  dialogue: Dialogue,
  { helo, proto }: XclientAttributes,
  { options, user, reply }: Accepted,
  sink: SessionSink,
): void {
  dialogue.options = options ?? dialogue.options;
  dialogue.heloName = helo ?? '';
  dialogue.extended = proto === 'ESMTP';
  dialogue.auth = undefined;
  // Made anew with the options of now.
  dialogue.message = undefined;
  dialogue.namedUser = user ?? '';
  dialogue.forwarded = undefined;
  if (dialogue.isAskedAt(askBits.CONNECT)) dialogue.ask({ kind: 'connect' }, sink);
  else dialogue.reply(reply ?? openingReplies(dialogue.options).greeting, 'XCLIENT', sink);
}

/** What was said before and is not said again stays, until the message has come or RSET. */
export function forward(
  dialogue: Dialogue,
  argument: string,
  reply: Reply | undefined,
  sink: SessionSink,
): void {
  const attributes = parseXforward(argument);
  if (attributes === undefined) {
    dialogue.reply(replies.badAttribute, 'XFORWARD', sink);
    return;
  }
  dialogue.forwarded = { ...dialogue.forwarded, ...attributes };
  dialogue.reply(reply ?? replies.ok, 'XFORWARD', sink);
}
