/**
 * One SMTP session, RFC 5321, as a pure machine: bytes in by `feed`; replies, body slices and questions out through
 * the sink. Owns the order of commands, what a transaction is, and the counts that end a session. Knows no socket,
 * clock, policy or queue: the worker drives it, and so can a test.
 *
 * The law of a turn: commands run in order until the bytes are used up, a question waits for its answer, or
 * `commandsPerTurn` is reached (`hasMore`). What has not run is kept.
 */
import { SPACE, TAB } from './characters.js';
import { argumentFault, orderFault } from './command-order.js';
import { IncomingMessage } from './incoming-message.js';
import { KeptInput } from './kept-input.js';
import { LineReader } from './line-reader.js';
import { looksLikeAnotherProtocol, startsLikeAnotherProtocol } from './other-protocols.js';
import { isReply, parseMail, parseRcpt, type MailQuestion } from './mail-commands.js';
import { openingReplies, replies } from './replies.js';
import { SaslExchange, type SaslStep } from './sasl.js';
import { OpenTransaction } from './transaction.js';
import {
  askBits,
  type CloseReason,
  type DeadlineKind,
  type Mechanism,
  type Question,
  type Reply,
  type ReplyContext,
  type SessionOptions,
  type SessionSink,
  type Transaction,
  type Verb,
  type Verdict,
} from './types.js';
import { findVerb } from './verb-table.js';

// One client's pipeline must not hold the worker: a turn is well below a millisecond.
const commandsPerTurn = 256;
// RCPTs beyond the limit get 452 without counting as errors, so that a client with a long list can send the rest
// later (RFC 5321 §4.5.3.1.10). As many as Postfix allows.
const recipientOvershoot = 1000;

type Phase =
  | 'commands'
  /** A SASL response is awaited. */
  | 'auth'
  | 'data'
  /** The greeting was a refusal: only QUIT is left. RFC 5321 §3.1. */
  | 'refused'
  /** STARTTLS was answered 220: nothing more may come in plaintext. */
  | 'upgraded'
  | 'closed';

const phaseDeadlines: Readonly<Record<Phase, DeadlineKind>> = {
  commands: 'command',
  auth: 'auth',
  data: 'data',
  refused: 'command',
  upgraded: 'none',
  closed: 'none',
};

type SimpleVerb = Exclude<Verb, 'MAIL' | 'RCPT'>;

