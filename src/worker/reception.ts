/**
 * Answers what a session asks, for one connection: who may send to whom (relay decision), is the client on a DNSBL,
 * who logs in (logins), is there room. Knows no sockets and no queue files. A plain verdict is an answer at once; a
 * promise suspends the session.
 */
import { loggedAddresses, maxLoggedCharacters } from '../base/logged-values.js';
import type { RateKind } from '../base/tallies.js';
import { replies, dnsblDeferred, dnsblRefused } from '../protocol/replies.js';
import type { Mailbox, Question, Reply, ReplyContext, Transaction, Verdict } from '../protocol/types.js';
import type { Session } from '../protocol/session.js';
import type { DnsblVerdict } from '../policy/dnsbl-check.js';
import type { NetworkTicket } from './admission.js';
import type { ClientChannel } from './client-channel.js';
import { forwardedFact, type Client } from './client.js';
import type { ClientCertificate } from './client-certificate.js';
import type { Listener } from './listener.js';
import { Logins } from './logins.js';
import type { Service } from './service.js';

const proceed: Verdict = { ok: true };

const refusalReplies = {
  'relay-denied': replies.relayDenied,
  'unknown-recipient': replies.unknownRecipient,
  'bad-local-part': replies.badLocalPart,
  'auth-required': replies.authRequired,
  'takes-no-mail': replies.takesNoMail,
} as const;

const refusalEvents: Partial<Record<ReplyContext, string>> = {
  MAIL: 'sender.refused',
  RCPT: 'recipient.refused',
  MESSAGE: 'message.refused',
};

// What is said of many recipients alike is one line: in LMTP the refusal of a message, and of each RCPT that is too many.
const toldMessages = new WeakSet<Transaction>();
const toldOverfull = new WeakSet<Transaction>();

export interface ReceptionOptions {
  readonly listener: Listener;
  readonly client: Client;
  readonly ticket: NetworkTicket;
  readonly sid: string;
  readonly channel: ClientChannel;
  /** Who has logged in already, by the word of a trusted peer; '' for nobody. */
  readonly user: string;
}

export class Reception {
  readonly #service: Service;
  readonly #listener: Listener;
  readonly #client: Client;
  readonly #ticket: NetworkTicket;
  readonly #sid: string;
  #dnsbl: DnsblVerdict | Promise<DnsblVerdict> | undefined;
  #certificate: ClientCertificate | undefined;
  readonly #logins: Logins;
  /** Of the last MAIL that was refused for want of room: no transaction has it. */
  #refusedSender = '';
  /** The one that was asked about and has no reply yet, for the log line of its refusal. */
  #lastRecipient = '';

  constructor(service: Service, { listener, client, ticket, sid, channel, user }: ReceptionOptions) {
    this.#service = service;
    this.#ticket = ticket;
    this.#listener = listener;
    this.#client = client;
    this.#sid = sid;
    const origin = { sid, listener: listener.name, client: client.address, ...client.facts };
    this.#logins = new Logins(service, origin, channel);
    this.#logins.user = user;
  }

  /** Asks the DNSBLs now, so that the answer is there when the first RCPT needs it; the greeting does not wait. */
  connected(): void {
    const { dnsbl } = this.#service;
    if (dnsbl === undefined || this.#listener.role !== 'inbound') return;
    this.#dnsbl = dnsbl.peek(this.#client.address);
    if (this.#dnsbl !== undefined) return;
    const startedMs = performance.now();
    const seconds = this.#service.meters.stageSeconds.of('dnsbl');
    this.#dnsbl = dnsbl.check(this.#client.address).then((verdict) => {
      seconds.observe((performance.now() - startedMs) / 1000);
      this.#dnsbl = verdict;
      return verdict;
    });
  }

  /** The client showed a certificate, which may or may not verify. */
  certified(certificate: ClientCertificate): void {
    this.#certificate = certificate;
  }

  /** The client will send nothing more. */
  ended(): void {
    this.#logins.ended();
  }

  answer(
    question: Exclude<Question, { kind: 'message-end' | 'xclient' | 'pause' }>,
  ): Verdict | Promise<Verdict> {
    if ('mechanism' in question) return this.#logins.answer(question);
    switch (question.kind) {
      case 'recipient':
        return this.#recipient(question.mailbox);
      case 'mail':
        return this.#mail(question.reversePath);
      case 'connect':
      case 'verb':
      case 'header-end':
        return proceed;
    }
  }

  /** RCPT has its reply. */
  recipientAnswered(): void {
    this.#lastRecipient = '';
  }

  /** A message was accepted. */
  stored(): void {
    this.#count('messages');
  }

