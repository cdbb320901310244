/** A Spool without a disk, for tests of the relay: leases, states and due times as the contract says, all in one Map. */
import { PosternError } from '../../src/base/errors.js';
import { newQueueId } from '../../src/base/ids.js';
import type {
  AttemptNote,
  Lease,
  MessageState,
  MessageWriter,
  NewEnvelope,
  QueuedMessage,
  QueuedRecipient,
  QueueFilter,
  RecipientResult,
  Spool,
  SpoolStats,
} from '../../src/queue/spool.js';

interface Entry {
  message: QueuedMessage;
  body: Buffer;
  /** By destination. */
  readonly progress: Map<string, Progress>;
}

interface Progress {
  dueAtMs: number;
  attempts: number;
  leased: boolean;
  /** The next attempt is counted: the first in the append, one that was not begun in its lease. */
  fresh: boolean;
  delayNotified?: boolean;
}

export interface Settlement {
  readonly id: string;
  readonly results: readonly RecipientResult[];
  readonly nextAttemptAtMs: number;
  readonly note: AttemptNote | undefined;
}

const unused = (): never => {
  throw new Error('not part of this fake');
};

export class MemorySpool implements Spool {
  readonly entries = new Map<string, Entry>();
  /** Until something of the destination changes: a test may have 100 000 messages. */
  readonly #due = new Map<string, { earliestAtMs: number; count: number }>();
  /** By destination, oldest first. */
  readonly #waiting = new Map<string, Set<Entry>>();
  readonly settlements: Settlement[] = [];
  readonly unleased: string[] = [];
  onDue: ((route: string) => void) | undefined;
  onRetry: ((route: string) => void) | undefined;
  chunkBytes = 65_520;
  /** Checksums of these do not match: body() throws at its end. */
  readonly corrupt = new Set<string>();
  mostLeased = 0;
  /** Chunks handed out so far: how far the relay has read ahead of its hop. */
  chunksRead = 0;
  settleError: Error | undefined;

  add(body: Buffer | string, envelope: Partial<NewEnvelope> = {}, attempts = 1): string {
    const id = newQueueId(Date.now());
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    const full: NewEnvelope = {
      reversePath: 'sender@example.org',
      recipients: [{ address: 'someone@example.test', route: 'out' }],
      body: undefined,
      smtpUtf8: false,
      arrivedAtMs: Date.now(),
      listener: 'mx',
      clientAddress: '192.0.2.1',
      clientName: 'client.example',
      user: '',
      sessionId: 'S',
      ...envelope,
    };
    const recipients = full.recipients.map((recipient): QueuedRecipient => ({
      ...recipient,
      state: 'pending',
      lastReply: '',
    }));
    const progress = new Map<string, Progress>();
    for (const { route } of recipients)
      progress.set(route, { dueAtMs: 0, attempts, leased: false, fresh: true });
    const message: QueuedMessage = {
      ...full,
      id,
      recipients,
      state: 'active',
      bytes: bytes.length,
      held: false,
      parked: '',
      attemptLog: [],
      attempts,
      nextAttemptAtMs: 0,
      routes: [],
    };
    const entry = { message, body: bytes, progress };
    entry.message = { ...message, ...progressOf(entry) };
    this.entries.set(id, entry);
    for (const route of progress.keys()) this.#of(route).add(entry);
    this.#touch(entry);
    for (const route of progress.keys()) this.onDue?.(route);
    return id;
  }

  /** So many alike, of one recipient: a hundred thousand in a moment. */
  addMany(count: number, body: Buffer | string, route: string): void {
    const first = this.entries.get(this.add(body, { recipients: [{ address: 'a@example.test', route }] }));
    if (first === undefined) throw new Error('unreachable');
    for (let i = 1; i < count; i++) {
      const message = { ...first.message, id: newQueueId(Date.now()) };
      const progress = new Map([[route, { dueAtMs: 0, attempts: 1, leased: false, fresh: true }]]);
      const entry = { message, body: first.body, progress };
      this.entries.set(message.id, entry);
      this.#of(route).add(entry);
    }
    this.#due.delete(route);
    this.onDue?.(route);
  }

  /** As if an attempt had left it so. */
  defer(id: string, route: string, dueAtMs: number): void {
    const entry = this.entries.get(id);
    const progress = entry?.progress.get(route);
    if (entry === undefined || progress === undefined) throw new Error(`no such destination: ${route}`);
    progress.dueAtMs = dueAtMs;
    this.#touch(entry);
  }

  show(id: string): QueuedMessage {
    const entry = this.entries.get(id);
    if (entry === undefined) throw new PosternError('NOT_FOUND', id);
    return entry.message;
  }

