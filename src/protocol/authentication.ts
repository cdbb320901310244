/** AUTH in the order of a session, RFC 4954 §4: does what the steps of the exchange (auth-dialogue.ts) say. */
import { AuthDialogue } from './auth-dialogue.js';
import type { Dialogue } from './dialogue.js';
import { isReply } from './mail-commands.js';
import { replies } from './replies.js';
import type { SaslStep } from './sasl/exchange.js';
import type { SessionSink, Verdict } from './types.js';

export function authenticate(
  dialogue: Dialogue,
  mechanism: string,
  initial: string,
  sink: SessionSink,
): void {
  dialogue.auth ??= new AuthDialogue(dialogue.options);
  const step = dialogue.auth.begin(mechanism, initial);
  if (isReply(step)) dialogue.reply(step, 'AUTH', sink);
  else take(dialogue, step, sink);
}

/** A line while the phase is `auth`. */
export function continueAuthentication(dialogue: Dialogue, line: string, sink: SessionSink): void {
  dialogue.phase = 'commands';
  take(dialogue, open(dialogue).respond(line), sink);
}

export function answerAuthentication(dialogue: Dialogue, verdict: Verdict, sink: SessionSink): void {
  take(dialogue, open(dialogue).answer(verdict), sink);
}

/** The client's line could not be read. */
export function refuseLongResponse(dialogue: Dialogue, sink: SessionSink): void {
  dialogue.phase = 'commands';
  take(dialogue, open(dialogue).respondTooLong(), sink);
}

function open(dialogue: Dialogue): AuthDialogue {
  if (dialogue.auth === undefined) throw new Error('no SASL exchange is open');
  return dialogue.auth;
}

function take(dialogue: Dialogue, step: SaslStep, sink: SessionSink): void {
  switch (step.kind) {
    case 'challenge':
      // RFC 4954 §4: the response is to a challenge the client has read; what is here already was not.
      if (!dialogue.input.isEmpty) {
        dialogue.leave(replies.earlyTalk, 'AUTH', 'early-talk', sink);
        return;
      }
      dialogue.phase = 'auth';
      sink.reply(step.reply, 'AUTH');
      return;
    case 'question':
      dialogue.ask(step.question, sink);
      return;
    case 'succeeded':
      dialogue.reply(step.reply, 'AUTH', sink);
      return;
    case 'failed':
      dialogue.reply(step.reply, 'AUTH', sink);
      if (!dialogue.isOver && open(dialogue).failed(step.reply))
        dialogue.leave(replies.tooManyAuthFailures, 'AUTH', 'errors', sink);
  }
}
