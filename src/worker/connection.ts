/**
 * One pump from socket to session to socket. Owns the socket, the flow in both directions, TLS and the deadlines of
 * one client; what the session asks is answered by Reception, what it says is counted by ReplyCounter. Made by the
 * listener for each accepted socket, driven by socket events and by the worker's tick.
 *
 * The law of flow: read only while the session is not waiting for an answer, its last turn took all bytes, the queue
 * takes more, and the client reads our replies. Everything that ends one of these states calls #goOn.
 */
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { errorCodeOf } from '../base/errors.js';
import { newSessionId } from '../base/ids.js';
import type { Channel } from '../policy/mechanisms.js';
import type { XclientAttributes } from '../protocol/client-attributes.js';
import { replies } from '../protocol/replies.js';
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
import type { MessageWriter } from '../queue/spool.js';
import type { NetworkTicket } from './admission.js';
import { canBind, channelBinding, type ClientChannel } from './client-channel.js';
import { namedClient, type Client } from './client.js';
import type { ClientCertificate } from './client-certificate.js';
import { Deadlines } from './deadlines.js';
import { handshakeFault, type HandshakeFault } from './handshake-fault.js';
import type { SessionFacts } from './intake.js';
import type { Listener } from './listener.js';
import { Reception } from './reception.js';
import type { OpenConnection, Service } from './service.js';
import { attach, attachSecure, detach, type SocketOwner } from './socket-events.js';

// While old workers drain for a reload, a client that keeps a connection open without using it is sent away with 421.
const reloadIdleMs = 10_000;

const proceed: Verdict = { ok: true };

type Phase = 'handshake' | 'open' | 'closing' | 'closed';

export class Connection implements SessionSink, SocketOwner, OpenConnection, ClientChannel {
  readonly sid = newSessionId();
  readonly #service: Service;
  readonly #listener: Listener;
  #client: Client;
  #ticket: NetworkTicket;
  #reception: Reception;
  readonly #deadlines: Deadlines;
  #socket: Socket;
  #session: Session;
  #phase: Phase;
  #writer: MessageWriter | undefined;
  readonly #openedMs = performance.now();
  #messageStartedMs = 0;
  // Replies of the turn that runs; written at once when it ends (RFC 2920 §3.2).
  #replies: Buffer[] = [];
  #inTurn = false;
  #reading = true;
  #peerEnded = false;
  #upgrading = false;
  #closeReason: CloseReason | 'tls-failed' | undefined;
  #handshakeFault: HandshakeFault | undefined;
  #certificate: ClientCertificate | undefined;
  tlsVersion = '';

  constructor(service: Service, listener: Listener, socket: Socket, client: Client, ticket: NetworkTicket) {
    this.#service = service;
    this.#listener = listener;
    this.#ticket = ticket;
    this.#client = client;
    this.#socket = socket;
    this.#deadlines = new Deadlines(service.stress, performance.now());
    this.#reception = new Reception(service, listener, client, ticket, this.sid, this, '');
    this.#session = new Session(listener.plainOptions(client));
    this.#phase = 'open';
    attach(socket, this);
    listener.connectionsOpen.value += 1;
    listener.connectionsTotal.value += 1;
    service.connections.add(this);
  }

  /** Says the greeting, or begins the handshake of an implicit TLS listener. */
  start(): void {
    this.#reception.connected();
    if (this.#listener.implicitTls) this.#beginHandshake();
    else this.#greet();
  }

  #greet(): void {
    const tease = this.#listener.teases && this.#ticket !== undefined;
    this.#run(() => this.#session.start(this, tease));
  }

  // ---- what the session says (SessionSink) -----------------------------------------------------------------------

  reply(reply: Reply, context: ReplyContext): void {
    this.#replies.push(reply.bytes);
    this.#deadlines.progressed();
    this.#service.replyCounter.count(reply, context);
    if (reply.code >= 400) this.#reception.refused(reply, context, this.#session);
  }