  lease(route: string, nowMs: number, limit: number): Promise<Lease[]> {
    const leases: Lease[] = [];
    for (const entry of this.#of(route)) {
      if (leases.length === limit) break;
      const progress = this.#open(entry, route);
      if (progress === undefined || progress.dueAtMs > nowMs) continue;
      if (!progress.fresh) progress.attempts++;
      progress.leased = true;
      this.#touch(entry);
      this.leased++;
      progress.fresh = false;
      entry.message = { ...entry.message, ...progressOf(entry) };
      leases.push({ message: entry.message, route, body: () => this.#body(entry) });
    }
    this.mostLeased = Math.max(this.mostLeased, this.leased);
    return Promise.resolve(leases);
  }

  due(): ReadonlyMap<string, { earliestAtMs: number; count: number }> {
    const due = new Map<string, { earliestAtMs: number; count: number }>();
    for (const route of this.#waiting.keys()) {
      const known = this.#due.get(route) ?? this.#dueOf(route);
      this.#due.set(route, known);
      if (known.count > 0) due.set(route, known);
    }
    return due;
  }

  async settle(
    lease: Lease,
    results: readonly RecipientResult[],
    nextAttemptAtMs: number,
    note?: AttemptNote,
  ): Promise<void> {
    await Promise.resolve();
    if (this.settleError !== undefined) throw this.settleError;
    const { id } = lease.message;
    const entry = this.entries.get(id);
    const progress = entry?.progress.get(lease.route);
    if (entry === undefined || progress?.leased !== true) throw new Error(`settled without a lease: ${id}`);
    this.settlements.push({ id, results, nextAttemptAtMs, note });
    const recipients = entry.message.recipients.map((recipient) => ({
      ...recipient,
      ...(recipient.route === lease.route
        ? results.find((result) => result.address === recipient.address)
        : {}),
    }));
    const pending = recipients.some((recipient) => recipient.state === 'pending');
    const failed = recipients.some((recipient) => recipient.state === 'failed');
    const state: MessageState = pending ? 'deferred' : 'failed';
    progress.dueAtMs = nextAttemptAtMs;
    progress.leased = false;
    if (note?.delayNotified === true) progress.delayNotified = true;
    this.leased--;
    this.#touch(entry);
    const { attemptLog } = entry.message;
    entry.message = {
      ...entry.message,
      recipients,
      state,
      attemptLog: note?.attempt === undefined ? attemptLog : [...attemptLog, note.attempt],
      ...progressOf(entry),
    };
    if (!pending && !failed) this.#remove(id);
  }

  unlease(lease: Lease): void {
    const entry = this.entries.get(lease.message.id);
    const progress = entry?.progress.get(lease.route);
    if (entry !== undefined && progress !== undefined) {
      this.#touch(entry);
      progress.leased = false;
      this.leased--;
      progress.fresh = true;
    }
    this.unleased.push(lease.message.id);
  }

  /** Destinations of messages, as the spool counts. */
  leased = 0;

  #dueOf(route: string): { earliestAtMs: number; count: number } {
    let earliestAtMs = Infinity;
    let count = 0;
    for (const entry of this.#of(route)) {
      const progress = this.#open(entry, route);
      if (progress === undefined) continue;
      earliestAtMs = Math.min(earliestAtMs, progress.dueAtMs);
      count++;
    }
    return { earliestAtMs, count };
  }

  /** The destinations of a message, before or after it changes. */
  #touch(entry: Entry): void {
    for (const route of entry.progress.keys()) this.#due.delete(route);
  }

  #of(route: string): Set<Entry> {
    const known = this.#waiting.get(route);
    if (known !== undefined) return known;
    const entries = new Set<Entry>();
    this.#waiting.set(route, entries);
    return entries;
  }

  #remove(id: string): void {
    const entry = this.entries.get(id);
    if (entry === undefined) return;
    this.entries.delete(id);
    this.#touch(entry);
    for (const route of entry.progress.keys()) this.#of(route).delete(entry);
  }

  #open(entry: Entry, route: string): Progress | undefined {
    const progress = entry.progress.get(route);
    if (progress === undefined || progress.leased || entry.message.state === 'held') return undefined;
    const pending = entry.message.recipients.some(
      (recipient) => recipient.route === route && recipient.state === 'pending',
    );
    return pending ? progress : undefined;
  }

  async *#body(entry: Entry): AsyncGenerator<Buffer> {
    for (let at = 0; at < entry.body.length; at += this.chunkBytes) {
      await Promise.resolve();
      this.chunksRead++;
      yield entry.body.subarray(at, at + this.chunkBytes);
    }
    if (this.corrupt.has(entry.message.id))
      throw new PosternError('SPOOL_CORRUPT', 'the checksum does not match');
  }

  begin(): MessageWriter {
    return unused();
  }
  list = unused;
  shape = unused;
  read = unused;
  restore = unused;
  hold = unused;
  release = unused;
  retry = unused;

  /** By state and age: what the relay asks for. */
  select({ state, olderThanMs = 0 }: QueueFilter): Promise<readonly string[]> {
    const ids: string[] = [];
    for (const { message } of this.entries.values())
      if (message.state === state && Date.now() - message.arrivedAtMs > olderThanMs) ids.push(message.id);
    return Promise.resolve(ids);
  }

  delete(id: string): Promise<void> {
    this.show(id);
    this.#remove(id);
    return Promise.resolve();
  }

  /** Only what the relay asks for. */
  stats(): SpoolStats {
    const arrivals = [...this.entries.values()].map((entry) => entry.message.arrivedAtMs);
    return {
      messages: { active: 0, deferred: 0, held: 0, parked: 0, failed: 0 },
      bytes: 0,
      bytesInFlight: 0,
      oldestArrivedAtMs: arrivals.length === 0 ? undefined : Math.min(...arrivals),
      commits: 0,
      files: 0,
    };
  }
  adopt = unused;
  openFiles = unused;
  giveBackSpace = unused;
  close = unused;
}

function progressOf(entry: Entry): Pick<QueuedMessage, 'attempts' | 'nextAttemptAtMs' | 'routes'> {
  const each = [...entry.progress];
  return {
    attempts: Math.max(...each.map(([, { attempts }]) => attempts)),
    nextAttemptAtMs: Math.min(...each.map(([, { dueAtMs }]) => dueAtMs)),
    routes: each.map(([route, { attempts, dueAtMs, leased, delayNotified = false }]) => ({
      route,
      nextAttemptAtMs: dueAtMs,
      attempts,
      ended: leased ? attempts - 1 : attempts,
      tried: attempts > 1 || !leased,
      delayNotified,
    })),
  };
}
