/**
 * Group commit for one queue file: one transaction at a time, and everything that was submitted while it ran shares
 * the next one. Nothing is in line behind a running commit inside lmdb-js, so after a failed one nothing more is
 * written (lmdb-js itself would go on, and even report success). Called by generation.ts alone.
 *
 * A full disk is no failure: the transaction was refused whole. New mail of it is refused as well, and what must not
 * be lost is tried again until it fits, in small pieces.
 */
import { PosternError, errorCodeOf } from '../base/errors.js';
import type { LmdbEnv } from './lmdb-env.js';
import { chunkKey, envelopeKey } from './keys.js';
import { FreeSpace, neededFreeBytes } from './transaction-room.js';

/** 'urgent': somebody waits for a reply. 'bulk': chunks of large messages, and what must come after them. */
export type Lane = 'urgent' | 'bulk';

export interface WriteJob {
  readonly bytes: number;
  /** Whole messages that this job makes durable: 0 or 1. */
  readonly messages: number;
  /** On a full disk: 'refuse' (new mail) what was not written yet, at once; 'try' it, and refuse it when there is no
   *  room; 'wait' until there is. Default: refuse. */
  readonly whenFull?: 'refuse' | 'try' | 'wait';
  /** Puts and removes; runs inside the transaction, must not throw. */
  write(env: LmdbEnv): void;
}

export interface Removal {
  readonly id: string;
  readonly chunks: number;
}

export interface CommitterHooks {
  committed(seconds: number, messages: number): void;
  failed(error: Error): void;
  /** Why no new mail is taken now. */
  refusal(): PosternError | undefined;
  /** The disk refused a commit for want of room; `refusal` says so from here on. True: some was given back.
   *  @param needed something that waits for room was in it */
  full(needed: boolean): boolean;
}

interface QueuedJob {
  readonly lane: Lane;
  readonly job: WriteJob;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

// LMDB keeps the dirty pages of a transaction in memory, and a reply waits for the whole of its transaction: 8 MiB
// of each lane are about 10 ms of writing on a disk that takes 1 GB/s.
const maxLaneBytes = 8 * 2 ** 20;
// Small transactions: lmdb-js has an open report of trouble with removals in large batches (#321).
const maxRemovedKeys = 256;
// A removal that is lost to a crash costs one duplicate, so it may wait for company, but not for long.
const removalDelayMs = 50;
// On a full disk: a transaction that may fit where one of the usual size does not, and when it is tried again.
const crampedBytes = 64 * 1024;
const crampedKeys = 16;
const roomRetryMs = 1_000;

/** Which keys a commit removes, and what is left of the list after it. */
interface RemovalPlan {
  readonly keys: readonly Buffer[];
  readonly finished: number;
  readonly removedKeys: number;
}

export class Committer {
  readonly #env: LmdbEnv;
  readonly #hooks: CommitterHooks;
  readonly #space: FreeSpace;
  readonly #lanes: Record<Lane, QueuedJob[]> = { urgent: [], bulk: [] };
  #removals: Removal[] = [];
  /** Chunks of removals[0] that are already gone. */
  #removedKeys = 0;
  #busy = false;
  #failure: Error | undefined;
  #removalTimer: NodeJS.Timeout | undefined;
  #idleWaiters: (() => void)[] = [];
  /** The last commit found the disk full. */
  #cramped = false;
  /** And nobody had room to give back. */
  #cornered = false;
  #roomTimer: NodeJS.Timeout | undefined;
  /** Nobody waits for room any more. */
  #closing = false;

  constructor(env: LmdbEnv, hooks: CommitterHooks) {
    this.#env = env;
    this.#hooks = hooks;
    this.#space = new FreeSpace(() => env.freeBytes);
  }

