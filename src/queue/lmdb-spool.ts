/**
 * The Spool over LMDB: wires writers, index and files together and owns what happens to a message after its commit.
 * Durability is committer.ts and lmdb-env.ts; here it is decided what is written. One object per worker process,
 * called by the worker (begin, adopt, close), the relay (lease, settle) and the admin calls.
 */
import { PosternError, describeError } from '../base/errors.js';
import { newQueueId } from '../base/ids.js';
import { scanGeneration, type AdoptionHost } from './adoption.js';
import { ByteBudget } from './byte-budget.js';
import type { Generation } from './generation.js';
import { Generations } from './generations.js';
import type { Entry, RouteSlot } from './message-index.js';
import { SpoolWriter, type WriterHost } from './message-writer.js';
import { Messages } from './messages.js';
import type { MessageRecord } from './record.js';
import type {
  Lease,
  MessageWriter,
  OpenSpool,
  QueueFilter,
  QueuedMessage,
  RecipientResult,
  Spool,
  SpoolOptions,
  SpoolStats,
} from './spool.js';
import {
  beginAttempt,
  holdMessage,
  isDelivered,
  releaseMessage,
  retryMessage,
  settleAttempt,
  toQueuedMessage,
} from './transitions.js';

// What list() gives without a limit of its own, and at most: each row is a read from disk in the event loop.
const defaultListLimit = 1000;
const maxListLimit = 10_000;

class LmdbSpool implements Spool, WriterHost, AdoptionHost {
  onDue: ((route: string) => void) | undefined = undefined;
  onRetry: ((route: string) => void) | undefined = undefined;
  readonly budget: ByteBudget;
  readonly smallMessageBytes: number;
  readonly #options: SpoolOptions;
  readonly #generations: Generations;
  readonly #messages: Messages;
  /** By message: the route it is leased for. */
  readonly #leases = new Map<string, string>();
  readonly #writers = new Set<MessageWriter>();
  #adoption: Promise<void> = Promise.resolve();
  /** Routes that the slice being scanned found messages for. */
  #foundRoutes = new Set<string>();
  #closing: Promise<void> | undefined = undefined;

