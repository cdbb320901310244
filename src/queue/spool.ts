/**
 * The durable queue as its users see it. The one implementation is LMDB (lmdb-spool); a log or another store could
 * take its place. One Spool belongs to one worker process, which is the only writer of the files it has open.
 */
import type { ByteBudget } from './byte-budget.js';

/** 'failed': for good, and its sender could not be told. 'bounced': for good, and its sender has been told or did not
 *  want to be. A message whose recipients are all delivered or bounced leaves the queue. */
export type RecipientState = 'pending' | 'delivered' | 'failed' | 'bounced';

/** RFC 3461 §4.1. An empty list is NOTIFY=NEVER. */
export type Notify = readonly ('SUCCESS' | 'FAILURE' | 'DELAY')[];

export interface NewRecipient {
  readonly address: string;
  /** Its destination: the name of a route, or `<route>/<domain>` where the route looks MX up (relay/destination.ts). */
  readonly route: string;
  /** Undefined: NOTIFY was not given, which means failure and, as we like, delay. */
  readonly notify?: Notify | undefined;
  /** ORCPT as the client wrote it, still xtext: `rfc822;joe@example.org`. RFC 3461 §4.2. */
  readonly originalRecipient?: string | undefined;
}

export interface QueuedRecipient extends NewRecipient {
  readonly state: RecipientState;
  /** The last reply or error for this recipient, one line, printable ASCII, at most 512 characters. */
  readonly lastReply: string;
}

/** 'active': a first attempt is due or under way. 'deferred': waits for its next attempt. 'failed': nothing pending is
 *  left, some recipients failed without a notification; kept until an operator deletes or retries it. 'held': an
 *  operator's wish. 'parked': it ended three workers; an operator must look at it, `release` lets it go on. */
export type MessageState = 'active' | 'deferred' | 'held' | 'parked' | 'failed';

export interface NewEnvelope {
  /** '' is the null reverse-path. */
  readonly reversePath: string;
  readonly recipients: readonly NewRecipient[];
  readonly body: '7BIT' | '8BITMIME' | undefined;
  readonly smtpUtf8: boolean;
  readonly arrivedAtMs: number;
  readonly listener: string;
  readonly clientAddress: string;
  /** EHLO's argument, as given. */
  readonly clientName: string;
  readonly user: string;
  readonly sessionId: string;
  /** RET, RFC 3461 §4.3. */
  readonly ret?: 'FULL' | 'HDRS' | undefined;
  /** ENVID as the client wrote it, still xtext. RFC 3461 §4.4. */
  readonly envelopeId?: string | undefined;
  /** A delivery status notification of our own: what fails of it goes to the postmaster, never to a sender. */
  readonly isNotification?: boolean | undefined;
}

/** Where a message stands with one of its destinations. */
export interface RouteProgress {
  readonly route: string;
  readonly nextAttemptAtMs: number;
  /** Begun; the first is counted when the message is stored. */
  readonly attempts: number;
  /** Of these, how many have ended in a result or were given back; what is missing fell with its worker. */
  readonly ended: number;
  /** An attempt has ended. */
  readonly tried: boolean;
  /** The sender has had his notification of delay for it. */
  readonly delayNotified: boolean;
}

/** One attempt as `queue show` prints it. */
export interface Attempt {
  readonly route: string;
  readonly atMs: number;
  /** `host:port` or the Maildir's path. */
  readonly hop: string;
  /** Of its first recipient, or the error that ended it: one line, printable ASCII, at most 256 characters. */
  readonly reply: string;
}

/** All of a message but its bytes: what a file keeps, an export carries and an import or salvage stores again. */
export interface StoredEnvelope extends Omit<NewEnvelope, 'recipients'> {
  readonly recipients: readonly QueuedRecipient[];
  /** One per destination of the recipients. */
  readonly routes: readonly RouteProgress[];
  readonly held: boolean;
  /** Why it was parked; '' while it is not. */
  readonly parked: string;
  /** The last few, oldest first; bounded. */
  readonly attemptLog: readonly Attempt[];
}

export interface QueuedMessage extends StoredEnvelope {
  readonly id: string;
  readonly state: MessageState;
  /** Stored bytes: the trace header and the message. */
  readonly bytes: number;
  /** Attempts begun; the first is counted in the append itself, later ones before they start. */
  readonly attempts: number;
  readonly nextAttemptAtMs: number;
}

/**
 * A message on its way in. `write` copies what it must keep. Small messages stay in memory until commit and are one
 * LMDB batch; larger ones go to disk in uniform chunks while they arrive.
 */
