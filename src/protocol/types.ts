/**
 * The words that the session and its caller share. Pure data: nothing here knows sockets, clocks or the queue.
 */

import type { XclientAttributes, XforwardAttributes } from './client-attributes.js';

export const verbs = [
  'EHLO', 'HELO', 'LHLO', 'MAIL', 'RCPT', 'DATA', 'BDAT', 'RSET', 'NOOP', 'QUIT', 'VRFY', 'HELP', 'EXPN', 'STARTTLS', 'AUTH',
  'XCLIENT', 'XFORWARD',
] as const; // prettier-ignore
export type Verb = (typeof verbs)[number];

/** What commands_total counts a reply under: a verb, or the places that have none. */
export type ReplyContext = Verb | 'CONNECT' | 'UNKNOWN' | 'MESSAGE';

/**
 * A reply ready to be written. `name` is its row in the catalogue and the `reason` label of rejections_total, so
 * it is one of a fixed set even where the text is not.
 */
export interface Reply {
  readonly name: string;
  readonly code: number;
  /** `2.1.5`; empty for the greeting, EHLO/HELO, 334 and 354 (RFC 2034 §4). */
  readonly enhanced: string;
  /** Encoded with its CRLFs. Shared: never written to. */
  readonly bytes: Buffer;
}

export const mechanisms = [
  'SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256', 'SCRAM-SHA-1-PLUS', 'SCRAM-SHA-1', 'OAUTHBEARER', 'XOAUTH2', 'EXTERNAL',
  'CRAM-MD5', 'PLAIN', 'LOGIN',
] as const; // prettier-ignore
export type Mechanism = (typeof mechanisms)[number];
/** What the keys of a user are made for; -PLUS differs in what it signs alone. */
export type ScramFamily = 'SCRAM-SHA-256' | 'SCRAM-SHA-1';
export type ScramMechanism = ScramFamily | `${ScramFamily}-PLUS`;

/** An address as the client wrote it, and what policy compares. RFC 5321 §4.1.2. */
export interface Mailbox {
  /** As received, without the angle brackets and any source route: what is stored and relayed. '' is the null path. */
  readonly address: string;
  /** Unquoted, unescaped: `"joe"` and `joe` are the same (RFC 5321 §4.1.2). Case kept. */
  readonly localPart: string;
  /** Lower case; '' only in the null reverse-path and in `<Postmaster>`; `[192.0.2.1]` for a literal. */
  readonly domain: string;
}

export interface MailParameters {
  /** SIZE= as declared, or undefined. RFC 1870 §6. */
  readonly sizeBytes: number | undefined;
  readonly body: '7BIT' | '8BITMIME' | undefined;
  readonly smtpUtf8: boolean;
  /** RFC 3461 §4.3. */
  readonly ret?: 'FULL' | 'HDRS' | undefined;
  /** ENVID as written: valid xtext of printable characters, at most 100. RFC 3461 §4.4. */
  readonly envelopeId?: string | undefined;
}

/** RFC 3461 §4.1 and §4.2. */
export interface RcptParameters {
  /** Undefined: not given. An empty list is NEVER. */
  readonly notify?: readonly ('SUCCESS' | 'FAILURE' | 'DELAY')[] | undefined;
  /** ORCPT as written, at most 500 octets: a type, `;`, and valid xtext of printable characters; of the type utf-8 what
   *  RFC 6533 §3 allows, with UTF-8 in it only where MAIL said SMTPUTF8. */
  readonly originalRecipient?: string | undefined;
}

export interface Recipient {
  readonly mailbox: Mailbox;
  readonly parameters: RcptParameters;
  /** What the caller's verdict named: opaque here, the relay's route there. */
  readonly route: string;
}

/** Dropped as a whole by RSET, EHLO, the end of data and the end of the connection. */
export interface Transaction {
  /** 1 for the first MAIL of the session. */
  readonly number: number;
  readonly reversePath: Mailbox;
  readonly parameters: MailParameters;
  readonly recipients: readonly Recipient[];
  /** What XFORWARD said of this message; undefined where it did not. */
  readonly forwarded: XforwardAttributes | undefined;
}

/**
 * Where the session stops and asks. Recipient, credentials, xclient and message-end are always asked; the others only where
 * the bit is set in SessionOptions.ask.mask, which the caller may change at any time (it is read at each command).
 */
export const askBits = {
  CONNECT: 1 << 0,
  EHLO: 1 << 1,
  HELO: 1 << 2,
  MAIL: 1 << 3,
  DATA: 1 << 4,
  RSET: 1 << 5,
  NOOP: 1 << 6,
  QUIT: 1 << 7,
  VRFY: 1 << 8,
  HELP: 1 << 9,
  EXPN: 1 << 10,
  STARTTLS: 1 << 11,
  AUTH: 1 << 12,
  RCPT: 1 << 13,
  HEADER_END: 1 << 14,
  BDAT: 1 << 15,
  LHLO: 1 << 16,
  XCLIENT: 1 << 17,
  XFORWARD: 1 << 18,
} as const;

