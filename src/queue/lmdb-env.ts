/**
 * One LMDB environment file, and the only place that imports lmdb. It owns the options that make a resolved promise
 * mean "on disk" (reference: lmdb-js 3.5.6, write.js and writer.cpp), the watchdog over a commit that never returns,
 * and the clean-up that lmdb-js leaves undone. It knows nothing of messages. One batch at a time: the caller
 * (committer) starts the next only when the last has settled.
 */
import { constants } from 'node:os';
import { basename, dirname, extname } from 'node:path';

import * as lmdb from 'lmdb';

import { PosternError, describeError } from '../base/errors.js';
import { isEnvironmentPanic, isNoSpace } from '../base/system-errors.js';
import { freeBytesAt, freeBytesNow } from './disk-room.js';

/** A key as it lies in the file, and what was read of its value. */
export interface StoredRecord<T> {
  readonly key: Buffer;
  readonly value: T;
}

// Of a batch beyond its values: the pages of the trees and of the free list.
const shortWriteSlackBytes = 2 ** 20;

// One writer process and its own short reads: few reader slots are ever used.
const maxReaders = 64;

/**
 * Waits for a commit that nobody else waits for. The error of a failed one carries a second promise, which rejects
 * too; unhandled, either would end the process.
 */
async function quiet(commit: Promise<unknown>): Promise<void> {
  try {
    await commit;
  } catch (error) {
    if (error instanceof Error && 'commitError' in error && error.commitError instanceof Promise)
      await quiet(error.commitError);
  }
}

function asIs(value: Buffer): Buffer {
  return value;
}

export class LmdbEnv {
  readonly file: string;
  readonly #db: lmdb.RootDatabase<Buffer, Buffer>;
  readonly #commitTimeoutMs: number;
  /** What `records` makes of a value. */
  #decode: (value: Buffer) => unknown = asIs;
  #closed = false;