export interface MessageWriter {
  readonly id: string;
  /** All bytes written so far. */
  readonly bytes: number;
  write(slice: Buffer): void;
  /** True: stop reading from this client until `onWritable` is called (then it is false). */
  readonly congested: boolean;
  onWritable: (() => void) | undefined;
  /**
   * Resolves when message, envelope and index are committed and fsynced: the only thing a 250 may follow.
   * @throws PosternError SPOOL_COMMIT, SPOOL_CLOSED: nothing may be acknowledged.
   */
  commit(envelope: NewEnvelope): Promise<void>;
  /** Forget it; what already went to disk is removed in the background. Safe to call at any time before commit. */
  abort(): void;
}

/** A message that was accepted before, on its way back into a queue: salvage, import, move. */
export interface RestoreWriter extends Omit<MessageWriter, 'commit'> {
  /** As MessageWriter.commit; the recipients' states, attempts and due times are kept as they are. */
  commit(envelope: StoredEnvelope): Promise<void>;
}

export interface RecipientResult {
  readonly address: string;
  readonly state: RecipientState;
  readonly lastReply: string;
}

/** What else an attempt leaves in the record. */
export interface AttemptNote {
  readonly attempt?: Attempt | undefined;
  readonly delayNotified?: boolean | undefined;
}

/** One destination of a message in the relay's hands. No other lease of the two is given until it is settled; other
 *  destinations of the same message may be leased meanwhile. */
export interface Lease {
  readonly message: QueuedMessage;
  readonly route: string;
  /** The body in order, one stored chunk at a time; short read transactions; checks length and checksum at the end.
   *  @throws PosternError SPOOL_CORRUPT */
  body(): AsyncIterable<Buffer>;
}

export interface SpoolStats {
  readonly messages: Readonly<Record<MessageState, number>>;
  readonly bytes: number;
  /** Received and not yet on disk. */
  readonly bytesInFlight: number;
  readonly oldestArrivedAtMs: number | undefined;
  readonly commits: number;
  readonly files: number;
}

/** All that are given must hold. */
export interface QueueFilter {
  readonly state?: MessageState | undefined;
  /** Name of a route; `<route>/<domain>` destinations are of their route. */
  readonly route?: string | undefined;
  /** Of a recipient, lower case. */
  readonly domain?: string | undefined;
  /** Compared without case; '<>' is the null reverse-path. `@example.org`: any of that domain. */
  readonly sender?: string | undefined;
  readonly recipient?: string | undefined;
  readonly olderThanMs?: number | undefined;
  readonly youngerThanMs?: number | undefined;
  /** A part of the last reply of a recipient, without case. */
  readonly error?: string | undefined;
}

/** Messages by age and recipient domain. */
export interface QueueShape {
  /** Upper bounds of the columns, minutes; the last column is what is older. */
  readonly ageMinutes: readonly number[];
  /** Most messages first; beyond a bound the rest is the row named ''. One count per column. */
  readonly rows: readonly { readonly domain: string; readonly counts: readonly number[] }[];
}

export interface Spool {
  /** Never fails: where nothing can be stored any more, commit() says so, and the client gets its 451 at the end. */
  /** @param shares budgets of bytes in flight that it counts on beside bytesInFlight */
  begin(nowMs: number, shares?: readonly ByteBudget[]): MessageWriter;

  /**
   * Up to `limit` messages that are due for `route`, oldest due first; their attempt counters are committed before
   * this resolves (the first one already was). Skips held, failed and leased ones.
   */
  lease(route: string, nowMs: number, limit: number): Promise<Lease[]>;
  /** Routes that have something pending, and when the earliest is due: the dispatcher's alarm clock. */
  due(): ReadonlyMap<string, { readonly earliestAtMs: number; readonly count: number }>;
  /** Called after a commit, release or retry made something due. Set by the dispatcher. */
  onDue: ((route: string) => void) | undefined;
  /** Called before onDue when an operator's release or retry was the reason: he wants to see it tried now. Set by the
   *  dispatcher. */
  onRetry?: ((route: string) => void) | undefined;

  /**
   * The outcome of a lease for the recipients that were tried; ends the lease. Pending ones wait for nextAttemptAtMs.
   * All delivered or bounced: the message is removed (batched; losing a removal only costs a duplicate). None pending
   * and some failed: state 'failed', kept. Recipients of other destinations stay as they were.
   */
  settle(
    lease: Lease,
    results: readonly RecipientResult[],
    nextAttemptAtMs: number,
    note?: AttemptNote,
  ): Promise<void>;
  /** Ends a lease with nothing tried (the relay stops). */
  unlease(lease: Lease): void;
  readonly leased: number;

