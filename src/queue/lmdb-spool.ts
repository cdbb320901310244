/**
 * The Spool over LMDB: wires writers, index and files together. Durability is committer.ts and lmdb-env.ts, what
 * happens to a message after its commit leases.ts and operator-calls.ts, files of others adoption.ts.
 * One object per worker process, called by the worker (begin, adopt, close), the relay (lease, settle) and the admin
 * calls.
 */
import assert from 'node:assert';

import { PosternError } from '../base/errors.js';
import { isQueueId, newQueueId } from '../base/ids.js';
import { Adoption, type AdoptionHost } from './adoption.js';
import { ByteBudget } from './byte-budget.js';
import type { Generation } from './generation.js';
import { Generations } from './generations.js';
import { Leases, type LeaseHost } from './leases.js';
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
import { Stragglers, type StragglerHost } from './stragglers.js';

class LmdbSpool implements Spool, WriterHost, AdoptionHost, LeaseHost, OperatorHost, StragglerHost {
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
  readonly #adoption: Adoption;
  readonly #stragglers: Stragglers;
  readonly #writers = new Set<SpoolWriter>();
  /** On their way back in. */
  readonly #restoring = new Set<string>();
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
    this.#adoption = new Adoption(this.#messages, generations, options.hooks, this);
    this.#stragglers = new Stragglers(this.#messages, generations, this, options.stragglerAfterMs);
  }

  // ---- messages on their way in ------------------------------------------------------------------------------

  begin(nowMs: number, shares?: readonly ByteBudget[]): MessageWriter {
    const writer = new NewMessageWriter(newQueueId(nowMs), this, shares);
    this.#writers.add(writer);
    return writer;
  }

  restore(id: string): RestoreWriter {
    if (!isQueueId(id)) throw new PosternError('BAD_IMPORT', `not a queue id: ${JSON.stringify(id)}`);
    if (this.#messages.index.get(id) !== undefined || this.#restoring.has(id))
      throw new PosternError('EXISTS', `message ${id} is in the queue already`);
    if (this.#generations.isRemoving(id))
      throw new PosternError('EXISTS', `message ${id} is still being removed from the queue`);
    const writer = new StoredMessageWriter(id, this);
    this.#writers.add(writer);
    this.#restoring.add(id);
    return writer;
  }

  get generation(): Generation {
    const { current } = this.#generations;
    assert(current !== undefined, 'nothing is refused, and no file takes messages');
    return current;
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
    this.#adoption.take(id, record, generation);
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

  // ---- files and the end -------------------------------------------------------------------------------------------

  adopt(files: readonly string[], blame: boolean): Promise<number> {
    return this.#adoption.adopt(files, blame);
  }

  damaged(id: string, reason: string, generation: Generation): void {
    generation.damaged++;
    this.#options.hooks.damaged({ file: generation.file, id, reason });
    // When the one that found it has taken note of it.
    setImmediate(() => this.#generations.retireIfEmpty(generation));
  }

  get stopped(): boolean {
    return this.#closing !== undefined || this.#generations.failure !== undefined;
  }

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
    this.#generations.waitNoMore();
    await this.#adoption.done;
    await this.#stragglers.close();
    await this.#generations.close();
  }
}

export const openSpool: OpenSpool = async (options) =>
  new LmdbSpool(options, await Generations.open(options));
