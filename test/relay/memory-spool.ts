/** A Spool without a disk, for tests of the relay: leases, states and due times as the contract says, all in one Map. */
import { PosternError } from '../../src/base/errors.js';
import { newQueueId } from '../../src/base/ids.js';
import type {
  Lease,
  MessageState,
  MessageWriter,
  NewEnvelope,
  QueuedMessage,
  QueuedRecipient,
  RecipientResult,
  Spool,
  SpoolStats,
} from '../../src/queue/spool.js';

interface Entry {
  message: QueuedMessage;
  body: Buffer;
  /** The route it is leased for. */
  leasedFor: string | undefined;
  /** By route, as in the queue. */
  dueAtMs: Map<string, number>;
  /** The next attempt is counted: the first in the append, one that was not begun in its lease. */
  fresh: boolean;
}

export interface Settlement {
  readonly id: string;
  readonly results: readonly RecipientResult[];
  readonly nextAttemptAtMs: number;
}

const unused = (): never => {
  throw new Error('not part of this fake');
};

export class MemorySpool implements Spool {
  readonly entries = new Map<string, Entry>();
  readonly settlements: Settlement[] = [];
  readonly unleased: string[] = [];
  onDue: ((route: string) => void) | undefined;
  chunkBytes = 65_520;
  /** Checksums of these do not match: body() throws at its end. */
  readonly corrupt = new Set<string>();
  mostLeased = 0;
  /** Chunks handed out so far: how far the relay has read ahead of its hop. */
  chunksRead = 0;
  settleError: Error | undefined;

  add(body: Buffer | string, envelope: Partial<NewEnvelope> = {}, attempts = 1): string {
    const id = newQueueId(Date.now());
    const bytes = Buffer.from(body);
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
    const message = {
      ...full,
      id,
      recipients,
      state: 'active' as const,
      bytes: bytes.length,
      attempts,
      nextAttemptAtMs: 0,
    };
    this.entries.set(id, { message, body: bytes, leasedFor: undefined, dueAtMs: new Map(), fresh: true });
    for (const route of new Set(recipients.map((recipient) => recipient.route))) this.onDue?.(route);
    return id;
  }

  show(id: string): QueuedMessage {
    const entry = this.entries.get(id);
    if (entry === undefined) throw new PosternError('NOT_FOUND', id);
    return entry.message;
  }

  lease(route: string, nowMs: number, limit: number): Promise<Lease[]> {
    const leases: Lease[] = [];
    for (const entry of this.entries.values()) {
      if (leases.length === limit) break;
      if (!this.#isOpen(entry, route) || (entry.dueAtMs.get(route) ?? 0) > nowMs) continue;
      entry.leasedFor = route;
      if (!entry.fresh) entry.message = { ...entry.message, attempts: entry.message.attempts + 1 };
      entry.fresh = false;
      leases.push({ message: entry.message, body: () => this.#body(entry) });
    }
    this.mostLeased = Math.max(this.mostLeased, this.leased);
    return Promise.resolve(leases);
  }

  due(): ReadonlyMap<string, { earliestAtMs: number; count: number }> {
    const due = new Map<string, { earliestAtMs: number; count: number }>();
    for (const entry of this.entries.values())
      for (const route of new Set(entry.message.recipients.map((recipient) => recipient.route))) {
        if (!this.#isOpen(entry, route)) continue;
        const { earliestAtMs, count } = due.get(route) ?? { earliestAtMs: Infinity, count: 0 };
        due.set(route, {
          earliestAtMs: Math.min(earliestAtMs, entry.dueAtMs.get(route) ?? 0),
          count: count + 1,
        });
      }
    return due;
  }

  async settle(id: string, results: readonly RecipientResult[], nextAttemptAtMs: number): Promise<void> {
    await Promise.resolve();
    if (this.settleError !== undefined) throw this.settleError;
    const entry = this.entries.get(id);
    if (entry?.leasedFor === undefined) throw new Error(`settled without a lease: ${id}`);
    this.settlements.push({ id, results, nextAttemptAtMs });
    const recipients = entry.message.recipients.map((recipient) => ({
      ...recipient,
      ...results.find((result) => result.address === recipient.address),
    }));
    const pending = recipients.some((recipient) => recipient.state === 'pending');
    const failed = recipients.some((recipient) => recipient.state === 'failed');
    const state: MessageState = pending ? 'deferred' : 'failed';
    entry.dueAtMs.set(entry.leasedFor, nextAttemptAtMs);
    entry.leasedFor = undefined;
    entry.message = { ...entry.message, recipients, state, nextAttemptAtMs };
    if (!pending && !failed) this.entries.delete(id);
  }

  unlease(id: string): void {
    const entry = this.entries.get(id);
    if (entry !== undefined) {
      entry.leasedFor = undefined;
      entry.fresh = true;
    }
    this.unleased.push(id);
  }

  get leased(): number {
    return [...this.entries.values()].filter((entry) => entry.leasedFor !== undefined).length;
  }

  #isOpen(entry: Entry, route: string): boolean {
    return (
      entry.leasedFor === undefined &&
      entry.message.state !== 'held' &&
      entry.message.recipients.some((recipient) => recipient.route === route && recipient.state === 'pending')
    );
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
  head = unused;
  hold = unused;
  release = unused;
  retry = unused;
  delete = unused;
  /** Only what the relay asks for. */
  stats(): SpoolStats {
    const arrivals = [...this.entries.values()].map((entry) => entry.message.arrivedAtMs);
    return {
      messages: { active: 0, deferred: 0, held: 0, failed: 0 },
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