export type Question =
  | { readonly kind: 'connect' }
  /**
   * Answered when time has gone by: how much is the caller's. 'errors': what the client sends meanwhile is kept.
   * 'greeting': before its last line; a client that speaks meanwhile is sent away.
   */
  | { readonly kind: 'pause'; readonly why: 'errors' | 'greeting' }
  /** Before the verb's own work, its syntax and sequence already checked. `argument`: the rest of the line, a copy. */
  | { readonly kind: 'verb'; readonly verb: Exclude<Verb, 'MAIL' | 'RCPT'>; readonly argument: string }
  | { readonly kind: 'mail'; readonly reversePath: Mailbox; readonly parameters: MailParameters }
  /** Accept with the route in the verdict. Postmaster without a domain comes with domain ''. */
  | {
      readonly kind: 'recipient';
      readonly mailbox: Mailbox;
      readonly parameters: RcptParameters;
      readonly transaction: Transaction;
    }
  | {
      readonly kind: 'credentials';
      readonly mechanism: 'PLAIN' | 'LOGIN';
      readonly authorizationId: string;
      readonly authenticationId: string;
      readonly password: string;
    }
  /** Answered by `scram-salt`, for users and strangers alike. */
  | {
      readonly kind: 'scram-salt';
      readonly mechanism: ScramMechanism;
      readonly family: ScramFamily;
      readonly authenticationId: string;
    }
  /** Does the proof fit? Answered by `scram-signature`. Nonces and channel have been compared. RFC 5802 §3. */
  | {
      readonly kind: 'scram-proof';
      readonly mechanism: ScramMechanism;
      readonly family: ScramFamily;
      readonly authorizationId: string;
      readonly authenticationId: string;
      readonly authMessage: string;
      readonly proof: Buffer;
    }
  /** Whose bearer token is it? `authorizationId`: whom the client says it is; '' leaves it to the token. */
  | {
      readonly kind: 'token';
      readonly mechanism: 'OAUTHBEARER' | 'XOAUTH2';
      readonly authorizationId: string;
      readonly token: string;
    }
  /** Whose is the certificate of this connection? `authorizationId` as with a token. */
  | { readonly kind: 'certificate'; readonly mechanism: 'EXTERNAL'; readonly authorizationId: string }
  /** Answered by `cram-md5-challenge`. */
  | { readonly kind: 'cram-md5-challenge'; readonly mechanism: 'CRAM-MD5' }
  | {
      readonly kind: 'cram-md5-digest';
      readonly mechanism: 'CRAM-MD5';
      readonly authenticationId: string;
      readonly challenge: string;
      readonly digest: Buffer;
    }
  /** Who the client is from now on. Accept with what the session may do then (`options`), and as whom (`user`). */
  | { readonly kind: 'xclient'; readonly attributes: XclientAttributes }
  /** The blank line after the header has been passed to body(). Refusing drops the body and is answered at its end. */
  | { readonly kind: 'header-end'; readonly transaction: Transaction }
  /** All of the body has been passed to body(), nothing was wrong with it. The 250 is the caller's to give. */
  | { readonly kind: 'message-end'; readonly transaction: Transaction; readonly bodyBytes: number };

/** What a SASL exchange asks: each of these names its mechanism. */
export type SaslQuestion = Extract<Question, { readonly mechanism: Mechanism }>;

/** `reply` replaces the catalogue's; it is required for message-end (`replies.queuedAs(id)`). */
export interface Accepted {
  readonly ok: true;
  readonly reply?: Reply;
  readonly route?: string;
  /** recipient: stored and relayed instead of what the client wrote (`<Postmaster>` has no domain). */
  readonly address?: string;
  readonly user?: string;
  /** To the questions that say so. */
  readonly sasl?: SaslAnswer;
  /** xclient: left out, what it had. */
  readonly options?: SessionOptions;
}

export type SaslAnswer =
  | {
      readonly kind: 'scram-salt';
      /** Added to the client's own. */
      readonly nonce: string;
      readonly salt: Buffer;
      readonly iterations: number;
      /** tls-exporter of this connection (RFC 9266); wanted where the mechanism is a -PLUS. */
      readonly channelBinding?: Buffer;
    }
  | { readonly kind: 'scram-signature'; readonly signature: Buffer }
  | { readonly kind: 'cram-md5-challenge'; readonly challenge: string };

export interface Refused {
  readonly ok: false;
  readonly reply: Reply;
  readonly close?: boolean;
}

export type Verdict = Accepted | Refused;

/** Which limit of RFC 5321 §4.5.3.2 runs now; the worker owns the clock. 'none' while the answer is ours to give. */
export type DeadlineKind = 'greeting' | 'command' | 'data' | 'auth' | 'none';