  /** A page in order of arrival here, in slices of a millisecond or two so that mail flows meanwhile. */
  list(
    filter: QueueFilter,
    page: { readonly offset: number; readonly limit: number },
  ): Promise<{ readonly total: number; readonly messages: readonly QueuedMessage[] }>;
  /** The ids of all that fit, in slices too. */
  select(filter: QueueFilter): Promise<readonly string[]>;
  shape(nowMs: number): Promise<QueueShape>;
  /** @throws PosternError NOT_FOUND (also those below) */
  show(id: string): QueuedMessage;
  /** Stored bytes of a message from `offset`, at most `limitBytes`; empty at its end. Checked only where they are
   *  read from the top to the end. */
  read(id: string, offset: number, limitBytes: number): Promise<Buffer>;
  /** A message that has an id and a history. @throws PosternError EXISTS when it is in this queue */
  restore(id: string): RestoreWriter;
  /** @throws PosternError SPOOL_CLOSED, SPOOL_COMMIT (also the three below) */
  hold(id: string): Promise<void>;
  release(id: string): Promise<void>;
  retry(id: string): Promise<void>;
  delete(id: string): Promise<void>;

  stats(): SpoolStats;
  /** Takes over the files of a process that is gone: opens, verifies and scans them, then serves them like its own.
   *  Resolves when all are scanned, with how many messages they held. Accepting mail does not wait for it.
   *  @param blame the process ended by something that a message may have caused (not by a stop, not by an outside
   *  SIGKILL): attempts that it had begun and not ended count against their messages; three park one */
  adopt(files: readonly string[], blame: boolean): Promise<number>;
  /** Full paths of the queue files that this process has open, for the attribution of a death. */
  openFiles(): readonly string[];
  /** The disk is short: begins a new file, so that the space of the old one comes back when it has drained. */
  giveBackSpace(): void;
  /** Flushes removals, closes. After it commit() and the operator's calls fail with SPOOL_CLOSED. */
  close(): Promise<void>;
}

export interface SpoolOptions {
  /** `<dataDir>/queue`; this worker's files live in `slot-<slot>/` below it. */
  readonly directory: string;
  readonly slot: number;
  /** Unique among all processes ever started on this data directory; names the files: `slot-<slot>/<incarnation>-<n>.mdb`. */
  readonly incarnation: string;
  /** Messages up to this many bytes are one batch from memory. */
  readonly smallMessageBytes: number;
  /** Budget of bytes received and not yet on disk, all messages of this process together. */
  readonly bytesInFlight: number;
  readonly commitTimeoutMs: number;
  /** A new generation file is begun when the current one has taken this many bytes. */
  readonly generationBytes: number;
  /** A file that has been full for so long and holds little any more is emptied into the current one. Default: 10
   *  minutes. */
  readonly stragglerAfterMs?: number | undefined;
  readonly hooks: SpoolHooks;
}

/** What the spool tells its process while it works. All are called synchronously and must not throw. */
export interface SpoolHooks {
  /** For the primary's attribution of deaths: which file is being opened, verified or scanned; undefined when done.
   *  'draining', just before `failed`: it is a commit to this file, which another process left, that failed. */
  phase(
    phase: { readonly kind: 'opening' | 'scanning' | 'draining'; readonly file: string } | undefined,
  ): void;
  commit(observed: { readonly seconds: number; readonly messages: number }): void;
  /** The first failed commit: the process must answer 451 to all in flight, then exit. Called once. */
  failed(error: Error): void;
  /** A record or a file that cannot be used; it was left where it is. */
  damaged(what: { readonly file: string; readonly id?: string; readonly reason: string }): void;
  /** A file that is closed in this process, still in its place, and of no use to another: it was refused as damaged, or
   *  nothing is left in it but damage. */
  unusable?: ((what: { readonly file: string; readonly reason: string }) => void) | undefined;
  /** A file was emptied, closed and unlinked. */
  retired(file: string): void;
  /** A message was parked. */
  parked?(what: { readonly id: string; readonly reason: string }): void;
  /** The disk is full: a commit was refused whole and nothing else is wrong; true when there is room again. */
  diskFull?(full: boolean): void;
  /** The space kept for a full disk can be neither made nor freed; told once. Commits go on without it. */
  reserveStuck?(reason: string): void;
}

/** Opens (creates) the spool with one fresh generation file, its directory entries fsynced.
 *  @throws PosternError DATA_DIR_UNUSABLE, SPOOL_FORMAT */
export type OpenSpool = (options: SpoolOptions) => Promise<Spool>;