  messageBegin(transaction: Transaction): void {
    const now = performance.now();
    this.#messageStartedMs = now;
    this.#deadlines.messageBegun(now);
    const budgets = this.#service.networkBudgets.of(this.#ticket);
    this.#writer = this.#service.intake.open(transaction, this.#sessionFacts(), budgets);
    this.#writer.onWritable = () => this.#goOn();
  }

  body(slice: Buffer): void {
    this.#writer?.write(slice);
  }

  messageAbandon(reason: AbandonReason): void {
    this.#writer?.abort();
    this.#writer = undefined;
    this.#service.log.debug(
      { event: 'message.abandoned', sid: this.sid, reason },
      'message dropped before its end',
    );
  }

  ask(question: Question): void {
    const session = this.#session;
    const verdict = this.#verdictOn(question);
    if (!(verdict instanceof Promise)) {
      session.answer(verdict, this);
      this.#reception.answered();
      return;
    }
    void this.#answerLater(session, verdict);
  }

  #verdictOn(question: Question): Verdict | Promise<Verdict> {
    if (question.kind === 'message-end') return this.#store(question.transaction);
    if (question.kind === 'xclient') return this.#nameClient(question.attributes);
    if (question.kind !== 'pause') return this.#reception.answer(question);
    const { limits, policy } = this.#service.config;
    const delayMs = question.why === 'errors' ? limits.errorDelayMs : policy.greetDelayMs;
    return delayMs === 0 ? proceed : pause(delayMs, proceed);
  }

  /** From here on everything is as if the client that was named had connected just now. */
  #nameClient(attributes: XclientAttributes): Verdict {
    const service = this.#service;
    const listener = this.#listener;
    const client = namedClient(this.#client, attributes);
    const entry = service.admission.rename(this.#ticket, client.address);
    this.#ticket = 'ticket' in entry ? entry.ticket : undefined;
    this.#client = client;
    // A login that another server has checked: on an inbound listener nobody logs in.
    const user = listener.role === 'submission' ? (attributes.login ?? '') : '';
    this.#reception = new Reception(service, listener, client, this.#ticket, this.sid, this, user);
    const { address, facts } = client;
    const line = { sid: this.sid, listener: listener.name, client: address, ...facts };
    if ('refusal' in entry) {
      service.meters.connectionsRefusedTotal.of(listener.name, entry.refusal).value += 1;
      service.log.info({ event: 'connection.refused', ...line, reason: entry.refusal });
      return { ok: false, reply: replies.tooManyConnections, close: true };
    }
    service.log.info({ event: 'client.named', ...line });
    this.#reception.connected();
    const isSecure = this.tlsVersion !== '';
    const options = isSecure ? listener.secureOptions(client, this.#channel) : listener.plainOptions(client);
    return { ok: true, options, user };
  }

  /** The client may have gone meanwhile, or be in a session of its own under TLS: then nobody waits for the answer. */
  async #answerLater(session: Session, verdict: Promise<Verdict>): Promise<void> {
    const later = await verdict;
    if (this.#phase !== 'closed' && session === this.#session) this.#run(() => session.answer(later, this));
    this.#reception.answered();
  }

  upgrade(): void {
    this.#upgrading = true;
  }

  close(reason: CloseReason): void {
    this.#closeReason = reason;
  }

  // ---- what the worker says --------------------------------------------------------------------------------------

  /** Once a second: deadlines of whole commands and whole messages, which dripping bytes do not move. */
  tick(nowMs: number): void {
    const late = this.#deadlines.isLate(nowMs, this.#session.inData);
    if (this.#phase === 'open') {
      if (late) this.#run(() => this.#session.cut('timeout', this));
      else if (this.#isTooOld(nowMs)) this.#run(() => this.#session.cut('too-old', this));
      else if (this.#isLeftover(nowMs)) this.shutDown();
    } else if (late) {
      if (this.#phase === 'handshake') {
        this.#closeReason = 'timeout';
        this.#handshakeFault = 'timeout';
      }
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
    if (this.#phase === 'open') this.#run(() => this.#session.cut('shutdown', this));
    else if (this.#phase === 'handshake') {
      this.#handshakeFault = 'shutdown';
      this.#socket.destroy();
    }
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // ---- what a log-in wants to know (ClientChannel) ----------------------------------------------------------------

  binding(): Buffer | undefined {
    return this.#socket instanceof TLSSocket ? channelBinding(this.#socket) : undefined;
  }

  identities(): readonly string[] {
    // Behind XCLIENT the certificate is the peer's: the client it speaks for must not log in with it.
    if (this.#client.named !== undefined || this.#certificate?.verified !== true) return [];
    return this.#certificate.identities;
  }

  get #channel(): Channel {
    return { canBind: canBind(this.tlsVersion), hasCertificate: this.#certificate?.verified === true };
  }

  // ---- socket events ---------------------------------------------------------------------------------------------

  onData(chunk: Buffer): void {
    if (this.#phase !== 'open') return; // lingering: read and dropped
    if (this.#session.inData) this.#messageBytesCame(chunk.length);
    this.#run(() => this.#session.feed(chunk, this));
  }

  #messageBytesCame(bytes: number): void {
    this.#deadlines.progressed();
    this.#deadlines.received(bytes, performance.now());
  }

  onEnd(): void {
    this.#peerEnded = true;
    if (this.#phase === 'open') this.#afterTurn();
    else this.#socket.end();
  }

  onDrain(): void {
    this.#goOn();
  }

  onSecure(): void {
    const socket = this.#socket;
    if (this.#phase !== 'handshake' || !(socket instanceof TLSSocket)) return;
    const { meters } = this.#service;
    this.tlsVersion = socket.getProtocol() ?? 'unknown';
    meters.tlsSessionsTotal.of(this.tlsVersion).value += 1;
    if (socket.isSessionReused()) meters.tlsResumptionsTotal.of().value += 1;
    this.#takeCertificate(this.#listener.door?.certificateOf(socket));
    this.#phase = 'open';
    this.#deadlines.progressed();
    this.#reading = true;
    this.#session = new Session(this.#listener.secureOptions(this.#client, this.#channel));
    if (this.#listener.implicitTls) this.#greet();
    else this.#afterTurn();
  }

  #takeCertificate(certificate: ClientCertificate | undefined): void {
    if (certificate === undefined) return;
    this.#certificate = certificate;
    // Behind XCLIENT it is the peer's still, not that of the client it speaks for.
    if (this.#client.named === undefined) this.#reception.certified(certificate);
    const { sid } = this;
    const { address: client } = this.#client;
    const facts = { event: 'tls.client-certificate', sid, listener: this.#listener.name, client };
    const { subject: clientCert, verified } = certificate;
    const more = certificate.verified ? {} : { fault: certificate.fault };
    this.#service.log.info({ ...facts, clientCert, verified, ...more });
  }

  onClose(): void {
    if (this.#phase === 'closed') return;
    if (this.#phase === 'handshake' && !this.#client.isProbe) {
      const fault = this.#handshakeFault ?? 'closed';
      this.#service.meters.tlsHandshakeFailuresTotal.of(fault).value += 1;
    }
    const lost = this.#phase === 'open' && this.#session.transaction !== null;
    this.#phase = 'closed';
    // A message whose commit is under way is no longer ours to drop: it was given to the intake.
    this.#session.end(this);
    this.#replies = [];
    this.#listener.connectionsOpen.value -= 1;
    this.#service.connections.delete(this);
    this.#service.admission.leave(this.#ticket);
    if (this.#closeReason !== undefined && this.#closeReason !== 'quit') this.#count(this.#closeReason);
    else if (lost) this.#count('lost');
    this.#service.connectionClosed();
  }

  /** One line for each session that ended otherwise than by the client's QUIT or leave. */
  #logCut(reason: string): void {
    const { address: client, facts } = this.#client;
    const { sid } = this;
    this.#service.log.info({
      event: 'session.cut',
      sid,
      listener: this.#listener.name,
      client,
      ...facts,
      reason,
      ...(this.#handshakeFault === undefined ? {} : { handshake: this.#handshakeFault }),
      ...this.#certificateFact,
    });
  }

  onError(error: Error): void {
    // The peer's resets and broken handshakes; 'close' follows and does the work.
    if (this.#phase === 'handshake' && !this.#client.isProbe) {
      this.#closeReason ??= 'tls-failed';
      this.#handshakeFault ??= handshakeFault(errorCodeOf(error) ?? '');
    }
    this.#service.log.debug({
      event: 'connection.error',
      sid: this.sid,
      client: this.#client.address,
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
    if (this.#closeReason !== undefined) {
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
      if (this.#session.transaction !== null) this.#count('lost');
      this.#session.end(this);
      this.#beginClose();
      return;
    }
    if (this.#session.hasMore && this.#mayRun()) setImmediate(resumeTurn, this);
    this.#steerReading();
    const congested = this.#writer?.congested === true;
    this.#deadlines.wait(this.#waitsFor, congested, this.#session.inMessage, performance.now());
  }

  /** For setImmediate and for whatever un-blocks the flow. */
  resumeKept(): void {
    if (this.#phase === 'open' && this.#session.hasMore && this.#mayRun()) {
      this.#run(() => this.#session.resume(this));
    }
  }

  #goOn(): void {
    if (this.#phase !== 'open' || this.#inTurn) return;
    this.#deadlines.progressed();
    if (this.#session.hasMore) this.resumeKept();
    else this.#afterTurn();
  }

  #mayRun(): boolean {
    return !this.#session.suspended && !this.#socket.writableNeedDrain && this.#writer?.congested !== true;
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

  #beginHandshake(): void {
    const plain = this.#socket;
    const { door } = this.#listener;
    if (door === undefined) throw new Error('a TLS listener without a certificate passed the config check');
    this.#phase = 'handshake';
    this.#deadlines.within('handshake', performance.now());
    detach(plain);
    const secure = door.wrap(plain);
    this.#socket = secure;
    attachSecure(secure, this);
  }

  // ---- messages --------------------------------------------------------------------------------------------------

  async #store(transaction: Transaction): Promise<Verdict> {
    const writer = this.#writer;
    if (writer === undefined) throw new Error('message-end without a message');
    this.#writer = undefined;
    writer.onWritable = undefined;
    this.#service.stageData.observe((performance.now() - this.#messageStartedMs) / 1000);
    const verdict = await this.#service.intake.store(writer, transaction, this.#sessionFacts());
    if (verdict.ok) this.#reception.stored();
    // Before the session goes on: this message may have been the last that the queue has room for.
    this.#service.room.update();
    return verdict;
  }

  #sessionFacts(): SessionFacts {
    const session = this.#session;
    return {
      listener: this.#listener,
      sessionId: this.sid,
      client: this.#client,
      clientName: session.heloName,
      extended: session.extended,
      secure: this.tlsVersion !== '',
      tlsVersion: this.tlsVersion,
      clientCertificate: this.#certificate?.verified === true ? this.#certificate.subject : '',
      user: session.user,
    };
  }

  get #certificateFact(): object {
    return this.#certificate?.verified === true ? { clientCert: this.#certificate.subject } : {};
  }

  #count(reason: string): void {
    this.#logCut(reason);
    this.#service.meters.sessionsCutTotal.of(reason).value += 1;
  }
}

function resumeTurn(connection: Connection): void {
  connection.resumeKept();
}