export type CloseReason =
  | 'quit'
  | 'errors' // too many errors (421)
  | 'timeout'
  | 'shutdown'
  | 'reload' // its worker drains, since another has taken over
  | 'line-too-long' // a line went on past every bound
  | 'not-smtp' // HTTP, TLS or SSH on a plain port
  | 'plaintext-after-starttls' // RFC 3207 §5, CVE-2011-0411
  | 'early-talk' // did not wait for the greeting or for a reply that ends a group
  | 'too-old' // the session lasted too long, or had too many messages
  | 'refused'; // a verdict with close

/** Why a message that has begun will never be queued. */
export type AbandonReason =
  'bare-newline' | 'nul' | 'too-large' | 'header-too-large' | 'too-many-hops' | 'refused' | 'cut';

/**
 * Where the session sends what it finds. Callbacks instead of returned arrays: nothing is allocated per chunk.
 * Every callback may be called during feed, answer, resume, start and cut; none may call feed. `ask` may call
 * `session.answer` before it returns: then nothing is suspended.
 */
export interface SessionSink {
  /** Appended to what this turn writes; the caller writes once when the call into the session returns (RFC 2920 §3.2). */
  reply(reply: Reply, context: ReplyContext): void;
  /** DATA or the first BDAT was accepted: open the message, write the trace header. Not called when it is refused. */
  messageBegin(transaction: Transaction): void;
  /** Message bytes, dots unstuffed, the final CRLF included, the end-of-data line not. Borrowed: valid during the call. */
  body(slice: Buffer): void;
  /** The message that messageBegin opened is dropped; its remaining bytes do not come. Called at most once a message. */
  messageAbandon(reason: AbandonReason): void;
  ask(question: Question): void;
  /** STARTTLS was accepted and 220 replied. This session is over: after the handshake the caller makes a new one
   *  with `secure: true`, so that nothing known in plaintext survives (RFC 3207 §4.2). */
  upgrade(): void;
  /** Write what is pending, then close. */
  close(reason: CloseReason): void;
}

export interface SessionLimits {
  readonly messageBytes: number;
  readonly recipients: number;
  /** Replies 4xx/5xx to commands before 421 and close. */
  readonly errors: number;
  /** Beyond these each asks for a pause. */
  readonly softErrors: number;
  /** NOOP, RSET, VRFY, HELP, EXPN, EHLO without a message in between, before 421 and close. */
  readonly junkCommands: number;
  /** With CRLF; AUTH lines have their own 12288 (RFC 4954 §4). */
  readonly commandLineBytes: number;
  readonly headerBytes: number;
  readonly headerFields: number;
  /** MAIL accepted in one session before 421 and close. */
  readonly transactions: number;
  /** Received: fields of a message beyond which it loops (RFC 5321 §6.3: at least 100). */
  readonly receivedHops: number;
  /** Of these, fields with our hostname after `by` beyond which it loops through us. */
  readonly ownReceivedHops: number;
  /** Longest body line passed on; longer ones refuse the message. */
  readonly dataLineBytes: number;
  /** AUTH failures in one session before 421 and close. */
  readonly authFailures: number;
}

/** One object per listener and TLS state, shared by all its sessions: EHLO's reply is encoded once for it. */
export interface SessionOptions {
  /** ASCII, lower case. */
  readonly hostname: string;
  readonly greeting: string;
  readonly role: 'inbound' | 'submission';
  /** LMTP, RFC 2033: LHLO instead of EHLO and HELO, and a reply for each recipient at the end of a message. */
  readonly protocol: 'smtp' | 'lmtp';
  /** The connection is inside TLS. */
  readonly secure: boolean;
  /** STARTTLS is announced and works. False inside TLS. */
  readonly startTls: boolean;
  /** Everything but NOOP EHLO STARTTLS QUIT gets 530 until TLS is on (RFC 3207 §4). */
  readonly tlsRequired: boolean;
  /** A client certificate is required here and none that verifies was shown: every command but QUIT gets 554
   *  (RFC 3207 §4.1). */
  readonly certificateMissing: boolean;
  /** MAIL gets 530 until AUTH succeeded (submission, RFC 6409 §4.3). */
  readonly authRequired: boolean;
  /** Announced only where secure; empty: no AUTH. */
  readonly mechanisms: readonly Mechanism[];
  /** What becomes of a message with a CR or LF alone: refused, or each made a CRLF. */
  readonly bareNewlines: 'reject' | 'normalize';
  /** XCLIENT and XFORWARD are announced and work: the client is one that the operator trusts to name others. */
  readonly mayNameClients: boolean;
  readonly limits: SessionLimits;
  /** Holds over the same of `limits`, and is looked up each time: it changes when the caller comes under stress. */
  readonly patience?: { readonly limits: Pick<SessionLimits, 'errors' | 'softErrors' | 'junkCommands'> };
  /** Holds where it is lower than the same of `limits`, and is looked up each time: it falls while the caller has many
   *  envelopes to keep. */
  readonly envelopeRoom?: Pick<SessionLimits, 'recipients'>;
  /** RFC 2920 §3.1: a client that sends on without waiting where it has to is sent away. */
  readonly refuseUnauthorizedPipelining: boolean;
  readonly ask: { mask: number };
}
