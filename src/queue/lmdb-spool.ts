/**
 * The Spool over LMDB: wires writers, index and files together. Durability is committer.ts and lmdb-env.ts, what
 * happens to a message after its commit leases.ts and operator-calls.ts; here is what is stored, adopted and closed.
 * One object per worker process, called by the worker (begin, adopt, close), the relay (lease, settle) and the admin
 * calls.
 */
import { PosternError, describeError } from '../base/errors.js';
import { isQueueId, newQueueId } from '../base/ids.js';
import { scanGeneration, type AdoptionHost } from './adoption.js';
import { ByteBudget } from './byte-budget.js';
import type { Generation } from './generation.js';
import { Generations } from './generations.js';
import { Leases, type LeaseHost } from './leases.js';
import type { Entry } from './message-index.js';
import {
  NewMessageWriter,
  StoredMessageWriter,
  type SpoolWriter,
  type WriterHost,
} from './message-writer.js';
import { Messages } from './messages.js';
import { OperatorCalls, type OperatorHost } from './operator-calls.js';
import { QueueWalk } from './queue-walk.js';
import type { MessageRecord } from './record.js';
import type {
  AttemptNote,
  Lease,
  MessageWriter,
  OpenSpool,
  QueueFilter,
  QueueShape,
  QueuedMessage,
  RecipientResult,
  RestoreWriter,
  Spool,
  SpoolOptions,
  SpoolStats,
} from './spool.js';
import { forgive, parkPoison } from './transitions.js';

class LmdbSpool implements Spool, WriterHost, AdoptionHost, LeaseHost, OperatorHost {
  onDue: ((route: string) => void) | undefined = undefined;
  onRetry: ((route: string) => void) | undefined = undefined;
  readonly budget: ByteBudget;
  readonly smallMessageBytes: number;
  readonly #options: SpoolOptions;
  readonly #generations: Generations;
  readonly #messages: Messages;
  readonly #leases: Leases;
  readonly #calls: OperatorCalls;
  readonly #walk: QueueWalk;
  readonly #writers = new Set<SpoolWriter>();
  /** On their way back in. */
  readonly #restoring = new Set<string>();
  #adoption: Promise<void> = Promise.resolve();
  /** The process whose files are being scanned fell by something that a message may have caused. */
  #blame = false;
  /** Destinations that the slice being scanned found messages for. */
  #foundRoutes = new Set<string>();
  /** Messages that the scan parked, on their way to disk. */
  #parked: Promise<void>[] = [];
  #closing: Promise<void> | undefined = undefined;

  constructor(options: SpoolOptions, generations: Generations) {
    this.#options = options;
    this.#generations = generations;
    this.budget = new ByteBudget(options.bytesInFlight);
    this.smallMessageBytes = options.smallMessageBytes;
    this.#messages = new Messages((entry, reason) => this.damaged(entry.id, reason, entry.generation));
    this.#leases = new Leases(this.#messages, this);
    this.#calls = new OperatorCalls(this.#messages, this);
    this.#walk = new QueueWalk(this.#messages);
  }

  // ---- messages on their way in ------------------------------------------------------------------------------

  begin(nowMs: number): MessageWriter {
    const writer = new NewMessageWriter(newQueueId(nowMs), this);
    this.#writers.add(writer);
    return writer;
  }

