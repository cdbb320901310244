/**
 * One pump from socket to session to socket. Owns the socket, the flow in both directions, the step into TLS and the
 * deadlines of one client. Who the client is, and what is answered to the session, is Peer's; the bytes of a message are
 * MessageInHand's; what is counted and logged of the end is Ending's. Made by the listener for each accepted socket,
 * driven by socket events and by the worker's tick.
 *
 * The law of flow: read only while the session is not waiting for an answer, its last turn took all bytes, the queue
 * takes more, and the client reads our replies. Everything that ends one of these states calls goOn.
 */
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { errorCodeOf } from '../base/errors.js';
import { newSessionId } from '../base/ids.js';
import { Session } from '../protocol/session.js';
import type {
  AbandonReason,
  CloseReason,
  DeadlineKind,
  Question,
  Reply,
  ReplyContext,
  SessionSink,
  Transaction,
  Verdict,
} from '../protocol/types.js';
import type { NetworkTicket } from './admission.js';
import type { Client } from './client.js';
import { Deadlines } from './deadlines.js';
import { Ending } from './ending.js';
import { handshakeFault } from './handshake-fault.js';
import type { Listener } from './listener.js';
import { MessageInHand, type MessageSource } from './message-in-hand.js';
import { Peer } from './peer.js';
import type { OpenConnection, Service } from './service.js';
import { attach, attachSecure, type SocketOwner } from './socket-events.js';
import { TlsStep } from './tls-step.js';

// While old workers drain for a reload, a client that keeps a connection open without using it is sent away with 421.
const reloadIdleMs = 10_000;

const proceed: Verdict = { ok: true };

type Phase = 'handshake' | 'open' | 'closing' | 'closed';

export class Connection implements SessionSink, SocketOwner, OpenConnection, MessageSource {
  readonly sid = newSessionId();
  readonly #service: Service;
  readonly #listener: Listener;
  readonly #peer: Peer;
  readonly #message: MessageInHand;
  readonly #deadlines: Deadlines;
  readonly #ending: Ending;
  #socket: Socket;
  #session: Session;
  #phase: Phase;
  readonly #openedMs = performance.now();
  // Replies of the turn that runs; written at once when it ends (RFC 2920 §3.2).
  #replies: Buffer[] = [];
  #inTurn = false;
  #reading = true;
  #peerEnded = false;
  #upgrading = false;
  /** From plain text into TLS, while the socket is the plain one. */
  #tlsStep: TlsStep | undefined;

  constructor(service: Service, listener: Listener, socket: Socket, client: Client, ticket: NetworkTicket) {
    this.#service = service;
    this.#listener = listener;
    this.#peer = new Peer(service, listener, client, ticket, this.sid);
    this.#message = new MessageInHand(service, this.#peer, this);
    this.#ending = new Ending(service, this.#peer);
    this.#socket = socket;
    this.#deadlines = new Deadlines(service.stress, performance.now());
    this.#session = new Session(this.#peer.sessionOptions);
    this.#phase = 'open';
    attach(socket, this);
    listener.connectionsOpen.value += 1;
    listener.connectionsTotal.value += 1;
    service.connections.add(this);
  }

  /** Says the greeting, or begins the handshake of an implicit TLS listener. */
  start(): void {
    this.#peer.reception.connected();
    if (this.#listener.implicitTls) this.#beginHandshake();
    else this.#greet();
  }

  #greet(): void {
    const tease = this.#listener.teases && this.#peer.ticket !== undefined;
    this.#run(() => this.#session.start(this, tease));
  }

  // ---- what the session says (SessionSink) -----------------------------------------------------------------------

  reply(reply: Reply, context: ReplyContext): void {
    this.#replies.push(reply.bytes);
    this.#deadlines.progressed();
    this.#service.replyCounter.count(reply, context);
    if (reply.code === 421) this.#ending.said(reply);
    if (reply.code >= 400) this.#peer.reception.refused(reply, context, this.#session);
    if (context === 'RCPT') this.#peer.reception.recipientAnswered();
  }

  messageBegin(transaction: Transaction): void {
    this.#deadlines.messageBegun(performance.now());
    this.#message.begin(transaction, this.#session);
  }

  body(slice: Buffer): void {
    this.#message.write(slice);
  }

  messageAbandon(reason: AbandonReason): void {
    this.#message.abandon(reason);
  }

  ask(question: Question): void {
    const session = this.#session;
    const verdict = this.#verdictOn(question);
    if (!(verdict instanceof Promise)) {
      session.answer(verdict, this);
      return;
    }
    void this.#answerLater(session, verdict);
  }

