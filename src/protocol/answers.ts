/** What the caller's verdict on each kind of question leads to. */
import { answerAuthentication } from './authentication.js';
import { commands } from './commands.js';
import type { Dialogue } from './dialogue.js';
import { beginChunk, resumeChunk } from './chunk-transfer.js';
import { addRecipient, beginTransaction } from './envelope.js';
import { advanceMessage, messageRefused, messageTaken, openMessage } from './message-transfer.js';
import { clientNamed } from './named-client.js';
import { openingReplies } from './replies.js';
import {
  askBits,
  type Accepted,
  type Question,
  type Refused,
  type SaslQuestion,
  type SessionSink,
} from './types.js';

type OtherQuestion = Exclude<Question, SaslQuestion>;

/** Greets, or asks first. */
export function greet(dialogue: Dialogue, sink: SessionSink): void {
  if (dialogue.isAskedAt(askBits.CONNECT)) dialogue.ask({ kind: 'connect' }, sink);
  else dialogue.reply(openingReplies(dialogue.options).greeting, 'CONNECT', sink);
}

/** The verdict of the dialogue on its question: neither is left. */
export function applyVerdict(dialogue: Dialogue, sink: SessionSink): void {
  const { question, verdict } = dialogue;
  if (question === undefined || verdict === undefined) throw new Error('no answer to act on');
  dialogue.question = undefined;
  dialogue.verdict = undefined;
  if (isSaslQuestion(question)) answerAuthentication(dialogue, verdict, sink);
  else if (verdict.ok) accepted(dialogue, question, verdict, sink);
  else declined(dialogue, question, verdict, sink);
  // The refusal of a message waits for its end.
  if (!verdict.ok && question.kind !== 'header-end' && closes(verdict)) dialogue.close('refused', sink);
}

function isSaslQuestion(question: Question): question is SaslQuestion {
  return 'mechanism' in question;
}

/** RFC 5321 §3.8: behind 421 nothing follows. */
function closes(refused: Refused): boolean {
  return refused.close === true || refused.reply.code === 421;
}

function accepted(dialogue: Dialogue, question: OtherQuestion, verdict: Accepted, sink: SessionSink): void {
  const { reply } = verdict;
  switch (question.kind) {
    case 'connect':
      dialogue.reply(reply ?? openingReplies(dialogue.options).greeting, 'CONNECT', sink);
      return;
    case 'pause':
      if (question.why === 'greeting') greet(dialogue, sink);
      return;
    case 'verb':
      if (question.verb === 'BDAT') beginChunk(dialogue, undefined, sink);
      else commands[question.verb](dialogue, dialogue.argument, reply, sink);
      return;
    case 'mail':
      beginTransaction(dialogue, question, reply, sink);
      return;
    case 'recipient':
      addRecipient(dialogue, question, verdict, sink);
      return;
    case 'xclient':
      clientNamed(dialogue, question.attributes, verdict, sink);
      return;
    case 'header-end':
      continueMessage(dialogue, sink);
      return;
    case 'message-end':
      messageTaken(dialogue, verdict, sink);
  }
}

function declined(dialogue: Dialogue, question: OtherQuestion, refused: Refused, sink: SessionSink): void {
  const { reply } = refused;
  switch (question.kind) {
    case 'connect':
      dialogue.phase = 'refused';
      sink.reply(reply, 'CONNECT');
      return;
    case 'pause':
      throw new Error('time cannot be refused');
    case 'verb':
      // Where nothing follows, its octets are not waited for.
      if (question.verb === 'BDAT' && !closes(refused)) beginChunk(dialogue, reply, sink);
      else dialogue.reply(reply, question.verb, sink);
      return;
    case 'mail':
      dialogue.reply(reply, 'MAIL', sink);
      return;
    case 'recipient':
      dialogue.reply(reply, 'RCPT', sink);
      return;
    case 'xclient':
      dialogue.reply(reply, 'XCLIENT', sink);
      return;
    case 'header-end':
      openMessage(dialogue).refuse(reply, 'refused', sink);
      openMessage(dialogue).closes = closes(refused);
      continueMessage(dialogue, sink);
      return;
    case 'message-end':
      messageRefused(dialogue, reply, sink);
  }
}

/** header-end was answered; what was read meanwhile follows. */
function continueMessage(dialogue: Dialogue, sink: SessionSink): void {
  const message = openMessage(dialogue);
  message.goOn(sink);
  if (message.hasNext) advanceMessage(dialogue, sink);
  else if (dialogue.phase === 'chunk') resumeChunk(dialogue, sink);
}
