/**
 * One SMTP session, RFC 5321, as a pure machine: bytes in by `feed`; replies, body slices and questions out through
 * the sink. Owns the order of the dialogue: which line is whose, what waits for an answer, when others have their turn.
 * What the commands do is commands.ts's and the files' it names. Knows no socket, clock, policy or queue: the worker
 * drives it, and so can a test.
 *
 * The law of a turn: commands run in order until the bytes are used up, a question waits for its answer, or
 * one of the turn's bounds is reached (`hasMore`). What has not run is kept.
 */
import { applyVerdict, greet } from './answers.js';
import { bdat, readChunk } from './chunk-transfer.js';
import { continueAuthentication, refuseLongResponse } from './authentication.js';
import { SPACE, TAB } from './characters.js';
import { argumentFault, orderFault } from './command-order.js';
import { commands, splitOnce, type SimpleVerb } from './commands.js';
import { Dialogue } from './dialogue.js';
import { mail, rcpt } from './envelope.js';
import { LineReader } from './line-reader.js';
import { pathText } from './mail-commands.js';
import { readMessage } from './message-transfer.js';
import { looksLikeAnotherProtocol, startsLikeAnotherProtocol } from './other-protocols.js';
import { openingReplies, replies } from './replies.js';
import type { DeadlineKind, Mechanism, SessionOptions, SessionSink, Transaction, Verdict } from './types.js';
import { findVerb, isRefusedVerb, type VerbRow } from './verb-table.js';

// One client's pipeline must not hold the worker: a turn takes about a millisecond, whether its commands are many or long
// (256 RCPT of 120 labels each took 10 ms).
const commandsPerTurn = 256;
const commandBytesPerTurn = 8_192;

const cutReplies = {
  timeout: replies.timeout,
  shutdown: replies.shuttingDown,
  reload: replies.reloading,
  'too-old': replies.sessionTooOld,
} as const;

export class Session {
  readonly #dialogue: Dialogue;
  readonly #lines: LineReader;
  /** Of the command that runs: what follows its verb, borrowed. */
  #argument: Buffer | undefined;
  #argumentStart = 0;
  #argumentEnd = 0;
  // Set while a turn runs: an answer that comes then is only noted, so that a long pipeline does not grow the stack.
  #running = false;
  #hasMore = false;
  #firstLine = true;
  /** Of commands, in this turn. */
  #turnBytes = 0;

  constructor(options: SessionOptions) {
    this.#dialogue = new Dialogue(options);
    this.#lines = new LineReader(options.limits.commandLineBytes);
  }

  /** Bytes are kept until a question is answered. */
  get suspended(): boolean {
    return this.#dialogue.question !== undefined && !this.#isGreetingLate;
  }

