/** Drives a pure session: records what it says, answers what it asks, feeds it in any pieces. */
import type { XclientAttributes } from '../../src/protocol/client-attributes.js';
import { queuedAs, replies } from '../../src/protocol/replies.js';
import { Session } from '../../src/protocol/session.js';
import type {
  CloseReason,
  Question,
  Reply,
  ReplyContext,
  SessionLimits,
  SessionOptions,
  SessionSink,
  Transaction,
  Verdict,
} from '../../src/protocol/types.js';

export const limits: SessionLimits = {
  messageBytes: 26_214_400,
  recipients: 1000,
  errors: 10,
  softErrors: Infinity,
  junkCommands: 50,
  commandLineBytes: 2048,
  headerBytes: 262_144,
  headerFields: 1000,
  transactions: Infinity,
  receivedHops: 100,
  ownReceivedHops: 5,
  dataLineBytes: 65_536,
  authFailures: 5,
};

export const options: SessionOptions = {
  hostname: 'mx.test',
  greeting: 'mx.test ESMTP Postern',
  role: 'inbound',
  protocol: 'smtp',
  secure: false,
  startTls: false,
  tlsRequired: false,
  certificateMissing: false,
  authRequired: false,
  mechanisms: [],
  bareNewlines: 'reject',
  mayNameClients: false,
  limits,
  refuseUnauthorizedPipelining: false,
  ask: { mask: 0 },
};

export interface Message {
  readonly from: string;
  readonly to: readonly string[];
  readonly body: Buffer;
}

/** ok.test is ours, and so is Postmaster; the one user is `u` with password `p`; every message is taken. */
export function policy(question: Question): Verdict {
  switch (question.kind) {
    case 'recipient': {
      const { domain } = question.mailbox;
      return domain === 'ok.test' || domain === ''
        ? { ok: true, route: 'here' }
        : { ok: false, reply: replies.relayDenied };
    }
    case 'credentials': {
      const { authorizationId, authenticationId, password } = question;
      const good =
        authenticationId === 'u' && password === 'p' && (authorizationId === '' || authorizationId === 'u');
      return good ? { ok: true } : { ok: false, reply: replies.authFailed };
    }
    // Salts and challenges as the RFCs have them; whatever a client answers is wrong.
    case 'scram-salt': {
      const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
      const sasl = { kind: 'scram-salt', nonce: 'server', salt, iterations: 4096 } as const;
      return { ok: true, sasl: { ...sasl, channelBinding: Buffer.alloc(32, 1) } };
    }
    case 'cram-md5-challenge':
      return {
        ok: true,
        sasl: { kind: 'cram-md5-challenge', challenge: '<1896.697170952@postoffice.reston.mci.net>' },
      };
    case 'scram-proof':
    case 'cram-md5-digest':
    case 'token':
    case 'certificate':
      return { ok: false, reply: replies.authFailed };
    case 'message-end':
      return { ok: true, reply: queuedAs('ID') };
    case 'xclient':
      return xclient(question.attributes);
    case 'connect':
    case 'pause':
    case 'verb':
    case 'mail':
    case 'header-end':
      return { ok: true };
  }
}

/** The peer may go on naming clients as long as it speaks for a host of 127.0.0.0/8; 192.0.2.66 has too many connections. */
function xclient({ addr, login }: XclientAttributes): Verdict {
  if (addr === '192.0.2.66') return { ok: false, reply: replies.tooManyConnections, close: true };
  const stays = addr === undefined || addr?.startsWith('127.') === true;
  return { ok: true, user: login ?? '', ...(stays ? {} : { options }) };
}

/** How a test may turn the same bytes into events. */
export interface Manner {
  /** Answers come inside ask(), or after the call into the session has returned. */
  readonly answers: 'at once' | 'later';
  /** 0: as given. */
  readonly chunkBytes: number;
}

export const manners: readonly Manner[] = [
  { answers: 'at once', chunkBytes: 0 },
  { answers: 'at once', chunkBytes: 1 },
  { answers: 'later', chunkBytes: 0 },
  { answers: 'later', chunkBytes: 1 },
];

