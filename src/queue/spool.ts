/**
 * The durable queue as its users see it. The one implementation is LMDB (lmdb-spool); a log or another store could
 * take its place. One Spool belongs to one worker process, which is the only writer of the files it has open.
 */

export type RecipientState = 'pending' | 'delivered' | 'failed';

export interface QueuedRecipient {
  readonly address: string;
  readonly route: string;
  readonly state: RecipientState;
  /** The last reply or error for this recipient, one line, printable ASCII, at most 512 characters. */
  readonly lastReply: string;
}

/** 'active': a first attempt is due or under way. 'deferred': waits for its next attempt. 'failed': nothing pending is
 *  left, some recipients failed; kept until an operator deletes or retries it. 'held': an operator's wish. */
export type MessageState = 'active' | 'deferred' | 'held' | 'failed';

export interface NewEnvelope {
  /** '' is the null reverse-path. */
  readonly reversePath: string;
  readonly recipients: readonly { readonly address: string; readonly route: string }[];
  readonly body: '7BIT' | '8BITMIME' | undefined;
  readonly smtpUtf8: boolean;
  readonly arrivedAtMs: number;
  readonly listener: string;
  readonly clientAddress: string;
  /** EHLO's argument, as given. */
  readonly clientName: string;
  readonly user: string;
  readonly sessionId: string;
}

export interface QueuedMessage extends Omit<NewEnvelope, 'recipients'> {
  readonly id: string;
  readonly recipients: readonly QueuedRecipient[];
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

export interface RecipientResult {
  readonly address: string;
  readonly state: RecipientState;
  readonly lastReply: string;
}

/** A message in the relay's hands. No other lease of it is given until it is settled. */
export interface Lease {
  readonly message: QueuedMessage;
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

export interface QueueFilter {
  readonly state?: MessageState | undefined;
  readonly route?: string | undefined;
  readonly offset?: number | undefined;
  readonly limit?: number | undefined;
}

export interface Spool {
  /** Never fails: where nothing can be stored any more, commit() says so, and the client gets its 451 at the end. */
  begin(nowMs: number): MessageWriter;

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
   * All delivered: the message is removed (batched; losing a removal only costs a duplicate). None pending and some
   * failed: state 'failed', kept. Recipients of other routes stay as they were.
   */
  settle(id: string, results: readonly RecipientResult[], nextAttemptAtMs: number): Promise<void>;
  /** Ends a lease with nothing tried (the relay stops). */
  unlease(id: string): void;
  readonly leased: number;

  list(filter: QueueFilter): { readonly total: number; readonly messages: readonly QueuedMessage[] };
  /** @throws PosternError NOT_FOUND (also the five below) */
  show(id: string): QueuedMessage;
  /** Stored bytes of a message from its top, at most `limitBytes`. */
  head(id: string, limitBytes: number): Promise<Buffer>;
  /** @throws PosternError SPOOL_CLOSED, SPOOL_COMMIT (also the three below) */
  hold(id: string): Promise<void>;
  release(id: string): Promise<void>;
  retry(id: string): Promise<void>;
  delete(id: string): Promise<void>;

  stats(): SpoolStats;
  /** Takes over the files of a process that is gone: opens, verifies and scans them, then serves them like its own.
   *  Resolves when all are scanned. Accepting mail does not wait for it. */
  adopt(files: readonly string[]): Promise<void>;
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
  readonly hooks: SpoolHooks;
}

/** What the spool tells its process while it works. All are called synchronously and must not throw. */
export interface SpoolHooks {
  /** For the primary's attribution of deaths: which file is being opened, verified or scanned; undefined when done. */
  phase(phase: { readonly kind: 'opening' | 'scanning'; readonly file: string } | undefined): void;
  commit(observed: { readonly seconds: number; readonly messages: number }): void;
  /** The first failed commit: the process must answer 451 to all in flight, then exit. Called once. */
  failed(error: Error): void;
  /** A record or a file that cannot be used; it was left where it is. */
  damaged(what: { readonly file: string; readonly id?: string; readonly reason: string }): void;
  /** A file was emptied, closed and unlinked. */
  retired(file: string): void;
}

/** Opens (creates) the spool with one fresh generation file, its directory entries fsynced.
 *  @throws PosternError DATA_DIR_UNUSABLE, SPOOL_FORMAT */
export type OpenSpool = (options: SpoolOptions) => Promise<Spool>;
