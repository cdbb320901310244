/**
 * Messages on their way into the queue from an export: begun, written piece by piece, committed or dropped. Owns the
 * writers that are open and their bounds; what a stored envelope must look like is stored-envelope.ts. Called by
 * queue-calls.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { errorCodeOf, PosternError } from '../base/errors.js';
import type { RestoreWriter, Spool } from '../queue/spool.js';

// A few operators at once. What arrives is bounded by the budget of bytes in flight, which all mail shares.
const maxOpen = 16;
// Whoever imports has died or lost his way: pieces follow each other within milliseconds.
const defaultIdleMs = 60_000;

// A few commits on a slow disk; the primary waits 3 s.
const clearingMs = 2_000;
const clearingPollMs = 10;

interface OpenImport {
  readonly writer: RestoreWriter;
  readonly timer: NodeJS.Timeout;
  /** A write or commit is under way. */
  busy: boolean;
}

export class QueueImports {
  readonly #spool: Pick<Spool, 'restore' | 'show'>;
  readonly #idleMs: number;
  readonly #open = new Map<string, OpenImport>();

  constructor(spool: Pick<Spool, 'restore' | 'show'>, idleMs = defaultIdleMs) {
    this.#spool = spool;
    this.#idleMs = idleMs;
  }

  /** Begins again where one of this id was left open. @throws PosternError EXISTS, POOL_FULL */
  async begin(id: string): Promise<void> {
    this.drop(id);
    const writer = await this.#restore(id);
    if (this.#open.size >= maxOpen) {
      writer.abort();
      throw new PosternError('POOL_FULL', `${maxOpen} imports are under way here already; try again`);
    }
    const timer = setTimeout(() => this.#expire(id), this.#idleMs).unref();
    this.#open.set(id, { writer, timer, busy: false });
  }

  /** What was written of an earlier import is cleared away first: until then the queue says that the id exists. */
  async #restore(id: string): Promise<RestoreWriter> {
    const giveUpAtMs = performance.now() + clearingMs;
    for (;;) {
      try {
        return this.#spool.restore(id);
      } catch (error) {
        if (errorCodeOf(error) !== 'EXISTS' || this.#isStored(id)) throw error;
        if (performance.now() > giveUpAtMs)
          throw new PosternError('POOL_FULL', `an earlier import of ${id} is still cleared away; try again`);
        await sleep(clearingPollMs);
      }
    }
  }

  #isStored(id: string): boolean {
    try {
      this.#spool.show(id);
      return true;
    } catch (error) {
      if (errorCodeOf(error) === 'NOT_FOUND') return false;
      throw error;
    }
  }

  /**
   * Resolves when the next piece may come.
   * @param offset bytes written before
   * @throws PosternError NOT_FOUND, BAD_IMPORT
   */
  async write(id: string, offset: number, data: Buffer): Promise<void> {
    const open = this.#take(id);
    try {
      if (offset !== open.writer.bytes) throw this.#wrongLength(id, offset, open.writer.bytes);
      open.writer.write(data);
      await untilWritable(open.writer);
    } finally {
      this.#giveBack(id, open);
    }
  }

  /**
   * Resolves when the message is on disk. Whatever happens, the import is over.
   * @throws PosternError NOT_FOUND, BAD_IMPORT, SPOOL_COMMIT, SPOOL_CLOSED, EXISTS
   */
  async commit(id: string, bytes: number, envelope: unknown): Promise<void> {
    const { writer, timer } = this.#take(id);
    this.#open.delete(id);
    clearTimeout(timer);
    try {
      if (bytes !== writer.bytes) throw this.#wrongLength(id, bytes, writer.bytes);
      // Loaded when the first import comes: its schema library is a fifth of what a worker loads at its start.
      const { parseStoredEnvelope } = await import('./stored-envelope.js');
      await writer.commit(parseStoredEnvelope(id, envelope));
    } catch (error) {
      writer.abort();
      throw error;
    }
  }

  /** Nothing happens where none is open. */
  drop(id: string): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    this.#open.delete(id);
    clearTimeout(open.timer);
    open.writer.abort();
    // A write that waited for room waits no longer.
    open.writer.onWritable?.();
  }

  close(): void {
    for (const id of this.#open.keys()) this.drop(id);
  }

  #take(id: string): OpenImport {
    const open = this.#open.get(id);
    if (open === undefined)
      throw new PosternError('NOT_FOUND', `no import of ${id} is under way here; begin it again`);
    if (open.busy) throw new PosternError('BAD_IMPORT', `two calls at once for the import of ${id}`);
    open.busy = true;
    return open;
  }

  #giveBack(id: string, open: OpenImport): void {
    open.busy = false;
    // Unless it was dropped meanwhile, or begun again.
    if (this.#open.get(id) === open) open.timer.refresh();
  }

  /** A write that still waits for room is no sign of neglect. */
  #expire(id: string): void {
    const open = this.#open.get(id);
    if (open?.busy === true) open.timer.refresh();
    else this.drop(id);
  }

  #wrongLength(id: string, claimed: number, written: number): PosternError {
    return new PosternError(
      'BAD_IMPORT',
      `the import of ${id} has ${written} bytes here, not ${claimed}: a piece was lost or came twice`,
    );
  }
}

function untilWritable(writer: RestoreWriter): Promise<void> {
  if (!writer.congested) return Promise.resolve();
  return new Promise((resolve) => {
    writer.onWritable = () => {
      writer.onWritable = undefined;
      resolve();
    };
  });
}