  constructor(options: SpoolOptions, generations: Generations) {
    this.#options = options;
    this.#generations = generations;
    this.budget = new ByteBudget(options.bytesInFlight);
    this.smallMessageBytes = options.smallMessageBytes;
    this.#messages = new Messages((entry, reason) => {
      this.#leases.delete(entry.id);
      this.damaged(entry.id, reason, entry.generation);
    });
  }

  // ---- messages on their way in ------------------------------------------------------------------------------

  begin(nowMs: number): MessageWriter {
    const writer = new SpoolWriter(newQueueId(nowMs), this);
    this.#writers.add(writer);
    return writer;
  }

  get generation(): Generation {
    return this.#generations.current;
  }

  get refusal(): PosternError | undefined {
    if (this.#closing !== undefined) return new PosternError('SPOOL_CLOSED', 'the queue is closed');
    return this.#generations.failure;
  }

  stored(id: string, record: MessageRecord, generation: Generation): void {
    const entry = this.#messages.index.add(id, record, generation, true);
    this.#messages.index.keepRecent(entry, record);
    for (const { route } of record.routes) this.onDue?.(route);
  }

  ended(writer: MessageWriter, generation: Generation | undefined): void {
    this.#writers.delete(writer);
    if (generation !== undefined) this.#generations.retireIfEmpty(generation);
  }

  // ---- leases --------------------------------------------------------------------------------------------------

  async lease(route: string, nowMs: number, limit: number): Promise<Lease[]> {
    const begun: Promise<Lease | undefined>[] = [];
    while (begun.length < limit && this.refusal === undefined) {
      const slot = this.#messages.index.lease(route, nowMs);
      if (slot === undefined) break;
      this.#leases.set(slot.entry.id, route);
      begun.push(this.#beginAttempt(slot));
    }
    const leases = await Promise.all(begun);
    return leases.filter((lease) => lease !== undefined);
  }

  due(): ReadonlyMap<string, { readonly earliestAtMs: number; readonly count: number }> {
    return this.#messages.index.due;
  }

  async settle(id: string, results: readonly RecipientResult[], nextAttemptAtMs: number): Promise<void> {
    const route = this.#leases.get(id);
    const entry = this.#messages.index.get(id);
    // Deleted by an operator while it was under way.
    if (route === undefined || entry === undefined) return;
    this.#leases.delete(id);
    const before = this.#messages.readable(entry);
    if (before === undefined) return;
    const record = settleAttempt(before, route, results, nextAttemptAtMs);
    if (isDelivered(record)) {
      this.#messages.remove(entry);
      return;
    }
    const written = this.#messages.write(entry, record);
    this.#messages.index.endLease(entry);
    await written;
  }

  unlease(id: string): void {
    const route = this.#leases.get(id);
    const entry = this.#messages.index.get(id);
    if (route === undefined || entry === undefined) return;
    this.#leases.delete(id);
    this.#messages.index.keepCounted(entry, route);
    this.#messages.index.endLease(entry);
  }

  get leased(): number {
    return this.#leases.size;
  }

  /** Undefined when the envelope cannot be read any more: reported, and out of the queue. */
  async #beginAttempt(slot: RouteSlot): Promise<Lease | undefined> {
    const { entry, route } = slot;
    let record = this.#messages.readable(entry);
    if (record === undefined) return undefined;
    if (slot.counted) slot.counted = false;
    else {
      record = beginAttempt(record, route);
      await this.#messages.write(entry, record);
    }
    return {
      message: toQueuedMessage(entry.id, record, route),
      body: () => this.#messages.body(entry, record),
    };
  }

  // ---- the operator's calls ------------------------------------------------------------------------------------

  list(filter: QueueFilter): { readonly total: number; readonly messages: readonly QueuedMessage[] } {
    const offset = filter.offset ?? 0;
    const end = offset + Math.min(filter.limit ?? defaultListLimit, maxListLimit);
    const messages: QueuedMessage[] = [];
    let total = 0;
    for (const entry of this.#messages.index.entries()) {
      if (filter.state !== undefined && entry.state !== filter.state) continue;
      if (filter.route !== undefined && !entry.routes.includes(filter.route)) continue;
      if (total >= offset && total < end) {
        const record = this.#messages.readable(entry);
        if (record === undefined) continue;
        messages.push(toQueuedMessage(entry.id, record));
      }
      total++;
    }
    return { total, messages };
  }

  show(id: string): QueuedMessage {
    const entry = this.#messages.find(id);
    return toQueuedMessage(id, this.#messages.record(entry));
  }

  async head(id: string, limitBytes: number): Promise<Buffer> {
    const entry = this.#messages.find(id);
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of this.#messages.body(entry, this.#messages.record(entry))) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= limitBytes) break;
    }
    return Buffer.concat(chunks).subarray(0, limitBytes);
  }

  async hold(id: string): Promise<void> {
    const entry = this.#messages.find(id);
    await this.#messages.write(entry, holdMessage(this.#messages.record(entry)));
  }

  async release(id: string): Promise<void> {
    await this.#makeDue(id, releaseMessage);
  }

  async retry(id: string): Promise<void> {
    await this.#makeDue(id, retryMessage);
  }

  async delete(id: string): Promise<void> {
    const entry = this.#messages.find(id);
    this.#leases.delete(id);
    await this.#messages.removeNow(entry);
  }

  stats(): SpoolStats {
    const { index } = this.#messages;
    return {
      messages: { ...index.counts },
      bytes: index.bytes,
      bytesInFlight: this.budget.usedBytes,
      // Looked for only when it is read: it walks the index, and others ask for the counts at every MAIL.
      get oldestArrivedAtMs() {
        return index.oldestArrivedAtMs();
      },
      commits: this.#generations.commits,
      files: this.#generations.size,
    };
  }

  async #makeDue(id: string, change: (record: MessageRecord, nowMs: number) => MessageRecord): Promise<void> {
    const entry = this.#messages.find(id);
    const record = change(this.#messages.record(entry), Date.now());
    await this.#messages.write(entry, record);
    for (const { route } of record.routes) this.onRetry?.(route);
    for (const { route } of record.routes) this.onDue?.(route);
  }

  // ---- adoption and the end --------------------------------------------------------------------------------------

  adopt(files: readonly string[]): Promise<void> {
    // One after the other: a death is blamed on the one file that is being opened or scanned.
    this.#adoption = this.#adoption.then(() => this.#adoptAll(files));
    return this.#adoption;
  }

  async #adoptAll(files: readonly string[]): Promise<void> {
    const { hooks } = this.#options;
    for (const file of files) {
      if (this.stopped) return;
      hooks.phase({ kind: 'opening', file });
      const generation = await this.#generations.adopt(file);
      if (generation !== undefined) {
        hooks.phase({ kind: 'scanning', file });
        await this.#scan(generation);
      }
      hooks.phase(undefined);
    }
  }

  async #scan(generation: Generation): Promise<void> {
    try {
      await scanGeneration(generation, this);
    } catch (error) {
      // Its pages are in disorder: what was found is served, the file stays for salvage.
      generation.damaged++;
      this.#options.hooks.damaged({ file: generation.file, reason: describeError(error) });
    }
    this.sliceDone();
    // A scan that was stopped has not seen all: the file is for the next process, whatever the counts say.
    if (this.stopped) return;
    generation.scanning = false;
    this.#generations.retireIfEmpty(generation);
  }

  giveBackSpace(): void {
    this.#generations.giveBackSpace();
  }

  openFiles(): readonly string[] {
    return this.#generations.files;
  }

  get stopped(): boolean {
    return this.refusal !== undefined;
  }

  found(id: string, record: MessageRecord, generation: Generation): void {
    const known = this.#messages.index.get(id);
    if (known !== undefined && !this.#giveWay(known, record)) {
      generation.committer.remove({ id, chunks: record.chunks });
      return;
    }
    this.#messages.index.add(id, record, generation, false);
    for (const { route } of record.routes) this.#foundRoutes.add(route);
  }

  damaged(id: string, reason: string, generation: Generation): void {
    generation.damaged++;
    this.#options.hooks.damaged({ file: generation.file, id, reason });
  }

  sliceDone(): void {
    for (const route of this.#foundRoutes) this.onDue?.(route);
    this.#foundRoutes.clear();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // Sets #closing first: from here on nothing new begins.
    await Promise.resolve();
    for (const writer of this.#writers) writer.abort();
    await this.#adoption;
    await this.#generations.close();
  }

  /**
   * The same message in two files: a crash fell between its copy into a newer file and its removal from the old one.
   * The copy that saw more attempts stays. True: the known one was dropped.
   */
  #giveWay(known: Entry, record: MessageRecord): boolean {
    if (known.leased || known.writes > 0) return false;
    const before = this.#messages.readable(known);
    if (before === undefined) return true;
    if (attemptsOf(record) <= attemptsOf(before)) return false;
    this.#messages.remove(known);
    return true;
  }
}

function attemptsOf(record: MessageRecord): number {
  return record.routes.reduce((sum, progress) => sum + progress.attempts, 0);
}

export const openSpool: OpenSpool = async (options) =>
  new LmdbSpool(options, await Generations.open(options));