  /** Resolves when the job is on disk. @throws PosternError SPOOL_COMMIT, SPOOL_FULL */
  submit(lane: Lane, job: WriteJob): Promise<void> {
    const refusal = this.#failure ?? (mayTry(job) ? undefined : this.#hooks.refusal());
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      this.#lanes[lane].push({ lane, job, resolve, reject });
      this.#wake();
    });
  }

  /** Takes part in the next commit, or makes one of its own after a short while. */
  remove(removal: Removal): void {
    if (this.#failure !== undefined) return;
    this.#removals.push(removal);
    if (this.#removals.length >= maxRemovedKeys) this.#wake();
    else this.#removeLater();
  }

  /** A removal of this message is not committed yet: what was stored under its id now would go with it. */
  isRemoving(id: string): boolean {
    return this.#removals.some((removal) => removal.id === id);
  }

  get idle(): boolean {
    return !this.#busy && this.#removals.length + this.#lanes.urgent.length + this.#lanes.bulk.length === 0;
  }

  /** From now on what finds no room fails, also what waits for it already. */
  waitNoMore(): void {
    this.#closing = true;
    this.#stopWaiting();
  }

  /** Resolves when nothing is left to write; at once after a failure, and when there is no room for what is left. */
  async flush(): Promise<void> {
    this.waitNoMore();
    while (!this.idle && this.#failure === undefined) {
      const settled = new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
      this.#wake();
      await settled;
    }
  }

  /**
   * Everything that waits is refused, nothing is written any more. A commit under way ends as it will, and those who
   * wait for it are told how: refused now, a message of another file than the one that failed would be stored all the
   * same, and come twice when its sender tries again.
   */
  fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    clearTimeout(this.#removalTimer);
    clearTimeout(this.#roomTimer);
    const waiting = [...this.#lanes.urgent, ...this.#lanes.bulk];
    this.#lanes.urgent = [];
    this.#lanes.bulk = [];
    this.#removals = [];
    for (const { reject } of waiting) reject(error);
    this.#tellIdle();
  }

  /** The environment goes. What comes late is refused: written to a closed file it would pass for a failing disk. */
  close(): void {
    this.fail(new PosternError('SPOOL_CLOSED', 'the queue is closed'));
  }

  #wake(): void {
    if (this.#busy || this.#failure !== undefined || this.#roomTimer !== undefined) return;
    this.#busy = true;
    // At the end of this turn of the event loop: what other sockets finish in it shares the first commit.
    setImmediate(() => this.#commit());
  }

  #commit(): void {
    if (this.#failure !== undefined) return;
    clearTimeout(this.#removalTimer);
    this.#removalTimer = undefined;
    const removals = this.#planRemovals();
    // On a full disk by themselves and first: they are what makes room.
    const jobs = this.#cramped && removals.keys.length > 0 ? [] : this.#takeJobs();
    const startedAt = performance.now();
    const write = (): void => {
      for (const { job } of jobs) job.write(this.#env);
      for (const key of removals.keys) this.#env.remove(key);
    };
    const bytes = jobs.reduce((sum, { job }) => sum + job.bytes, 0);
    const full = this.#whyTooFull(jobs, bytes, removals.keys.length);
    if (full !== undefined) {
      this.#refused(jobs, removals, full);
      return;
    }
    this.#env.batch(write, bytes).then(
      () => this.#settle(jobs, removals, startedAt),
      (error: Error) => this.#refused(jobs, removals, error),
    );
  }

  /** What nothing else can make room for is tried all the same. */
  #whyTooFull(jobs: readonly QueuedJob[], bytes: number, removedKeys: number): PosternError | undefined {
    const drains = jobs.every(({ job }) => job.whenFull === 'wait');
    if (drains && this.#cornered) return undefined;
    const neededBytes = neededFreeBytes({ keys: jobs.length + removedKeys, bytes, drains });
    const freeBytes = this.#space.shortOf(neededBytes, performance.now());
    if (freeBytes === undefined) return undefined;
    return new PosternError('SPOOL_FULL', `${this.#env.file}: its disk has only ${freeBytes} bytes free`);
  }

  #removeLater(): void {
    this.#removalTimer ??= setTimeout(() => {
      // A commit that is under way looks again at its end.
      this.#removalTimer = undefined;
      this.#wake();
    }, removalDelayMs);
  }

  #takeJobs(): QueuedJob[] {
    const maxBytes = this.#cramped ? crampedBytes : maxLaneBytes;
    return [...takeBytes(this.#lanes.urgent, maxBytes), ...takeBytes(this.#lanes.bulk, maxBytes)];
  }

  #settle(jobs: readonly QueuedJob[], removals: RemovalPlan, startedAt: number): void {
    if (this.#failure !== undefined) {
      for (const { resolve } of jobs) resolve();
      return;
    }
    this.#busy = false;
    this.#cramped = false;
    this.#cornered = false;
    this.#removals.splice(0, removals.finished);
    this.#removedKeys = removals.removedKeys;
    const messages = jobs.reduce((sum, { job }) => sum + job.messages, 0);
    this.#hooks.committed((performance.now() - startedAt) / 1000, messages);
    for (const { resolve } of jobs) resolve();
    if (this.#lanes.urgent.length > 0 || this.#lanes.bulk.length > 0) this.#wake();
    else if (this.#removals.length > 0) this.#removeLater();
    this.#tellIdle();
  }

  #refused(jobs: readonly QueuedJob[], removals: RemovalPlan, error: Error): void {
    if (this.#failure !== undefined || errorCodeOf(error) !== 'SPOOL_FULL') {
      if (this.#failure === undefined) this.#hooks.failed(error);
      for (const { reject } of jobs) reject(this.#failure ?? error);
      return;
    }
    const waiting = [...jobs, ...this.#lanes.urgent, ...this.#lanes.bulk];
    const kept = waiting.filter(({ job }) => job.whenFull === 'wait');
    const needed = kept.length > 0 || removals.keys.length > 0;
    const helped = this.#hooks.full(needed);
    this.#busy = false;
    this.#cramped = true;
    this.#cornered = needed && !helped;
    this.#lanes.urgent = kept.filter(({ lane }) => lane === 'urgent');
    this.#lanes.bulk = kept.filter(({ lane }) => lane === 'bulk');
    // Those in the lanes too: an envelope must not follow where its chunks did not go.
    for (const { job, reject } of waiting) if (job.whenFull !== 'wait') reject(error);
    if (this.idle) this.#tellIdle();
    else if (helped) this.#wake();
    else if (this.#closing) this.fail(error);
    else this.#roomTimer = setTimeout(() => this.#stopWaiting(), roomRetryMs);
  }

  #stopWaiting(): void {
    clearTimeout(this.#roomTimer);
    this.#roomTimer = undefined;
    if (!this.idle) this.#wake();
  }

  #tellIdle(): void {
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) resolve();
  }

  /** Envelope first: chunks without one are swept up at the next adoption, an envelope without chunks is damage. */
  #planRemovals(): RemovalPlan {
    const maxKeys = this.#cramped ? crampedKeys : maxRemovedKeys;
    const keys: Buffer[] = [];
    let finished = 0;
    let removedKeys = this.#removedKeys;
    for (const { id, chunks } of this.#removals) {
      if (keys.length >= maxKeys) break;
      if (removedKeys === 0) keys.push(envelopeKey(id));
      const end = Math.min(chunks, removedKeys + maxKeys - keys.length);
      for (let index = removedKeys; index < end; index++) keys.push(chunkKey(id, index));
      removedKeys = end === chunks ? 0 : end;
      if (end < chunks) break;
      finished++;
    }
    return { keys, finished, removedKeys };
  }
}

function mayTry({ whenFull }: WriteJob): boolean {
  return whenFull === 'try' || whenFull === 'wait';
}

/** At least one job, then as many as fit. */
function takeBytes(lane: QueuedJob[], maxBytes: number): QueuedJob[] {
  let bytes = 0;
  let count = 0;
  for (const { job } of lane) {
    bytes += job.bytes;
    if (count > 0 && bytes > maxBytes) break;
    count++;
  }
  return lane.splice(0, count);
}