export class Session {
  readonly #options: SessionOptions;
  readonly #input = new KeptInput();
  readonly #lines: LineReader;
  #message: IncomingMessage | undefined;
  #phase: Phase = 'commands';
  #question: Question | undefined;
  // Set while ask() runs: an answer that comes then is only noted, so that a long pipeline does not grow the stack.
  #asking = false;
  #verdict: Verdict | undefined;
  #hasMore = false;
  #firstLine = true;
  #heloName = '';
  #extended = false;
  #user = '';
  #sasl: SaslExchange | undefined;
  /** Of the verb that is asked about. */
  #argument = '';
  #transaction: OpenTransaction | null = null;
  #transactions = 0;
  #errors = 0;
  #junk = 0;
  #authFailures = 0;
  #closeAfterMessage = false;
  #ended = false;
  /** A message ended in a way that servers disagree on: what followed may be its body. attacks.md A-001. */
  #doubtful = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#lines = new LineReader(options.limits.commandLineBytes);
  }

  /** Bytes are kept until a question is answered. */
  get suspended(): boolean {
    return this.#question !== undefined;
  }

  /** The turn's bound was reached and bytes are kept: call `resume` when others had their turn. */
  get hasMore(): boolean {
    return this.#hasMore;
  }

  get transaction(): Transaction | null {
    return this.#transaction;
  }

  /** Between 354 and the end of data. */
  get inData(): boolean {
    return this.#phase === 'data';
  }

  get heloName(): string {
    return this.#heloName;
  }

  /** The client said EHLO. */
  get extended(): boolean {
    return this.#extended;
  }

  /** '' until AUTH succeeded. */
  get user(): string {
    return this.#user;
  }

  /** 'greeting' until EHLO or HELO; 'none' while the next step is ours. */
  get deadline(): DeadlineKind {
    if (this.#question !== undefined || this.#hasMore) return 'none';
    return this.#phase === 'commands' && this.#heloName === '' ? 'greeting' : phaseDeadlines[this.#phase];
  }

  /** Greets, or asks first. Not called after STARTTLS, where the client speaks first. */
  start(sink: SessionSink): void {
    if ((this.#options.ask.mask & askBits.CONNECT) !== 0) this.#ask({ kind: 'connect' }, sink);
    else this.#reply(openingReplies(this.#options).greeting, 'CONNECT', sink);
  }

  /**
   * @param chunk the session may hold on to it until it is used up: the caller does not write to it again
   */
  feed(chunk: Buffer, sink: SessionSink): void {
    if (this.#phase === 'closed') return;
    if (this.#phase === 'upgraded') {
      this.#close('plaintext-after-starttls', sink);
      return;
    }
    this.#input.add(chunk);
    if (this.#question === undefined && !this.#hasMore) this.#run(sink);
  }

  /** The answer to the last question. After the session has ended it is of no more use, and ignored. */
  answer(verdict: Verdict, sink: SessionSink): void {
    if (this.#phase === 'closed') return;
    if (this.#question === undefined || this.#verdict !== undefined)
      throw new Error('an answer without a question');
    if (this.#asking) {
      this.#verdict = verdict;
      return;
    }
    this.#apply(this.#question, verdict, sink);
    this.#run(sink);
  }

  resume(sink: SessionSink): void {
    if (this.#hasMore && this.#question === undefined) this.#run(sink);
  }

  /** 421 and close. An open message is abandoned; one whose message-end was asked is the caller's, who waits for it. */
  cut(reason: 'timeout' | 'shutdown', sink: SessionSink): void {
    if (this.#phase === 'closed' || this.#phase === 'upgraded') return;
    const context = this.#phase === 'data' ? 'MESSAGE' : 'UNKNOWN';
    this.#abandon(sink);
    sink.reply(reason === 'timeout' ? replies.timeout : replies.shuttingDown, context);
    this.#close(reason, sink);
  }

  /** The peer has closed: RFC 5321 §4.1.1.10, what was not finished is dropped. */
  end(sink: SessionSink): void {
    if (this.#phase === 'closed') return;
    this.#abandon(sink);
    this.#finish();
  }

  // ---- the turn ----------------------------------------------------------------------------------------------------

  #run(sink: SessionSink): void {
    this.#hasMore = false;
    let commands = 0;
    while (this.#question === undefined && !this.#isOver) {
      const chunk = this.#input.current();
      if (chunk === undefined) return;
      if (this.#phase === 'data') this.#readMessage(chunk, sink);
      else if (commands === commandsPerTurn) {
        this.#hasMore = true;
        return;
      } else {
        commands++;
        this.#readLine(chunk, sink);
      }
    }
  }

  get #isOver(): boolean {
    return this.#phase === 'closed' || this.#phase === 'upgraded';
  }

  #readLine(chunk: Buffer, sink: SessionSink): void {
    const input = this.#input;
    const lines = this.#lines;
    if (this.#firstLine && !lines.partial && startsLikeAnotherProtocol(chunk[input.at])) {
      this.#leave(replies.notSmtp, 'UNKNOWN', 'not-smtp', sink);
      return;
    }
    const event = lines.next(chunk, input.at, this.#phase === 'auth');
    input.at = lines.position;
    switch (event) {
      case 'line':
        this.#firstLine = false;
        if (this.#phase === 'auth') this.#authResponse(lines.source, lines.start, lines.end, sink);
        else this.#command(lines.source, lines.start, lines.end, sink);
        return;
      case 'too-long':
        this.#sasl = undefined;
        if (this.#phase === 'auth') this.#phase = 'commands';
        if (lines.auth) this.#reply(replies.authLineTooLong, 'AUTH', sink);
        else this.#reply(replies.lineTooLong, 'UNKNOWN', sink);
        return;
      case 'endless':
        this.#leave(replies.endlessLine, 'UNKNOWN', 'line-too-long', sink);
        return;
      case 'more':
        return;
    }
  }

  #command(bytes: Buffer, start: number, lineEnd: number, sink: SessionSink): void {
    let end = lineEnd;
    while (end > start && isBlank(bytes[end - 1])) end--; // RFC 5321 §4.1.1: trailing white space is tolerated
    const row = findVerb(bytes, start, end);
    if (row === undefined) {
      this.#unknown(bytes, start, end, sink);
      return;
    }
    const { verb } = row;
    if (this.#phase === 'refused' && verb !== 'QUIT') {
      this.#reply(replies.refusedSession, verb, sink);
      return;
    }
    if (row.junk && ++this.#junk > this.#options.limits.junkCommands) {
      this.#leave(replies.tooManyCommands, verb, 'errors', sink);
      return;
    }
    let from = start + verb.length;
    while (from < end && bytes[from] === SPACE) from++;
    const fault = orderFault(row, this.#options, this);
    if (fault !== undefined) this.#reply(fault, verb, sink);
    else if (verb === 'MAIL') this.#mail(bytes, from, end, sink);
    else if (verb === 'RCPT') this.#rcpt(bytes, from, end, sink);
    else {
      const badArgument = argumentFault(row, bytes, from, end);
      if (badArgument !== undefined) this.#reply(badArgument, verb, sink);
      else this.#simple(verb, from === end ? '' : bytes.toString('latin1', from, end), row.askBit, sink);
    }
  }

  #unknown(bytes: Buffer, start: number, end: number, sink: SessionSink): void {
    if (looksLikeAnotherProtocol(bytes, start, end))
      this.#leave(replies.notSmtp, 'UNKNOWN', 'not-smtp', sink);
    else
      this.#reply(
        this.#phase === 'refused' ? replies.refusedSession : replies.unknownCommand,
        'UNKNOWN',
        sink,
      );
  }

  // ---- MAIL and RCPT -----------------------------------------------------------------------------------------------

  #mail(bytes: Buffer, start: number, end: number, sink: SessionSink): void {
    if (this.#doubtful) {
      this.#leave(replies.doubtfulEnd, 'MAIL', 'errors', sink);
      return;
    }
    const parsed = parseMail(bytes, start, end, this.#options);
    if (isReply(parsed)) this.#reply(parsed, 'MAIL', sink);
    else if ((this.#options.ask.mask & askBits.MAIL) !== 0) this.#ask(parsed, sink);
    else this.#beginTransaction(parsed, undefined, sink);
  }

  #beginTransaction(
    { reversePath, parameters }: MailQuestion,
    reply: Reply | undefined,
    sink: SessionSink,
  ): void {
    this.#transactions++;
    this.#transaction = new OpenTransaction(this.#transactions, reversePath, parameters);
    this.#reply(reply ?? replies.senderOk, 'MAIL', sink);
  }

  #rcpt(bytes: Buffer, start: number, end: number, sink: SessionSink): void {
    const transaction = this.#openTransaction();
    const parsed = parseRcpt(bytes, start, end, transaction.parameters.smtpUtf8);
    if (isReply(parsed)) this.#reply(parsed, 'RCPT', sink);
    else if (transaction.recipients.length < this.#options.limits.recipients)
      this.#ask({ kind: 'recipient', ...parsed, transaction }, sink);
    else if (++transaction.overshoot > recipientOvershoot)
      this.#reply(replies.tooManyRecipients, 'RCPT', sink);
    else sink.reply(replies.tooManyRecipients, 'RCPT');
  }

  #openTransaction(): OpenTransaction {
    if (this.#transaction === null) throw new Error('no transaction is open');
    return this.#transaction;
  }

  // ---- the other verbs ---------------------------------------------------------------------------------------------

  #simple(verb: SimpleVerb, argument: string, askBit: number, sink: SessionSink): void {
    if ((this.#options.ask.mask & askBit) === 0) {
      this.#perform(verb, argument, undefined, sink);
      return;
    }
    this.#argument = argument;
    // Not AUTH's initial response: whoever is asked here has no need of a password.
    const shown = verb === 'AUTH' ? splitOnce(argument)[0] : argument;
    this.#ask({ kind: 'verb', verb, argument: shown }, sink);
  }

  /** @param reply replaces the catalogue's */
  #perform(verb: SimpleVerb, argument: string, reply: Reply | undefined, sink: SessionSink): void {
    switch (verb) {
      case 'EHLO':
      case 'HELO':
        this.#heloName = argument;
        this.#extended = verb === 'EHLO';
        this.#transaction = null; // RFC 5321 §4.1.4: as RSET
        this.#reply(reply ?? openingReplies(this.#options)[verb === 'EHLO' ? 'ehlo' : 'helo'], verb, sink);
        return;
      case 'DATA':
        this.#data(reply, sink);
        return;
      case 'RSET':
        this.#transaction = null;
        this.#reply(reply ?? replies.ok, verb, sink);
        return;
      case 'NOOP':
        this.#reply(reply ?? replies.ok, verb, sink);
        return;
      case 'VRFY':
        this.#reply(reply ?? replies.cannotVerify, verb, sink);
        return;
      case 'HELP':
        this.#reply(reply ?? replies.help, verb, sink);
        return;
      case 'EXPN':
        this.#reply(reply ?? replies.notImplemented, verb, sink);
        return;
      case 'QUIT':
        this.#leave(reply ?? replies.goodbye, verb, 'quit', sink);
        return;
      case 'STARTTLS':
        this.#startTls(reply, sink);
        return;
      case 'AUTH':
        this.#auth(argument, sink);
        return;
    }
  }

  /** RFC 3207 §5: bytes behind STARTTLS came in plaintext and must never be taken as said inside TLS. */
  #startTls(reply: Reply | undefined, sink: SessionSink): void {
    if (!this.#input.isEmpty) {
      this.#leave(replies.earlyTalk, 'STARTTLS', 'plaintext-after-starttls', sink);
      return;
    }
    sink.reply(reply ?? replies.startTls, 'STARTTLS');
    this.#phase = 'upgraded';
    this.#transaction = null;
    sink.upgrade();
  }

  // ---- AUTH --------------------------------------------------------------------------------------------------------

  #auth(argument: string, sink: SessionSink): void {
    const [name, initial] = splitOnce(argument);
    const mechanism = this.#options.mechanisms.find((known) => known === name.toUpperCase());
    if (mechanism === undefined) {
      this.#reply(replies.unknownMechanism, 'AUTH', sink);
      return;
    }
    this.#sasl = new SaslExchange(mechanism satisfies Mechanism);
    this.#saslStep(this.#sasl.begin(initial), sink);
  }

  #authResponse(bytes: Buffer, start: number, end: number, sink: SessionSink): void {
    if (this.#sasl === undefined) throw new Error('no SASL exchange is open');
    this.#phase = 'commands';
    this.#saslStep(this.#sasl.respond(bytes.toString('latin1', start, end)), sink);
  }

  #saslStep(step: SaslStep, sink: SessionSink): void {
    switch (step.kind) {
      case 'challenge':
        // RFC 4954 §4: the response is to a challenge the client has read; what is here already was not.
        if (!this.#input.isEmpty) {
          this.#leave(replies.earlyTalk, 'AUTH', 'errors', sink);
          return;
        }
        this.#phase = 'auth';
        sink.reply(step.reply, 'AUTH');
        return;
      case 'credentials':
        this.#sasl = undefined;
        this.#ask(step.question, sink);
        return;
      case 'failed':
        this.#sasl = undefined;
        this.#authFailed(step.reply, sink);
    }
  }

  #authFailed(reply: Reply, sink: SessionSink): void {
    this.#reply(reply, 'AUTH', sink);
    // What is our trouble (4xx) says nothing of the client.
    if (reply.code < 500 || this.#phase === 'closed') return;
    if (++this.#authFailures >= this.#options.limits.authFailures)
      this.#leave(replies.tooManyAuthFailures, 'AUTH', 'errors', sink);
  }

  // ---- the message -------------------------------------------------------------------------------------------------

  #data(reply: Reply | undefined, sink: SessionSink): void {
    // RFC 2920 §3.1: content is not sent before 354. Who does guesses, or smuggles: A-042.
    if (!this.#input.isEmpty) {
      this.#leave(replies.earlyTalk, 'DATA', 'errors', sink);
      return;
    }
    this.#message ??= new IncomingMessage(this.#options.limits, this.#options.hostname);
    this.#message.begin((this.#options.ask.mask & askBits.HEADER_END) !== 0);
    this.#ended = false;
    sink.messageBegin(this.#openTransaction());
    this.#phase = 'data';
    sink.reply(reply ?? replies.startMail, 'DATA');
  }

  #openMessage(): IncomingMessage {
    if (this.#message === undefined) throw new Error('no message is open');
    return this.#message;
  }

  #readMessage(chunk: Buffer, sink: SessionSink): void {
    const message = this.#openMessage();
    const event = message.read(chunk, this.#input.at, sink);
    this.#input.at = message.position;
    if (event === 'end') {
      this.#ended = true;
      this.#phase = 'commands';
    }
    if (event !== 'more') this.#advanceMessage(sink);
  }

  /** The next thing to say or ask about the message: the header (a message of a header alone has its end there), the end. */
  #advanceMessage(sink: SessionSink): void {
    const message = this.#openMessage();
    const transaction = this.#openTransaction();
    if (message.refusal === undefined && message.headerEndWanted) {
      message.headerEndWanted = false;
      this.#ask({ kind: 'header-end', transaction }, sink);
    } else if (this.#ended && message.refusal === undefined) {
      this.#ask({ kind: 'message-end', transaction, bodyBytes: message.bodyBytes }, sink);
    } else if (this.#ended && message.refusal !== undefined) this.#endRefused(message.refusal, sink);
  }

  #endRefused(refusal: Reply, sink: SessionSink): void {
    if (this.#openMessage().doubtfulEnd) this.#doubtful = true;
    this.#reply(refusal, 'MESSAGE', sink);
    this.#transaction = null; // RFC 5321 §4.1.1.4: also when the message fails
    if (this.#closeAfterMessage) this.#close('refused', sink);
  }

  #abandon(sink: SessionSink): void {
    const message = this.#message;
    const open = this.#phase === 'data' || this.#question?.kind === 'header-end';
    if (open && message?.refusal === undefined) sink.messageAbandon('cut');
  }

  // ---- questions and answers ---------------------------------------------------------------------------------------

  #ask(question: Question, sink: SessionSink): void {
    this.#question = question;
    this.#asking = true;
    sink.ask(question);
    this.#asking = false;
    const verdict = this.#verdict;
    if (verdict !== undefined) this.#apply(question, verdict, sink);
  }

  #apply(question: Question, verdict: Verdict, sink: SessionSink): void {
    this.#question = undefined;
    this.#verdict = undefined;
    if (verdict.ok) this.#accepted(question, verdict, sink);
    else this.#declined(question, verdict.reply, verdict.close === true || verdict.reply.code === 421, sink);
  }

  #accepted(question: Question, verdict: Extract<Verdict, { ok: true }>, sink: SessionSink): void {
    const { reply } = verdict;
    switch (question.kind) {
      case 'connect':
        this.#reply(reply ?? openingReplies(this.#options).greeting, 'CONNECT', sink);
        return;
      case 'verb':
        this.#perform(question.verb, this.#argument, reply, sink);
        return;
      case 'mail':
        this.#beginTransaction(question, reply, sink);
        return;
      case 'recipient':
        this.#openTransaction().add(question, verdict.route ?? '', verdict.address);
        this.#reply(reply ?? replies.recipientOk, 'RCPT', sink);
        return;
      case 'credentials':
        this.#user = verdict.user ?? question.authenticationId;
        this.#reply(reply ?? replies.authenticated, 'AUTH', sink);
        return;
      case 'header-end':
        this.#advanceMessage(sink);
        return;
      case 'message-end':
        if (reply === undefined) throw new Error('a message was accepted without the reply that names it');
        sink.reply(reply, 'MESSAGE');
        this.#transaction = null;
        this.#junk = 0;
    }
  }

  #declined(question: Question, reply: Reply, close: boolean, sink: SessionSink): void {
    switch (question.kind) {
      case 'connect':
        this.#phase = 'refused';
        sink.reply(reply, 'CONNECT');
        break;
      case 'verb':
        this.#reply(reply, question.verb, sink);
        break;
      case 'mail':
        this.#reply(reply, 'MAIL', sink);
        break;
      case 'recipient':
        this.#reply(reply, 'RCPT', sink);
        break;
      case 'credentials':
        this.#authFailed(reply, sink);
        break;
      case 'header-end':
        this.#openMessage().refuse(reply, 'refused', sink);
        this.#closeAfterMessage = close;
        this.#advanceMessage(sink);
        return;
      case 'message-end':
        sink.reply(reply, 'MESSAGE');
        this.#transaction = null;
    }
    if (close) this.#close('refused', sink);
  }

  // ---- replies and the end -----------------------------------------------------------------------------------------

  /** Replies and, where it is a refusal, counts it: too many end the session. */
  #reply(reply: Reply, context: ReplyContext, sink: SessionSink): void {
    sink.reply(reply, context);
    if (reply.code < 400) return;
    if (++this.#errors >= this.#options.limits.errors)
      this.#leave(replies.tooManyErrors, context, 'errors', sink);
  }

  #leave(reply: Reply, context: ReplyContext, reason: CloseReason, sink: SessionSink): void {
    sink.reply(reply, context);
    this.#close(reason, sink);
  }

  #close(reason: CloseReason, sink: SessionSink): void {
    if (this.#phase === 'closed') return;
    this.#finish();
    sink.close(reason);
  }

  #finish(): void {
    this.#phase = 'closed';
    this.#hasMore = false;
    this.#question = undefined;
    this.#sasl = undefined;
    this.#transaction = null;
    this.#input.clear();
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}

/** The first word, and the rest without the spaces between. */
function splitOnce(text: string): [string, string] {
  const space = text.indexOf(' ');
  return space < 0 ? [text, ''] : [text.slice(0, space), text.slice(space).trim()];
}