  /** Opens or creates. Synchronous: creating writes and syncs two meta pages. @throws Error as lmdb gives it */
  constructor(file: string, commitTimeoutMs: number) {
    this.file = file;
    this.#commitTimeoutMs = commitTimeoutMs;
    this.#db = lmdb.open<Buffer, Buffer>({
      path: file,
      noSubdir: true,
      encoding: 'binary',
      keyEncoding: 'binary',
      // A walk gives each value to the decoder where lmdb-js has put it, and makes no copy. `length` is of the value; the
      // memory under it is larger.
      encoder: {
        encode: asIs,
        decode: (value: Buffer) => this.#decode(value.subarray(0, value.length)),
      },
      // Page writes, fdatasync, the meta page through an O_DSYNC descriptor, and only then the promise. With overlap
      // (the default) readers see a commit before it is durable, and a failed meta write counts as success.
      overlappingSync: false,
      eventTurnBatching: true,
      commitDelay: 0,
      maxReaders,
    });
  }

  /**
   * A copy of the value; valid for ever. Reads see every batch whose promise has resolved.
   * @throws PosternError SPOOL_CORRUPT (also keys) when LMDB finds its pages in disorder, SPOOL_CLOSED after close and after
   * some failed commits
   */
  get(key: Buffer): Buffer | undefined {
    return this.#read(() => {
      const value = this.#db.getBinary(key);
      return value === undefined ? undefined : Buffer.from(value.buffer, value.byteOffset, value.length);
    });
  }

  /** Up to `limit` keys in [start, end), in order, as latin1 text. The cursor ends before this returns. */
  keys(start: Buffer, end: Buffer, limit: number): string[] {
    return this.#read(() =>
      Array.from(this.#db.getKeys({ start, end, limit, snapshot: false }), (key) => key.toString('latin1')),
    );
  }

  /**
   * The first records with keys in [start, end), in order: as many as `most` allows, and at least one. The cursor ends
   * before this returns.
   * @param read gets bytes that are overwritten as soon as it returns
   */
  records<T>(
    start: Buffer,
    end: Buffer,
    most: { readonly count: number; readonly bytes: number },
    read: (value: Buffer) => T,
  ): StoredRecord<T>[] {
    return this.#read(() => {
      let bytes = 0;
      this.#decode = (value) => {
        bytes += value.length;
        return read(value);
      };
      try {
        const found: StoredRecord<T>[] = [];
        const range: Iterable<unknown> = this.#db.getRange({
          start,
          end,
          limit: most.count,
          snapshot: false,
        });
        // oxlint-disable-next-line no-unsafe-type-assertion -- the values are what the decoder returned
        for (const record of range as Iterable<StoredRecord<T>>) {
          found.push(record);
          if (bytes >= most.bytes) break;
        }
        return found;
      } finally {
        this.#decode = asIs;
      }
    });
  }

  /** Of all kinds; LMDB keeps it, nothing is walked. */
  get recordCount(): number {
    return this.#read(() => {
      const stats: { entryCount?: unknown } = this.#db.getStats();
      return Number(stats.entryCount);
    });
  }

  /** On its file system, for us; undefined where that does not say. */
  get freeBytes(): number | undefined {
    return freeBytesNow(dirname(this.file));
  }

  /** Only inside `batch`. The value's bytes are read by another thread until the batch settles: leave them alone. */
  put(key: Buffer, value: Buffer): void {
    void this.#db.put(key, value);
  }

  /** Only inside `batch`. A missing key is fine. */
  remove(key: Buffer): void {
    void this.#db.remove(key);
  }

  /**
   * One transaction, all or nothing. Resolves when it is on disk.
   * @param bytes about how many it writes
   * @throws PosternError SPOOL_FULL: the disk has no room for it, and nothing of it was done; the environment is as it
   * was before. SPOOL_COMMIT: refused, or overdue; the environment must not be written again
   */
  async batch(write: () => void, bytes = 0): Promise<void> {
    try {
      // Only the outer promise means anything: a put inside a batch returns a constant.
      const outer = this.#db.batch(write);
      void quiet(outer);
      // At the end of the turn lmdb-js makes one more promise for the same commit and gives it to nobody.
      setImmediate(() => void quiet(this.#db.committed));
      const committed: unknown = await this.#inTime(outer);
      if (committed !== true) throw new Error('the batch was not applied');
    } catch (error) {
      const cause = await this.#causeOf(error);
      const code = (await this.#isFull(cause, bytes)) ? 'SPOOL_FULL' : 'SPOOL_COMMIT';
      throw new PosternError(code, `${this.file}: ${describeError(cause)}`, cause);
    }
  }

  /** What a failed commit failed of comes as the rejection of a second promise. */
  async #causeOf(error: unknown): Promise<unknown> {
    if (!(error instanceof Error && 'commitError' in error && error.commitError instanceof Promise))
      return error;
    try {
      await this.#inTime(error.commitError);
      return error;
    } catch (cause) {
      return cause;
    }
  }

  /**
   * LMDB aborts a transaction whose page writes fail; its pages are part of no tree, so the file is as it was. Measured
   * on full file systems: ENOSPC when not a byte fits, EIO ("short write") when some do. What else gives EIO says so
   * with room left.
   */
  async #isFull(cause: unknown, bytes: number): Promise<boolean> {
    if (isNoSpace(cause)) return true;
    if (!(cause instanceof Error && 'code' in cause && cause.code === constants.errno.EIO)) return false;
    const freeBytes = await freeBytesAt(dirname(this.file));
    return freeBytes !== undefined && freeBytes < bytes + shortWriteSlackBytes;
  }

  #read<T>(read: () => T): T {
    if (this.#closed) throw new PosternError('SPOOL_CLOSED', 'the queue is closed');
    try {
      return read();
    } catch (error) {
      // After a panic the file is sound, and the process about to end.
      const code = isEnvironmentPanic(error) ? 'SPOOL_CLOSED' : 'SPOOL_CORRUPT';
      throw new PosternError(code, `${this.file}: ${describeError(error)}`, error);
    }
  }

  /** A failed meta write leaves lmdb-js waiting for ever, and so may a disk. */
  async #inTime(commit: Promise<unknown>): Promise<unknown> {
    let timer: NodeJS.Timeout | undefined;
    const overdue = new Promise((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error(`no answer in ${this.#commitTimeoutMs} ms`)),
        this.#commitTimeoutMs,
      );
    });
    try {
      return await Promise.race([commit, overdue]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits for a running commit. Not to be called after a failed one: it may wait for ever. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#db.close();
    // lmdb-js keeps every store it ever opened in this map, closed ones too: 2000 rotations grew RSS to 227 MB.
    // (The map is exported, but not in the package's types.)
    const stores: unknown = Reflect.get(lmdb, 'allDbs');
    if (stores instanceof Map) stores.delete(basename(this.file, extname(this.file)));
  }
}
