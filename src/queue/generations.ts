/**
 * The queue files that this process has open: which one takes new messages, when the next is begun, when an empty
 * one goes. It also is where a failed commit of any of them ends the writing of all. Messages are not its business.
 */
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { PosternError, describeError, errorCodeOf } from '../base/errors.js';
import { syncDirectory } from '../base/directory.js';
import { lockFileOf, slotDirectory, spoolFilePath } from '../base/spool-files.js';
import { isDenied, isNoSpace } from '../base/system-errors.js';
import type { CommitterHooks } from './committer.js';
import { DiskRoom } from './disk-room.js';
import { checkQueueFile, isDamage } from './file-check.js';
import { Generation, removeQueueFile } from './generation.js';
import type { SpoolOptions } from './spool.js';

// A fresh file has 128 KiB: below this, a new one would cost about what the old one gives back.
const worthwhileBytes = 2 ** 20;

export class Generations {
  readonly #options: SpoolOptions;
  readonly #open = new Set<Generation>();
  #current: Generation | undefined;
  #created = 0;
  #commits = 0;
  #failure: PosternError | undefined;
  #closing = false;
  #rotation: Promise<void> | undefined;
  readonly #retirements = new Set<Promise<void>>();
  readonly #room: DiskRoom;

  private constructor(options: SpoolOptions) {
    this.#options = options;
    this.#room = new DiskRoom(slotDirectory(options.directory, options.slot), {
      full: (full) => options.hooks.diskFull?.(full),
      stillFull: () => this.#giveWay(),
      roomAgain: () => this.#createIfNone(),
      reserveStuck: (error) => options.hooks.reserveStuck?.(describeError(error)),
    });
  }

  /** With one fresh file, or none while the disk is full. @throws PosternError DATA_DIR_UNUSABLE */
  static async open(options: SpoolOptions): Promise<Generations> {
    const generations = new Generations(options);
    const slot = slotDirectory(options.directory, options.slot);
    try {
      await mkdir(slot, { recursive: true, mode: 0o700 });
      if (await generations.#room.makeWayForFile()) generations.#current = await generations.#create();
      // The entries of the folders themselves; that of the file was synced as it was made.
      await syncDirectory(options.directory);
      await syncDirectory(dirname(options.directory));
    } catch (error) {
      throw unusable(slot, error);
    }
    generations.#room.begin();
    return generations;
  }

  /** The file that takes new messages; there is one while there is no `refusal`. */
  get current(): Generation | undefined {
    return this.#current;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Somewhere a message of this id is still to be removed. */
  isRemoving(id: string): boolean {
    for (const generation of this.#open) if (generation.committer.isRemoving(id)) return true;
    return false;
  }

  get files(): string[] {
    return Array.from(this.#open, (generation) => generation.file);
  }

  get commits(): number {
    return this.#commits;
  }

  /** The first failed commit; nothing is written any more. */
  get failure(): PosternError | undefined {
    return this.#failure;
  }

  /** Why no new mail is taken. */
  get refusal(): PosternError | undefined {
    return this.#failure ?? this.#room.full;
  }

  /**
   * Opens a file that another process left; undefined when it is gone or cannot be used (reported as damaged).
   * The caller scans it and clears `scanning`.
   */
  async adopt(file: string): Promise<Generation | undefined> {
    try {
      if (!(await exists(file))) return undefined;
      if ((await checkQueueFile(file)) === 'empty') {
        await removeQueueFile(file);
        this.#options.hooks.retired(file);
        return undefined;
      }
      if (!(await exists(lockFileOf(file)))) await this.#room.makeWayForFile();
      const generation = await Generation.reopen(file, this.#options.commitTimeoutMs, (of) =>
        this.#hooks(of),
      );
      generation.scanning = true;
      generation.takenBytes = (await stat(file)).size;
      generation.olderSinceMs = performance.now();
      this.#open.add(generation);
      return generation;
    } catch (error) {
      const reason = isDenied(error)
        ? `${describeError(error)}; make it readable and writable for the user that Postern runs as, and restart`
        : describeError(error);
      this.#options.hooks.damaged({ file, reason });
      if (isDamage(error)) this.#options.hooks.unusable?.({ file, reason });
      return undefined;
    }
  }

  /** Closes and unlinks it if nothing is in it and it is not the current one; where only damage is left, it is given up. */
  retireIfEmpty(generation: Generation): void {
    if (generation === this.#current || this.#closing || this.#failure !== undefined) return;
    if (generation.empty && this.#open.delete(generation)) this.#track(this.#retire(generation));
    if (generation.spent && this.#open.delete(generation)) this.#track(this.#giveUp(generation));
  }

  /** The oldest file that keeps much more of the disk than what is in it, for `afterMs` already; at once on a full disk. */
  straggling(afterMs: number): Generation | undefined {
    const sinceMs = this.#room.full === undefined ? performance.now() - afterMs : Infinity;
    if (this.#current === undefined) return undefined;
    for (const generation of this.#open)
      if (generation !== this.#current && generation.olderSinceMs < sinceMs && isStraggling(generation))
        return generation;
    return undefined;
  }

  /**
   * New messages go to a new file, so that the current one can be unlinked when it has drained: a file never shrinks,
   * and its free pages are of no use to a disk that is short. Not for a file that took next to nothing.
   */
  giveBackSpace(): void {
    if (this.#closing || this.#failure !== undefined) return;
    const full = this.#current;
    if (full !== undefined && full.takenBytes >= worthwhileBytes) this.#beginNext(full);
  }

  /** @param where the file whose commit failed */
  fail(error: Error, where?: Generation): void {
    if (this.#failure !== undefined) return;
    if (where?.adopted === true) this.#options.hooks.phase({ kind: 'draining', file: where.file });
    this.#failure =
      error instanceof PosternError && error.code === 'SPOOL_COMMIT'
        ? error
        : new PosternError('SPOOL_COMMIT', describeError(error), error);
    for (const generation of this.#open) generation.committer.fail(this.#failure);
    this.#options.hooks.failed(this.#failure);
  }

  /** The end is near: what would wait for room fails where there is none. */
  waitNoMore(): void {
    for (const { committer } of this.#open) committer.waitNoMore();
  }

  /** Writes what is still to be written and closes; after a failure it leaves the files alone, closing could hang. */
  async close(): Promise<void> {
    await this.#room.close();
    await this.#rotation;
    for (const generation of this.#open) await generation.committer.flush();
    this.#closing = true;
    await Promise.all(this.#retirements);
    if (this.#failure !== undefined) return;
    for (const generation of this.#open) {
      if (generation.empty) await this.#retire(generation);
      else await generation.close();
    }
    this.#open.clear();
  }

  async #create(): Promise<Generation> {
    const { directory, slot, incarnation, commitTimeoutMs } = this.#options;
    const file = spoolFilePath(directory, slot, incarnation, this.#created++);
    if (await exists(file)) throw new Error(`${file} is there already, of an earlier process`);
    try {
      const generation = await Generation.create(file, commitTimeoutMs, (of) => this.#hooks(of));
      // LMDB does not do it, and without it a power loss takes the whole file.
      await syncDirectory(dirname(file));
      this.#open.add(generation);
      return generation;
    } catch (error) {
      await removeQueueFile(file);
      throw error;
    }
  }

  /**
   * A file that fills the disk and has mostly drained makes way for a fresh one, if need be in place of the reserve;
   * one that has drained altogether makes way for nothing.
   */
  async #giveWay(): Promise<void> {
    const full = this.#current;
    if (full === undefined || full.takenBytes < worthwhileBytes || full.isWorthKeeping) return;
    if (full.empty) this.#current = undefined;
    else if (await this.#room.makeWayForFile()) this.#beginNext(full);
    this.retireIfEmpty(full);
  }

  /** There was no room for one. False: there is none yet. */
  async #createIfNone(): Promise<boolean> {
    try {
      this.#current ??= await this.#create();
      return true;
    } catch (error) {
      if (!isNoSpace(error)) this.#noNewFile(error);
      return false;
    }
  }

  #noNewFile(error: unknown): void {
    // No new file, no new messages: the same end as a commit that the disk refused.
    this.fail(new PosternError('SPOOL_COMMIT', `no new queue file: ${describeError(error)}`, error));
  }

  #hooks(of: () => Generation): CommitterHooks {
    return {
      failed: (error) => this.fail(error, of()),
      committed: (seconds, messages) => {
        this.#commits++;
        this.#options.hooks.commit({ seconds, messages });
        const generation = of();
        if (generation === this.#current) this.#rotateIfFull(generation);
        // When those who waited for this commit have taken note of it.
        else setImmediate(() => this.retireIfEmpty(generation));
      },
      refusal: () => this.refusal,
      full: (needed) => this.#ranFull(needed),
    };
  }

  #ranFull(needed: boolean): boolean {
    this.#room.ranFull();
    // For new mail alone the reserve stays: it is to be there when what was accepted has to go.
    if (!needed || !this.#room.giveBackReserve()) return false;
    this.giveBackSpace();
    return true;
  }

  #rotateIfFull(generation: Generation): void {
    if (generation.takenBytes >= this.#options.generationBytes) this.#beginNext(generation);
  }

  #beginNext(generation: Generation): void {
    if (this.#rotation !== undefined) return;
    this.#rotation = this.#rotate(generation).finally(() => {
      this.#rotation = undefined;
    });
  }

  /** The full file takes messages until the next one is ready. */
  async #rotate(full: Generation): Promise<void> {
    try {
      if (!(await this.#room.fitsNewFile())) return;
      this.#current = await this.#create();
      full.olderSinceMs = performance.now();
      this.retireIfEmpty(full);
    } catch (error) {
      if (isNoSpace(error)) this.#room.ranFull();
      else this.#noNewFile(error);
    }
  }

  #track(retirement: Promise<void>): void {
    const tracked = retirement
      .catch((error: unknown) => this.fail(error instanceof Error ? error : new Error(String(error))))
      .finally(() => this.#retirements.delete(tracked));
    this.#retirements.add(tracked);
  }

  async #giveUp(generation: Generation): Promise<void> {
    await generation.close();
    const reason = 'all else in it has drained; what is left is damaged';
    this.#options.hooks.unusable?.({ file: generation.file, reason });
  }

  async #retire(generation: Generation): Promise<void> {
    await generation.closeAndUnlink();
    this.#options.hooks.retired(generation.file);
  }
}

/** One with damage in it stays in any case. */
function isStraggling(generation: Generation): boolean {
  const { messages, damaged, scanning, isWorthKeeping } = generation;
  return messages > 0 && damaged === 0 && !scanning && !isWorthKeeping;
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

function unusable(directory: string, error: unknown): PosternError {
  return new PosternError(
    'DATA_DIR_UNUSABLE',
    `the queue folder ${directory} cannot be used: ${describeError(error)}; make it writable for the user that Postern runs as, with free space, or set dataDir to one that is`,
    error,
  );
}
