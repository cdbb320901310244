/**
 * Group commit for one queue file: one transaction at a time, and everything that was submitted while it ran shares
 * the next one. Nothing is in line behind a running commit inside lmdb-js, so after a failed one nothing more is
 * written (lmdb-js itself would go on, and even report success). Called by generation.ts alone.
 */
import { PosternError } from '../base/errors.js';
import type { LmdbEnv } from './lmdb-env.js';
import { chunkKey, envelopeKey } from './keys.js';

/** 'urgent': somebody waits for a reply. 'bulk': chunks of large messages, and what must come after them. */
export type Lane = 'urgent' | 'bulk';

export interface WriteJob {
  readonly bytes: number;
  /** Whole messages that this job makes durable: 0 or 1. */
  readonly messages: number;
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
}

interface QueuedJob {
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

export class Committer {
  readonly #env: LmdbEnv;
  readonly #hooks: CommitterHooks;
  readonly #lanes: Record<Lane, QueuedJob[]> = { urgent: [], bulk: [] };
  #running: QueuedJob[] = [];
  #removals: Removal[] = [];
  /** Chunks of removals[0] that are already gone. */
  #removedKeys = 0;
  #busy = false;
  #failure: Error | undefined;
  #removalTimer: NodeJS.Timeout | undefined;
  #idleWaiters: (() => void)[] = [];

  constructor(env: LmdbEnv, hooks: CommitterHooks) {
    this.#env = env;
    this.#hooks = hooks;
  }

  /** Resolves when the job is on disk. @throws PosternError SPOOL_COMMIT */
  submit(lane: Lane, job: WriteJob): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#lanes[lane].push({ job, resolve, reject });
      this.#wake();
    });
  }

  /** Takes part in the next commit, or makes one of its own after a short while. */
  remove(removal: Removal): void {
    if (this.#failure !== undefined) return;
    this.#removals.push(removal);
    if (this.#removals.length >= maxRemovedKeys) this.#wake();
    else this.#removalTimer ??= setTimeout(() => this.#wake(), removalDelayMs);
  }

  get idle(): boolean {
    return !this.#busy && this.#removals.length + this.#lanes.urgent.length + this.#lanes.bulk.length === 0;
  }

  /** Resolves when nothing is left to write; at once after a failure. */
  async flush(): Promise<void> {
    while (!this.idle && this.#failure === undefined) {
      const settled = new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
      this.#wake();
      await settled;
    }
  }

  /** Everything that waits is refused, nothing is written any more. */
  fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    clearTimeout(this.#removalTimer);
    const waiting = [...this.#running, ...this.#lanes.urgent, ...this.#lanes.bulk];
    this.#lanes.urgent = [];
    this.#lanes.bulk = [];
    this.#running = [];
    this.#removals = [];
    for (const { reject } of waiting) reject(error);
    this.#tellIdle();
  }

  /** The environment goes. What comes late is refused: written to a closed file it would pass for a failing disk. */
  close(): void {
    this.fail(new PosternError('SPOOL_CLOSED', 'the queue is closed'));
  }

  #wake(): void {
    if (this.#busy || this.#failure !== undefined) return;
    this.#busy = true;
    // At the end of this turn of the event loop: what other sockets finish in it shares the first commit.
    setImmediate(() => this.#commit());
  }

  #commit(): void {
    if (this.#failure !== undefined) return;
    clearTimeout(this.#removalTimer);
    this.#removalTimer = undefined;
    const jobs = [...takeBytes(this.#lanes.urgent), ...takeBytes(this.#lanes.bulk)];
    this.#running = jobs;
    const startedAt = performance.now();
    this.#env
      .batch(() => {
        for (const { job } of jobs) job.write(this.#env);
        // Last, and only with no update left behind in the lane that would bring an envelope back.
        if (this.#lanes.urgent.length === 0) this.#removeSome();
      })
      .then(
        () => this.#settle(jobs, startedAt),
        (error: Error) => this.#hooks.failed(error),
      );
  }

  #settle(jobs: readonly QueuedJob[], startedAt: number): void {
    if (this.#failure !== undefined) return;
    this.#running = [];
    this.#busy = false;
    const messages = jobs.reduce((sum, { job }) => sum + job.messages, 0);
    this.#hooks.committed((performance.now() - startedAt) / 1000, messages);
    for (const { resolve } of jobs) resolve();
    if (this.#lanes.urgent.length > 0 || this.#lanes.bulk.length > 0) this.#wake();
    else if (this.#removals.length > 0) this.#removalTimer ??= setTimeout(() => this.#wake(), removalDelayMs);
    this.#tellIdle();
  }

  #tellIdle(): void {
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) resolve();
  }

  /** Envelope first: chunks without one are swept up at the next adoption, an envelope without chunks is damage. */
  #removeSome(): void {
    let keys = 0;
    let finished = 0;
    for (const { id, chunks } of this.#removals) {
      if (keys >= maxRemovedKeys) break;
      if (this.#removedKeys === 0) this.#env.remove(envelopeKey(id));
      const end = Math.min(chunks, this.#removedKeys + maxRemovedKeys - keys);
      for (let index = this.#removedKeys; index < end; index++) this.#env.remove(chunkKey(id, index));
      keys += 1 + end - this.#removedKeys;
      this.#removedKeys = end === chunks ? 0 : end;
      if (end < chunks) break;
      finished++;
    }
    this.#removals.splice(0, finished);
  }
}

/** At least one job, then as many as fit. */
function takeBytes(lane: QueuedJob[]): QueuedJob[] {
  let bytes = 0;
  let count = 0;
  for (const { job } of lane) {
    bytes += job.bytes;
    if (count > 0 && bytes > maxLaneBytes) break;
    count++;
  }
  return lane.splice(0, count);
}
