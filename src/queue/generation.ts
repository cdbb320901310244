/**
 * One queue file while this process has it open: its environment, its group commit, and the counts that say when it
 * is empty and may go. A process writes new messages to its newest generation only; older and adopted ones drain.
 */
import { rm } from 'node:fs/promises';

import { PosternError, errorCodeOf } from '../base/errors.js';
import { lockFileOf } from '../base/spool-files.js';
import { Committer, type CommitterHooks } from './committer.js';
import { chunkKey, envelopeKey, envelopesAfter, formatKey } from './keys.js';
import { LmdbEnv, type StoredRecord } from './lmdb-env.js';

/** Of the file as a whole: what keys mean, and which kinds there are. Records have a version of their own. */
export const formatVersion = 1;
/** Of what a file took: below, what is left is cheaper to move than the disk it keeps. */
const worthKeepingShare = 0.25;
const formatMagic = 'postern-spool';

function formatRecord(): Buffer {
  return Buffer.from(`${formatMagic} ${formatVersion}`, 'latin1');
}

/** @throws PosternError SPOOL_FORMAT */
function checkFormat(file: string, record: Buffer | undefined): void {
  const [magic, version] = (record?.toString('latin1') ?? '').split(' ');
  if (magic !== formatMagic) throw new PosternError('SPOOL_FORMAT', `${file} is not a queue file of Postern`);
  if (!(Number(version) <= formatVersion))
    throw new PosternError(
      'SPOOL_FORMAT',
      `${file} has format ${version}; this Postern reads up to ${formatVersion}: start the newer version again, or let it drain the queue first`,
    );
}

/** What its commits report to, made when the generation is. */
export type MakeHooks = (generation: () => Generation) => CommitterHooks;

export class Generation {
  readonly file: string;
  /** Another process made it. */
  readonly adopted: boolean;
  readonly committer: Committer;
  readonly #env: LmdbEnv;
  /** Bytes given to this file so far; its size when another process made it. */
  takenBytes = 0;
  /** When it was full or taken over; monotonic. Until then it takes new messages. */
  olderSinceMs = Infinity;
  /** Messages of the index that lie here. */
  messages = 0;
  /** Of these messages. */
  messageBytes = 0;
  /** Messages on their way in that have chunks here. */
  writers = 0;
  /** Records that cannot be used; while there are any, the file stays. */
  damaged = 0;
  /** It is being scanned: its counts are not complete. */
  scanning = false;

  private constructor(env: LmdbEnv, adopted: boolean, hooks: MakeHooks) {
    this.file = env.file;
    this.adopted = adopted;
    this.#env = env;
    this.committer = new Committer(
      env,
      hooks(() => this),
    );
  }

  /** A new file, its format record on disk. The directory entry is the caller's to sync. */
  static async create(file: string, commitTimeoutMs: number, hooks: MakeHooks): Promise<Generation> {
    const env = new LmdbEnv(file, commitTimeoutMs);
    try {
      await env.batch(() => env.put(formatKey, formatRecord()));
    } catch (error) {
      // After a failed commit closing may wait for ever, and the process ends anyway.
      if (errorCodeOf(error) === 'SPOOL_FULL') await env.close();
      throw error;
    }
    return new Generation(env, false, hooks);
  }

  /** A file that a process left. @throws PosternError SPOOL_FORMAT; it is closed again and was not written */
  static async reopen(file: string, commitTimeoutMs: number, hooks: MakeHooks): Promise<Generation> {
    const env = new LmdbEnv(file, commitTimeoutMs);
    try {
      // No key at all: its process died before the format record was there, so nothing was ever queued in it.
      if (env.keys(Buffer.from([0]), Buffer.from([0xff]), 1).length > 0)
        checkFormat(file, env.get(formatKey));
    } catch (error) {
      await env.close();
      throw error;
    }
    return new Generation(env, true, hooks);
  }

  /** Nothing in it, nothing on its way into it, nothing to write. */
  get empty(): boolean {
    return this.#drained && this.damaged === 0;
  }

  /** Nothing is left in it but what cannot be used. */
  get spent(): boolean {
    return this.#drained && this.damaged > 0;
  }

  get #drained(): boolean {
    return this.messages + this.writers === 0 && !this.scanning && this.committer.idle;
  }

  /** A good part of what it took is still in it. */
  get isWorthKeeping(): boolean {
    return this.messageBytes > this.takenBytes * worthKeepingShare;
  }

  envelope(id: string): Buffer | undefined {
    return this.#env.get(envelopeKey(id));
  }

  chunk(id: string, index: number): Buffer | undefined {
    return this.#env.get(chunkKey(id, index));
  }

  /** Envelopes, chunks, and the one that says what the file is. */
  get recordCount(): number {
    return this.#env.recordCount;
  }

  keys(start: Buffer, end: Buffer, limit: number): string[] {
    return this.#env.keys(start, end, limit);
  }

  /**
   * Envelopes after that of `id` ('': from the first), in order; none only when there are no more.
   * @param read as LmdbEnv.records
   */
  envelopesAfter<T>(
    id: string,
    most: { readonly count: number; readonly bytes: number },
    read: (envelope: Buffer) => T,
  ): StoredRecord<T>[] {
    const { start, end } = envelopesAfter(id);
    return this.#env.records(start, end, most, read);
  }

  /** Waits for a running commit. */
  close(): Promise<void> {
    this.committer.close();
    return this.#env.close();
  }

  async closeAndUnlink(): Promise<void> {
    await this.close();
    await removeQueueFile(this.file);
  }
}

/** Its directory is not synced: an empty file that comes back after a power loss is adopted and goes again. */
export async function removeQueueFile(file: string): Promise<void> {
  await rm(file, { force: true });
  await rm(lockFileOf(file), { force: true });
}