  #verdictOn(question: Question): Verdict | Promise<Verdict> {
    if (question.kind === 'message-end') return this.#message.store(question.transaction, this.#session);
    if (question.kind === 'xclient') return this.#peer.rename(question.attributes);
    if (question.kind !== 'pause') return this.#peer.reception.answer(question);
    const { limits, policy } = this.#service.config;
    const delayMs = question.why === 'errors' ? limits.errorDelayMs : policy.greetDelayMs;
    return delayMs === 0 ? proceed : pause(delayMs, proceed);
  }

  /** The client may have gone meanwhile, or be in a session of its own under TLS: then nobody waits for the answer. */
  async #answerLater(session: Session, verdict: Promise<Verdict>): Promise<void> {
    const later = await verdict;
    if (this.#phase !== 'closed' && session === this.#session) this.#run(() => session.answer(later, this));
  }

  upgrade(): void {
    this.#upgrading = true;
  }

  close(reason: CloseReason): void {
    this.#ending.because(reason);
  }

  // ---- what the worker says --------------------------------------------------------------------------------------

  /** Once a second: deadlines of whole commands and whole messages, which dripping bytes do not move. */
  tick(nowMs: number): void {
    const late = this.#deadlines.isLate(nowMs, this.#session.inMessage);
    if (late && this.#phase !== 'closing') this.#ending.passed(this.#deadlines.limitPassed(nowMs));
    if (this.#phase === 'open') {
      if (late) this.#run(() => this.#session.cut('timeout', this));
      else if (this.#isTooOld(nowMs)) this.#run(() => this.#session.cut('too-old', this));
      else if (this.#isLeftover(nowMs)) this.shutDown();
    } else if (late) {
      if (this.#phase === 'handshake') this.#ending.cutHandshake('timeout');
      this.#socket.destroy();
    }
  }

  /** Between two transactions; a client that is in one all the time has twice as long. */
  #isTooOld(nowMs: number): boolean {
    const ageMs = nowMs - this.#openedMs;
    const { sessionAgeMs } = this.#service.config.limits;
    if (ageMs < sessionAgeMs) return false;
    return this.isIdle || (ageMs >= 2 * sessionAgeMs && !this.#session.suspended && !this.#session.inData);
  }

  #isLeftover(nowMs: number): boolean {
    return (
      this.#service.draining === 'reload' && this.isIdle && this.#deadlines.idleMs(nowMs) >= reloadIdleMs
    );
  }

  get recipients(): number {
    return this.#session.transaction?.recipients.length ?? 0;
  }

  /** No transaction open and nothing of ours to say. */
  get isIdle(): boolean {
    return (
      this.#phase === 'handshake' ||
      (this.#phase === 'open' &&
        this.#session.transaction === null &&
        !this.#session.suspended &&
        !this.#session.hasMore)
    );
  }

  /** 421 4.3.2, whatever goes on; the callers choose the moment. */
  shutDown(): void {
    const reason = this.#service.draining === 'reload' ? 'reload' : 'shutdown';
    if (this.#phase === 'open') this.#run(() => this.#session.cut(reason, this));
    else if (this.#phase === 'handshake') {
      this.#ending.cutHandshake('shutdown');
      this.#socket.destroy();
    }
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // ---- socket events ---------------------------------------------------------------------------------------------

  onData(chunk: Buffer): void {
    if (this.#tlsStep !== undefined) this.#secure(this.#tlsStep.read(this.#socket, chunk));
    if (this.#phase !== 'open') return; // lingering: read and dropped
    const session = this.#session;
    const wasInMessage = session.inMessage;
    if (session.inData) this.#deadlines.progressed();
    this.#run(() => session.feed(chunk, this));
    // Behind the turn: the first octets of a chunk come with their BDAT.
    if (wasInMessage || session.inMessage) this.#deadlines.received(chunk.length, performance.now());
  }

  onEnd(): void {
    this.#peerEnded = true;
    this.#peer.reception.ended();
    if (this.#phase === 'open') this.#afterTurn();
    else this.#socket.end();
  }

  onDrain(): void {
    this.goOn();
  }

  onSecure(): void {
    const socket = this.#socket;
    if (this.#phase !== 'handshake' || !(socket instanceof TLSSocket)) return;
    this.#peer.secured(socket);
    this.#phase = 'open';
    this.#deadlines.progressed();
    this.#reading = true;
    this.#session = new Session(this.#peer.sessionOptions);
    if (this.#listener.implicitTls) this.#greet();
    else this.#afterTurn();
  }

  onClose(): void {
    if (this.#phase === 'closed') return;
    const inHandshake = this.#phase === 'handshake';
    const lost = this.#phase === 'open' && this.#session.transaction !== null;
    this.#phase = 'closed';
    // A message whose commit is under way is no longer ours to drop: it was given to the intake.
    this.#session.end(this);
    this.#replies = [];
    this.#listener.connectionsOpen.value -= 1;
    this.#service.connections.delete(this);
    this.#peer.leave();
    this.#ending.closed(inHandshake, lost);
    this.#service.connectionClosed();
  }

  onError(error: Error): void {
    // The peer's resets and broken handshakes; 'close' follows and does the work.
    if (this.#phase === 'handshake') this.#ending.handshakeFailed(handshakeFault(errorCodeOf(error) ?? ''));
    this.#service.log.debug({
      event: 'connection.error',
      sid: this.sid,
      client: this.#peer.client.address,
      err: error.message,
    });
  }

  // ---- the pump --------------------------------------------------------------------------------------------------

  #run(turn: () => void): void {
    this.#inTurn = true;
    turn();
    this.#inTurn = false;
    this.#afterTurn();
  }

  #afterTurn(): void {
    if (this.#phase !== 'open') return;
    if (this.#upgrading) {
      this.#beginUpgrade();
      return;
    }
    this.#flush();
    if (this.#ending.isDecided) {
      this.#beginClose();
      return;
    }
    if (this.#service.draining === 'stop' && this.isIdle) {
      this.#session.cut('shutdown', this);
      this.#flush();
      this.#beginClose();
      return;
    }
    if (this.#peerEnded && !this.#session.suspended && !this.#session.hasMore) {
      if (this.#session.transaction !== null) this.#ending.lost();
      this.#session.end(this);
      this.#beginClose();
      return;
    }
    if (this.#session.hasMore && this.#mayRun()) setImmediate(resumeTurn, this);
    this.#steerReading();
    const congested = this.#message.congested;
    this.#deadlines.wait(this.#waitsFor, congested, this.#session.inMessage, performance.now());
  }

  /** For setImmediate and for whatever un-blocks the flow. */
  resumeKept(): void {
    if (this.#phase === 'open' && this.#session.hasMore && this.#mayRun()) {
      this.#run(() => this.#session.resume(this));
    }
  }

  goOn(): void {
    if (this.#phase !== 'open' || this.#inTurn) return;
    this.#deadlines.progressed();
    if (this.#session.hasMore) this.resumeKept();
    else this.#afterTurn();
  }

  #mayRun(): boolean {
    return !this.#session.suspended && !this.#socket.writableNeedDrain && !this.#message.congested;
  }

  #steerReading(): void {
    const wanted = this.#mayRun() && !this.#session.hasMore;
    if (wanted === this.#reading) return;
    this.#reading = wanted;
    if (wanted) this.#socket.resume();
    else this.#socket.pause();
  }

  #flush(): void {
    const replies = this.#replies;
    if (replies.length === 0) return;
    const [first] = replies;
    const bytes = replies.length === 1 && first !== undefined ? first : Buffer.concat(replies);
    this.#replies = [];
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  /** Which wait for the client runs; none while the next step is ours. */
  get #waitsFor(): DeadlineKind {
    // What it sent may wait for it to read our replies: then the session itself waits for nothing.
    const mustRead = this.#socket.writableNeedDrain && !this.#session.suspended;
    return mustRead ? 'command' : this.#session.deadline;
  }

  #beginClose(): void {
    this.#phase = 'closing';
    this.#deadlines.within('linger', performance.now());
    this.#socket.end();
    this.#socket.resume();
    // The client's FIN came before ours: nothing more can arrive, so there is nothing to linger for.
    if (this.#peerEnded) this.#socket.destroySoon();
  }

  // ---- TLS -------------------------------------------------------------------------------------------------------

  /** The 220 has to leave in plaintext before the engine takes the handle over, so the upgrade waits for its write. */
  #beginUpgrade(): void {
    this.#upgrading = false;
    const replies = Buffer.concat(this.#replies);
    this.#replies = [];
    this.#phase = 'handshake';
    this.#deadlines.within('handshake', performance.now());
    this.#socket.pause();
    this.#socket.write(replies, () => {
      if (this.#phase === 'handshake' && !this.#socket.destroyed) this.#beginHandshake();
    });
  }

  /** Behind STARTTLS or from the start. The deadline is of all of it, the wait for a server name included. */
  #beginHandshake(): void {
    const { door } = this.#listener;
    if (door === undefined) throw new Error('a TLS listener without a certificate passed the config check');
    this.#phase = 'handshake';
    this.#deadlines.within('handshake', performance.now());
    this.#tlsStep = new TlsStep(door);
    this.#secure(this.#tlsStep.begin(this.#socket, this.#peerEnded));
  }

  /** @param secure undefined: the name that the client asks for is not known yet */
  #secure(secure: TLSSocket | undefined): void {
    if (secure === undefined) return;
    this.#tlsStep = undefined;
    this.#socket = secure;
    attachSecure(secure, this);
  }
}

function resumeTurn(connection: Connection): void {
  connection.resumeKept();
}