  /** The client has to wait for the rest of the greeting. */
  get #isGreetingLate(): boolean {
    const { question } = this.#dialogue;
    return question?.kind === 'pause' && question.why === 'greeting';
  }

  /** The turn's bound was reached and bytes are kept: call `resume` when others had their turn. */
  get hasMore(): boolean {
    return this.#hasMore;
  }

  get transaction(): Transaction | null {
    return this.#dialogue.transaction;
  }

  /** What comes now is no command: content, up to the end of data or of the chunk. */
  get inData(): boolean {
    return this.#dialogue.phase === 'data' || this.#dialogue.phase === 'chunk';
  }

  /** From the message's first byte to its end: between two BDAT too. So is a chunk that no message will be made of. */
  get inMessage(): boolean {
    return this.inData || this.#dialogue.inMessage;
  }

  /** Of the message that is read, or was refused: as far as it was read. */
  get messageBytes(): number {
    return this.#dialogue.message?.bodyBytes ?? 0;
  }

  /** Of the same message: its Message-ID as it stands in the header, cut; '' where there is none. A stranger's words. */
  get messageId(): string {
    return this.#dialogue.message?.messageId ?? '';
  }

  /** For the log of a MAIL or RCPT that is refused before anybody was asked about it: the path as it stands there. */
  get refusedPath(): string {
    if (this.#argument === undefined) return '';
    return pathText(this.#argument, this.#argumentStart, this.#argumentEnd);
  }

  get heloName(): string {
    return this.#dialogue.heloName;
  }

  /** The client said EHLO. */
  get extended(): boolean {
    return this.#dialogue.extended;
  }

  /** '' until AUTH succeeded. */
  get user(): string {
    return this.#dialogue.user;
  }

  /**
   * The mechanism of an attempt to log in that failed by what the client sent, so that no verdict was asked for or it was
   * not the one that failed it. Told once: to whoever asks as its reply is given, so that each failure can be counted.
   */
  takeUnjudgedFailure(): Mechanism | undefined {
    return this.#dialogue.auth?.takeUnjudgedFailure();
  }

  /** 'greeting' until EHLO or HELO; 'none' while the next step is ours. */
  get deadline(): DeadlineKind {
    return this.suspended || this.#hasMore ? 'none' : this.#dialogue.deadline;
  }

  /**
   * Greets, or asks first. Not called after STARTTLS, where the client speaks first.
   * @param tease says a first line only, and the rest after a pause: who does not wait for it is no mail server
   */
  start(sink: SessionSink, tease = false): void {
    const dialogue = this.#dialogue;
    this.#running = true;
    if (tease) {
      sink.reply(openingReplies(dialogue.options).teaser, 'CONNECT');
      dialogue.ask({ kind: 'pause', why: 'greeting' }, sink);
    } else greet(dialogue, sink);
    this.#run(sink);
  }

  /**
   * @param chunk the session may hold on to it until it is used up: the caller does not write to it again
   */
  feed(chunk: Buffer, sink: SessionSink): void {
    const dialogue = this.#dialogue;
    if (dialogue.phase === 'closed') return;
    if (dialogue.phase === 'upgraded') {
      dialogue.close('plaintext-after-starttls', sink);
      return;
    }
    if (this.#isGreetingLate) {
      dialogue.leave(replies.earlyTalk, 'CONNECT', 'early-talk', sink);
      return;
    }
    dialogue.input.add(chunk);
    if (!this.suspended && !this.#hasMore) this.#run(sink);
  }

  /** The answer to the last question. After the session has ended it is of no more use, and ignored. */
  answer(verdict: Verdict, sink: SessionSink): void {
    const dialogue = this.#dialogue;
    if (dialogue.phase === 'closed') return;
    if (dialogue.question === undefined || dialogue.verdict !== undefined)
      throw new Error('an answer without a question');
    dialogue.verdict = verdict;
    if (!this.#running) this.#run(sink);
  }

  resume(sink: SessionSink): void {
    if (this.#hasMore && !this.suspended) this.#run(sink);
  }

  /** 421 and close. An open message is abandoned; one whose message-end was asked is the caller's, who waits for it. */
  cut(reason: keyof typeof cutReplies, sink: SessionSink): void {
    const dialogue = this.#dialogue;
    if (dialogue.isOver) return;
    const context = this.inData ? 'MESSAGE' : 'UNKNOWN';
    this.#hasMore = false;
    sink.reply(cutReplies[reason], context);
    dialogue.close(reason, sink);
  }

  /** The peer has closed: RFC 5321 §4.1.1.10, what was not finished is dropped. */
  end(sink: SessionSink): void {
    if (this.#dialogue.phase === 'closed') return;
    this.#hasMore = false;
    this.#dialogue.finish(sink);
  }

  // ---- the turn ----------------------------------------------------------------------------------------------------

  #run(sink: SessionSink): void {
    const dialogue = this.#dialogue;
    this.#running = true;
    this.#hasMore = false;
    this.#turnBytes = 0;
    let lines = 0;
    while (!dialogue.isOver) {
      if (dialogue.question !== undefined) {
        if (dialogue.verdict === undefined) break;
        applyVerdict(dialogue, sink);
        continue;
      }
      const chunk = dialogue.input.current();
      if (chunk === undefined) break;
      if (dialogue.phase === 'data') readMessage(dialogue, chunk, sink);
      else if (dialogue.phase === 'chunk') readChunk(dialogue, chunk, sink);
      else if (lines === commandsPerTurn || this.#turnBytes >= commandBytesPerTurn) {
        this.#hasMore = true;
        break;
      } else {
        lines++;
        this.#readLine(chunk, sink);
      }
    }
    this.#running = false;
  }

  #readLine(chunk: Buffer, sink: SessionSink): void {
    const dialogue = this.#dialogue;
    const { input } = dialogue;
    const lines = this.#lines;
    const inAuth = dialogue.phase === 'auth';
    if (this.#firstLine && !lines.partial && startsLikeAnotherProtocol(chunk[input.at])) {
      dialogue.leave(replies.notSmtp, 'UNKNOWN', 'not-smtp', sink);
      return;
    }
    const event = lines.next(chunk, input.at, inAuth);
    this.#turnBytes += lines.position - input.at;
    input.at = lines.position;
    switch (event) {
      case 'line':
        this.#firstLine = false;
        if (inAuth)
          continueAuthentication(dialogue, lines.source.toString('latin1', lines.start, lines.end), sink);
        else this.#command(lines.source, lines.start, lines.end, sink);
        this.#argument = undefined;
        return;
      case 'too-long':
        if (inAuth) refuseLongResponse(dialogue, sink);
        else if (lines.auth) dialogue.reply(replies.authLineTooLong, 'AUTH', sink);
        else dialogue.reply(replies.lineTooLong, 'UNKNOWN', sink);
        return;
      case 'endless':
        dialogue.leave(replies.endlessLine, 'UNKNOWN', 'line-too-long', sink);
        return;
      case 'more':
        return;
    }
  }

  #command(bytes: Buffer, start: number, lineEnd: number, sink: SessionSink): void {
    const dialogue = this.#dialogue;
    let end = lineEnd;
    while (end > start && isBlank(bytes[end - 1])) end--; // RFC 5321 §4.1.1: trailing white space is tolerated
    const row = findVerb(bytes, start, end);
    if (row === undefined) {
      this.#unknown(bytes, start, end, sink);
      return;
    }
    const { verb } = row;
    let from = start + verb.length;
    while (from < end && bytes[from] === SPACE) from++;
    this.#argument = bytes;
    this.#argumentStart = from;
    this.#argumentEnd = end;
    if (this.#isUnauthorizedPipelining(row)) {
      dialogue.leave(replies.earlyTalk, verb, 'early-talk', sink);
      return;
    }
    const refused = dialogue.phase === 'refused' && verb !== 'QUIT';
    const fault = refused ? replies.refusedSession : orderFault(row, dialogue.options, dialogue);
    if (verb === 'BDAT') {
      bdat(dialogue, bytes, from, end, fault, sink);
      return;
    }
    if (!refused && row.junk && dialogue.patience.junk()) {
      dialogue.leave(replies.tooManyCommands, verb, 'errors', sink);
      return;
    }
    if (fault !== undefined) dialogue.reply(fault, verb, sink);
    else if (verb === 'MAIL') mail(dialogue, bytes, from, end, sink);
    else if (verb === 'RCPT') rcpt(dialogue, bytes, from, end, sink);
    else {
      const badArgument = argumentFault(row, bytes, from, end);
      if (badArgument !== undefined) dialogue.reply(badArgument, verb, sink);
      else this.#simple(verb, from === end ? '' : bytes.toString('latin1', from, end), row.askBit, sink);
    }
  }

  /** RFC 2920 §3.1: nothing may follow what ends a group, nor any command before EHLO has said that it may. */
  #isUnauthorizedPipelining(row: VerbRow): boolean {
    const { options, extended, input } = this.#dialogue;
    return (
      (row.endsGroup || !extended) &&
      options.refuseUnauthorizedPipelining &&
      !input.isEmpty &&
      row.verb !== 'QUIT'
    );
  }

  #unknown(bytes: Buffer, start: number, end: number, sink: SessionSink): void {
    const dialogue = this.#dialogue;
    if (looksLikeAnotherProtocol(bytes, start, end))
      dialogue.leave(replies.notSmtp, 'UNKNOWN', 'not-smtp', sink);
    else if (dialogue.phase === 'refused') dialogue.reply(replies.refusedSession, 'UNKNOWN', sink);
    else
      dialogue.reply(
        isRefusedVerb(bytes, start, end) ? replies.notImplemented : replies.unknownCommand,
        'UNKNOWN',
        sink,
      );
  }

  #simple(verb: SimpleVerb, argument: string, askBit: number, sink: SessionSink): void {
    if (!this.#dialogue.isAskedAt(askBit)) {
      commands[verb](this.#dialogue, argument, undefined, sink);
      return;
    }
    this.#dialogue.argument = argument;
    // Not AUTH's initial response: whoever is asked here has no need of a password.
    const shown = verb === 'AUTH' ? splitOnce(argument)[0] : argument;
    this.#dialogue.ask({ kind: 'verb', verb, argument: shown }, sink);
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}
