/**
 * The message in the order of a session: DATA, RFC 5321 §4.1.1.4, what follows it, and the reply to the message, by
 * whichever command it came. BDAT's own is chunk-transfer.ts.
 */
import type { Dialogue } from './dialogue.js';
import { isReply } from './mail-commands.js';
import { MessageDialogue } from './message-dialogue.js';
import { forRecipient, replies } from './replies.js';
import type { Accepted, Reply, SessionSink } from './types.js';

export function beginData(dialogue: Dialogue, reply: Reply | undefined, sink: SessionSink): void {
  // RFC 2920 §3.1: content is not sent before 354. Who does guesses, or smuggles: A-042.
  if (!dialogue.input.isEmpty) {
    dialogue.leave(replies.earlyTalk, 'DATA', 'early-talk', sink);
    return;
  }
  beginMessage(dialogue, true, sink);
  dialogue.phase = 'data';
  sink.reply(reply ?? replies.startMail, 'DATA');
}

/** @param dots as DATA has them, and BDAT has not */
export function beginMessage(dialogue: Dialogue, dots: boolean, sink: SessionSink): void {
  dialogue.message ??= new MessageDialogue(dialogue.options);
  dialogue.message.begin(dots);
  sink.messageBegin(dialogue.openTransaction());
}

export function openMessage(dialogue: Dialogue): MessageDialogue {
  if (dialogue.message === undefined) throw new Error('no message is open');
  return dialogue.message;
}

/** Bytes while the phase is `data`. */
export function readMessage(dialogue: Dialogue, chunk: Buffer, sink: SessionSink): void {
  const { input } = dialogue;
  const message = openMessage(dialogue);
  message.read(chunk, input.at, chunk.length, sink);
  input.at = message.position;
  if (message.hasNext) advanceMessage(dialogue, sink);
}

/** Says or asks what comes next. */
export function advanceMessage(dialogue: Dialogue, sink: SessionSink): void {
  const message = openMessage(dialogue);
  if (dialogue.phase === 'data' && message.ended) dialogue.phase = 'commands';
  const next = message.next(dialogue.openTransaction());
  if (next === undefined) return;
  if (!isReply(next)) {
    dialogue.ask(next, sink);
    return;
  }
  dialogue.reply(replyToOthers(dialogue, next, sink), 'MESSAGE', sink);
  dialogue.transaction = null; // RFC 5321 §4.1.1.4: also when the message fails
  if (message.closes) dialogue.close('refused', sink);
}

export function messageTaken(dialogue: Dialogue, { reply }: Accepted, sink: SessionSink): void {
  if (reply === undefined) throw new Error('a message was accepted without the reply that names it');
  sink.reply(replyToOthers(dialogue, reply, sink), 'MESSAGE');
  dialogue.transaction = null;
  dialogue.patience.messageTaken();
}

export function messageRefused(dialogue: Dialogue, reply: Reply, sink: SessionSink): void {
  sink.reply(replyToOthers(dialogue, reply, sink), 'MESSAGE');
  dialogue.transaction = null;
}

/**
 * RFC 2033 §4.2: at its end a message has a reply for each recipient that was accepted, in their order. The queue takes a
 * message for all of them or for none, so they differ in the name alone; this says all but the last.
 * @returns the last
 */
function replyToOthers(dialogue: Dialogue, reply: Reply, sink: SessionSink): Reply {
  if (dialogue.options.protocol !== 'lmtp' || !openMessage(dialogue).ended) return reply;
  let last = reply;
  dialogue.openTransaction().recipients.forEach(({ mailbox }, index) => {
    if (index > 0) sink.reply(last, 'MESSAGE');
    last = forRecipient(reply, mailbox.address);
  });
  return last;
}