  restore(id: string): RestoreWriter {
    if (!isQueueId(id)) throw new PosternError('BAD_IMPORT', `not a queue id: ${JSON.stringify(id)}`);
    if (this.#messages.index.get(id) !== undefined || this.#restoring.has(id))
      throw new PosternError('EXISTS', `message ${id} is in the queue already`);
    const writer = new StoredMessageWriter(id, this);
    this.#writers.add(writer);
    this.#restoring.add(id);
    return writer;
  }

  get generation(): Generation {
    return this.#generations.current;
  }

  get refusal(): PosternError | undefined {
    if (this.#closing !== undefined) return new PosternError('SPOOL_CLOSED', 'the queue is closed');
    return this.#generations.refusal;
  }

  stored(id: string, record: MessageRecord, generation: Generation): void {
    const entry = this.#messages.index.add(id, record, generation, true);
    this.#messages.index.keepRecent(entry, record);
    for (const { route } of record.routes) this.onDue?.(route);
  }

  restored(id: string, record: MessageRecord, generation: Generation): void {
    // A scan may have found it in an old file in the meantime.
    this.#take(id, record, generation);
    for (const { route } of record.routes) this.onDue?.(route);
  }

  ended(writer: SpoolWriter, generation: Generation | undefined): void {
    this.#writers.delete(writer);
    this.#restoring.delete(writer.id);
    if (generation !== undefined) this.#generations.retireIfEmpty(generation);
  }

  // ---- the relay -------------------------------------------------------------------------------------------------

  lease(route: string, nowMs: number, limit: number): Promise<Lease[]> {
    return this.#leases.lease(route, nowMs, limit);
  }

  due(): ReadonlyMap<string, { readonly earliestAtMs: number; readonly count: number }> {
    return this.#messages.index.due;
  }

  settle(
    lease: Lease,
    results: readonly RecipientResult[],
    nextAttemptAtMs: number,
    note?: AttemptNote,
  ): Promise<void> {
    return this.#leases.settle(lease, results, nextAttemptAtMs, note);
  }

  unlease(lease: Lease): void {
    this.#leases.unlease(lease);
  }

  get leased(): number {
    return this.#messages.index.leased;
  }

  // ---- the operator ----------------------------------------------------------------------------------------------

  list(
    filter: QueueFilter,
    page: { readonly offset: number; readonly limit: number },
  ): Promise<{ readonly total: number; readonly messages: readonly QueuedMessage[] }> {
    return this.#walk.list(filter, page);
  }

  select(filter: QueueFilter): Promise<readonly string[]> {
    return this.#walk.select(filter);
  }

  shape(nowMs: number): Promise<QueueShape> {
    return this.#walk.shape(nowMs);
  }

  show(id: string): QueuedMessage {
    return this.#calls.show(id);
  }

  read(id: string, offset: number, limitBytes: number): Promise<Buffer> {
    return this.#calls.read(id, offset, limitBytes);
  }

  hold(id: string): Promise<void> {
    return this.#calls.hold(id);
  }

  release(id: string): Promise<void> {
    return this.#calls.release(id);
  }

  retry(id: string): Promise<void> {
    return this.#calls.retry(id);
  }

  delete(id: string): Promise<void> {
    return this.#calls.delete(id);
  }

  stats(): SpoolStats {
    const { index } = this.#messages;
    return {
      messages: { ...index.counts },
      bytes: index.bytes,
      bytesInFlight: this.budget.usedBytes,
      oldestArrivedAtMs: index.oldestArrivedAtMs,
      commits: this.#generations.commits,
      files: this.#generations.size,
    };
  }

  // ---- adoption ----------------------------------------------------------------------------------------------------

  adopt(files: readonly string[], blame: boolean): Promise<void> {
    // One after the other: a death is blamed on the one file that is being opened or scanned.
    this.#adoption = this.#adoption.then(() => this.#adoptAll(files, blame));
    return this.#adoption;
  }

  async #adoptAll(files: readonly string[], blame: boolean): Promise<void> {
    const { hooks } = this.#options;
    this.#blame = blame;
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
    await Promise.allSettled(this.#parked.splice(0));
    // A scan that was stopped has not seen all: the file is for the next process, whatever the counts say.
    if (this.stopped) return;
    generation.scanning = false;
    this.#generations.retireIfEmpty(generation);
  }

  get stopped(): boolean {
    return this.#closing !== undefined || this.#generations.failure !== undefined;
  }

  found(id: string, record: MessageRecord, generation: Generation): void {
    const known = this.#blame ? record : forgive(record);
    const entry = this.#take(id, known, generation);
    if (entry === undefined) return;
    entry.forgiven = known !== record;
    const parked = this.#blame ? parkPoison(record) : undefined;
    if (parked === undefined) for (const { route } of record.routes) this.#foundRoutes.add(route);
    else this.#parked.push(this.#park(entry, parked));
  }

  async #park(entry: Entry, record: MessageRecord): Promise<void> {
    await this.#messages.write(entry, record);
    this.#options.hooks.parked?.({ id: entry.id, reason: record.parked });
  }

  damaged(id: string, reason: string, generation: Generation): void {
    generation.damaged++;
    this.#options.hooks.damaged({ file: generation.file, id, reason });
    // When the one that found it has taken note of it.
    setImmediate(() => this.#generations.retireIfEmpty(generation));
  }

  sliceDone(): void {
    for (const route of this.#foundRoutes) this.onDue?.(route);
    this.#foundRoutes.clear();
  }

  /** Into the index, unless it is known already and the known copy is the newer: then this one goes. */
  #take(id: string, record: MessageRecord, generation: Generation): Entry | undefined {
    const known = this.#messages.index.get(id);
    if (known !== undefined && !this.#giveWay(known, record)) {
      generation.committer.remove({ id, chunks: record.chunks });
      return undefined;
    }
    return this.#messages.index.add(id, record, generation, false);
  }

  /**
   * The same message in two files: a crash fell between its copy into a newer file and its removal from the old one.
   * The copy that was moved more often stays, of two alike the one that saw more attempts. True: the known one was
   * dropped.
   */
  #giveWay(known: Entry, record: MessageRecord): boolean {
    if (known.slots.some(({ leased }) => leased) || known.writes > 0 || known.move !== undefined)
      return false;
    const before = this.#messages.readable(known);
    if (before === undefined) return true;
    if (record.moves < before.moves) return false;
    if (record.moves === before.moves && attemptsOf(record) <= attemptsOf(before)) return false;
    this.#messages.remove(known);
    return true;
  }

  // ---- files and the end -------------------------------------------------------------------------------------------

  giveBackSpace(): void {
    this.#generations.giveBackSpace();
  }

  openFiles(): readonly string[] {
    return this.#generations.files;
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
}

function attemptsOf(record: MessageRecord): number {
  return record.routes.reduce((sum, progress) => sum + progress.attempts, 0);
}

export const openSpool: OpenSpool = async (options) =>
  new LmdbSpool(options, await Generations.open(options));