export function describeManner(manner: Manner): string {
  return `${manner.chunkBytes === 0 ? 'whole' : `${manner.chunkBytes} byte(s) at a time`}, answered ${manner.answers}`;
}

export class Peer implements SessionSink {
  session: Session;
  readonly replies: { reply: Reply; context: ReplyContext }[] = [];
  readonly queued: Message[] = [];
  readonly abandoned: string[] = [];
  readonly questions: Question[] = [];
  closed: CloseReason | undefined;
  upgraded = false;
  /** Slices handed to body() since messageBegin. */
  slices = 0;
  #body: Buffer[] | undefined;
  readonly #manner: Manner;
  readonly #decide: (question: Question) => Verdict;
  #unanswered: Verdict | undefined;

  constructor(
    sessionOptions: SessionOptions = options,
    manner: Manner = { answers: 'at once', chunkBytes: 0 },
    decide: (question: Question) => Verdict = policy,
  ) {
    this.session = new Session(sessionOptions);
    this.#manner = manner;
    this.#decide = decide;
  }

  start(): this {
    this.session.start(this);
    this.#goOn();
    return this;
  }

  send(text: string | Buffer): this {
    const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
    const step = this.#manner.chunkBytes === 0 ? Math.max(1, bytes.length) : this.#manner.chunkBytes;
    for (let at = 0; at < bytes.length; at += step) {
      // A copy each: a session that leans on bytes outside its chunk would be found out.
      this.session.feed(Buffer.from(bytes.subarray(at, at + step)), this);
      this.#goOn();
    }
    return this;
  }

  /** Whatever the worker would do between two reads. */
  #goOn(): void {
    for (;;) {
      const verdict = this.#unanswered;
      if (verdict !== undefined) {
        this.#unanswered = undefined;
        this.session.answer(verdict, this);
      } else if (this.session.hasMore) this.session.resume(this);
      else return;
    }
  }

  /** Inside TLS, with nothing remembered. */
  handshake(sessionOptions: SessionOptions): void {
    if (!this.upgraded) throw new Error('STARTTLS was not accepted');
    this.upgraded = false;
    this.session = new Session(sessionOptions);
  }

  /** Each reply as `250 2.1.0`, the code alone where there is no enhanced one; forgets them. */
  codes(): string[] {
    return this.replies.splice(0).map(({ reply }) => `${reply.code} ${reply.enhanced}`.trim());
  }

  // ---- SessionSink

  reply(reply: Reply, context: ReplyContext): void {
    if (this.closed !== undefined) throw new Error(`a reply after the end: ${reply.name}`);
    this.replies.push({ reply, context });
  }

  messageBegin(_transaction: Transaction): void {
    if (this.#body !== undefined) throw new Error('a message begins inside another');
    this.#body = [];
    this.slices = 0;
  }

  body(slice: Buffer): void {
    if (this.#body === undefined) throw new Error('body bytes outside a message');
    this.slices++;
    this.#body.push(Buffer.from(slice));
  }

  messageAbandon(reason: string): void {
    if (this.#body === undefined) throw new Error('no message to abandon');
    this.#body = undefined;
    this.abandoned.push(reason);
  }

  ask(question: Question): void {
    this.questions.push(question);
    const verdict = this.#decide(question);
    if (question.kind === 'message-end') this.#messageEnd(question, verdict);
    if (this.#manner.answers === 'at once') this.session.answer(verdict, this);
    else this.#unanswered = verdict;
  }

  #messageEnd(question: Extract<Question, { kind: 'message-end' }>, verdict: Verdict): void {
    if (this.#body === undefined) throw new Error('message-end without a message');
    const body = Buffer.concat(this.#body);
    this.#body = undefined;
    if (body.length !== question.bodyBytes) throw new Error('bodyBytes is not what body() was given');
    if (!verdict.ok) return;
    const { reversePath, recipients } = question.transaction;
    this.queued.push({
      from: reversePath.address,
      to: recipients.map(({ mailbox }) => mailbox.address),
      body,
    });
  }

  upgrade(): void {
    this.upgraded = true;
  }

  close(reason: CloseReason): void {
    if (this.closed !== undefined) throw new Error('closed twice');
    this.closed = reason;
  }
}
