/**
 * What the commands of one session share: its state, and the ways to say, ask and end something. Knows no command; the
 * files that do (commands.ts, envelope.ts, authentication.ts, message-transfer.ts, chunk-transfer.ts, answers.ts) are
 * given one of these.
 */
import type { AuthDialogue } from './auth-dialogue.js';
import type { XforwardAttributes } from './client-attributes.js';
import { KeptInput } from './kept-input.js';
import type { MessageDialogue } from './message-dialogue.js';
import { Patience } from './patience.js';
import { ourTrouble, replies } from './replies.js';
import type { OpenTransaction } from './transaction.js';
import type {
  CloseReason,
  DeadlineKind,
  Question,
  Reply,
  ReplyContext,
  SessionOptions,
  SessionSink,
  Verdict,
} from './types.js';

export type Phase =
  | 'commands'
  /** A SASL response is awaited. */
  | 'auth'
  | 'data'
  /** Octets of BDAT are awaited. */
  | 'chunk'
  /** The greeting was a refusal: only QUIT is left. RFC 5321 §3.1. */
  | 'refused'
  /** STARTTLS was answered 220: nothing more may come in plaintext. */
  | 'upgraded'
  | 'closed';

const phaseDeadlines: Readonly<Record<Phase, DeadlineKind>> = {
  commands: 'command',
  auth: 'auth',
  data: 'data',
  chunk: 'data',
  refused: 'command',
  upgraded: 'none',
  closed: 'none',
};

/** A chunk of BDAT that is being read. */
export interface Chunk {
  leftBytes: number;
  readonly last: boolean;
  /** The phase that its BDAT came in, and that goes on behind it. */
  readonly before: Phase;
  /** It does not belong to a message: dropped, and this is its reply. */
  fault: Reply | undefined;
}

export class Dialogue {
  /** XCLIENT may change what the client may do. */
  options: SessionOptions;
  readonly input = new KeptInput();
  readonly patience: Patience;
  phase: Phase = 'commands';
  /** '' until EHLO or HELO. */
  heloName = '';
  /** The client said EHLO. */
  extended = false;
  transaction: OpenTransaction | null = null;
  /** How many MAIL were accepted. */
  transactions = 0;
  /** Made when AUTH is first used. */
  auth: AuthDialogue | undefined;
  /** Whom XCLIENT said to have logged in. */
  namedUser = '';
  /** What XFORWARD said; the next MAIL takes it. */
  forwarded: XforwardAttributes | undefined;
  /** Made when the first message begins. */
  message: MessageDialogue | undefined;
  /** While the phase is `chunk`, and while that BDAT is asked about. */
  chunk: Chunk | undefined;
  /** Nothing goes on until it is answered. */
  question: Question | undefined;
  /** Of the verb that is asked about. */
  argument = '';
  /** The last MAIL was refused for a trouble of ours. */
  inOurWake = false;
  /** The answer, until it is acted on. */
  verdict: Verdict | undefined;

  constructor(options: SessionOptions) {
    this.options = options;
    this.patience = new Patience(options);
  }

  /** '' until AUTH succeeded. */
  get user(): string {
    return this.auth === undefined ? this.namedUser : this.auth.user;
  }

  get isOver(): boolean {
    return this.phase === 'closed' || this.phase === 'upgraded';
  }

  /** A message has begun and not ended: between 354 and the end of data, or between two BDAT. */
  get inMessage(): boolean {
    return this.message?.isOpen === true;
  }

  /** Of the client's next step. */
  get deadline(): DeadlineKind {
    return this.phase === 'commands' && this.heloName === '' ? 'greeting' : phaseDeadlines[this.phase];
  }

  isAskedAt(bit: number): boolean {
    return (this.options.ask.mask & bit) !== 0;
  }

  openTransaction(): OpenTransaction {
    if (this.transaction === null) throw new Error('no transaction is open');
    return this.transaction;
  }

  dropTransaction(sink: SessionSink): void {
    this.message?.abandon(sink);
    this.transaction = null;
  }

  /** The last step of a command: what comes next is up to the verdict. */
  ask(question: Question, sink: SessionSink): void {
    this.question = question;
    sink.ask(question);
  }

  /** Replies and, where it is a refusal, counts it: many hold the client up, too many end the session. */
  reply(reply: Reply, context: ReplyContext, sink: SessionSink): void {
    sink.reply(reply, context);
    if (reply.code < 400) return;
    // RFC 2920 §3.1: RCPT and DATA were on their way when MAIL was refused.
    const isWake = this.inOurWake && reply === replies.mailFirst;
    const next = isWake || ourTrouble.has(reply) ? this.patience.excusable() : this.patience.error();
    if (context === 'MAIL') this.inOurWake = ourTrouble.has(reply);
    if (next === 'end') this.leave(replies.tooManyErrors, context, 'errors', sink);
    else if (next === 'pause') this.ask({ kind: 'pause', why: 'errors' }, sink);
  }

  /** The last reply. */
  leave(reply: Reply, context: ReplyContext, reason: CloseReason, sink: SessionSink): void {
    sink.reply(reply, context);
    this.close(reason, sink);
  }

  close(reason: CloseReason, sink: SessionSink): void {
    if (this.phase === 'closed') return;
    this.finish(sink);
    sink.close(reason);
  }

  finish(sink: SessionSink): void {
    this.phase = 'closed';
    this.question = undefined;
    this.verdict = undefined;
    this.chunk = undefined;
    this.dropTransaction(sink);
    this.input.clear();
  }
}