  /** One line for each refusal that a sender may ask the operator about. */
  refused(reply: Reply, context: ReplyContext, session: Session): void {
    if (context === 'AUTH') this.#loginRefused(reply, session);
    const event = refusalEvents[context];
    if (event === undefined) return;
    if (isTold(reply, context, session.transaction)) return;
    this.#service.log.info({
      event,
      sid: this.#sid,
      listener: this.#listener.name,
      client: this.#client.address,
      ...this.#client.facts,
      helo: session.heloName.slice(0, maxLoggedCharacters),
      ...this.#whatIsRefused(context, session),
      ...forwardedFact(session.transaction?.forwarded),
      reason: reply.name,
      code: reply.code,
      enhanced: reply.enhanced,
      ...(this.#certificate?.verified === true ? { clientCert: this.#certificate.subject } : {}),
    });
  }

  /** From whom, to whom, and of a message how large: what somebody asks for who misses his mail. */
  #whatIsRefused(context: ReplyContext, session: Session): object {
    const { transaction } = session;
    if (context === 'MAIL') {
      const sender = this.#refusedSender === '' ? session.refusedPath : this.#refusedSender;
      this.#refusedSender = '';
      return { from: sender.slice(0, maxLoggedCharacters) };
    }
    const from =
      transaction === null ? {} : { from: transaction.reversePath.address.slice(0, maxLoggedCharacters) };
    if (context === 'RCPT') {
      const recipient = this.#lastRecipient === '' ? session.refusedPath : this.#lastRecipient;
      return { ...from, to: recipient.slice(0, maxLoggedCharacters) };
    }
    if (transaction === null) return from;
    const { recipients, parameters } = transaction;
    return {
      ...from,
      to: loggedAddresses(recipients.map(({ mailbox }) => mailbox.address)),
      recipients: recipients.length,
      bytes: session.messageBytes,
      ...(session.messageId === '' ? {} : { messageId: session.messageId }),
      ...(parameters.sizeBytes === undefined ? {} : { size: parameters.sizeBytes }),
    };
  }

  /** What failed by our verdict has its line already. */
  #loginRefused(reply: Reply, session: Session): void {
    const mechanism = session.takeUnjudgedFailure();
    if (mechanism !== undefined) this.#logins.failedUnasked(mechanism, reply);
  }

  /** Asked only while the room monitor has set the bit: no disk, too much in flight, or a failed queue. */
  #mail(reversePath: Mailbox): Verdict {
    this.#service.room.update();
    if (this.#service.room.ask.mask === 0) return proceed;
    this.#refusedSender = reversePath.address;
    return { ok: false, reply: replies.insufficientStorage };
  }

  #recipient(mailbox: Mailbox): Verdict | Promise<Verdict> {
    this.#lastRecipient = mailbox.address;
    const decision = this.#service.relayDecision.decide(mailbox, {
      role: this.#listener.role,
      user: this.#logins.user,
      listenerRoute: this.#listener.route,
    });
    if (!decision.ok) return { ok: false, reply: refusalReplies[decision.refusal] };
    if (this.#isFull('messages') || this.#isFull('recipients')) return { ok: false, reply: replies.tooFast };
    const accepted: Verdict = {
      ok: true,
      route: decision.route,
      ...(decision.address === undefined ? {} : { address: decision.address }),
    };
    if (this.#dnsbl === undefined) return this.#counted(accepted);
    if (this.#dnsbl instanceof Promise)
      return this.#dnsbl.then((verdict) => this.#listed(verdict) ?? this.#counted(accepted));
    return this.#listed(this.#dnsbl) ?? this.#counted(accepted);
  }

  #counted(accepted: Verdict): Verdict {
    this.#count('recipients');
    return accepted;
  }

  #isFull(kind: RateKind): boolean {
    if (this.#ticket === undefined) return false;
    const { tallies } = this.#service;
    return tallies.isFull(kind, this.#ticket.host) || tallies.isFull(kind, this.#ticket.neighbourhood);
  }

  #count(kind: RateKind): void {
    if (this.#ticket === undefined) return;
    this.#service.tallies.count(kind, this.#ticket.host);
    this.#service.tallies.count(kind, this.#ticket.neighbourhood);
  }

  #listed(verdict: DnsblVerdict): Verdict | undefined {
    switch (verdict.kind) {
      case 'pass':
        return undefined;
      case 'reject':
        return { ok: false, reply: dnsblRefused(this.#client.address, verdict.zone) };
      case 'defer':
        return { ok: false, reply: dnsblDeferred(this.#client.address, verdict.zone) };
    }
  }
}

function isTold(reply: Reply, context: ReplyContext, transaction: Transaction | null): boolean {
  const told = context === 'MESSAGE' ? toldMessages : toldOverfull;
  if (transaction === null || (context !== 'MESSAGE' && reply !== replies.tooManyRecipients)) return false;
  if (told.has(transaction)) return true;
  told.add(transaction);
  return false;
}
