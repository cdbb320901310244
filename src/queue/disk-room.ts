/**
 * The end of the disk: whether it is reached, and a reserve that is kept for it, so that the queue can always be
 * drained. Removing a message needs pages before it frees any, and a file gives its space back only as a whole, to
 * which a fresh one must take its place. Owned by generations.ts; how a commit is refused is committer.ts.
 */
import { randomFill } from 'node:crypto';
import { rmSync, statfsSync } from 'node:fs';
import { mkdir, open, rm, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

import { PosternError, errorCodeOf } from '../base/errors.js';
import { reserveFileOf } from '../base/spool-files.js';

/** A transaction of removals has 1 to 2 MiB of pages at most, a fresh file 136 KiB with its lock; twice over. */
const reserveBytes = 4 * 2 ** 20;
/** What a fresh queue file must find free. Where LMDB's lock file finds none, the process ends in SIGBUS. */
const newFileBytes = 2 ** 20;
// The reserve is made only of plenty, and what is left takes mail again.
const roomAgainBytes = 2 * reserveBytes;
const lookMs = 1_000;
const pieceBytes = 2 ** 18;

const randomBytes = promisify<Buffer, Buffer>(randomFill);

export interface RoomHooks {
  /** True: no room for new mail. */
  full(full: boolean): void;
  /** Still full, a second later: what can be given back has to be. */
  stillFull(): Promise<void>;
  /** There is room: what could not be made without is made now. False: not enough after all. */
  roomAgain(): Promise<boolean>;
  /** The reserve can be neither made nor freed; told once. All goes on without it: the disk is judged by the commits. */
  reserveStuck(error: unknown): void;
}

/** Undefined where the file system does not say. */
export async function freeBytesAt(directory: string): Promise<number | undefined> {
  try {
    const disk = await statfs(directory);
    return disk.bavail * disk.bsize;
  } catch {
    return undefined;
  }
}

/** The same in this turn, for one who is about to write. */
export function freeBytesNow(directory: string): number | undefined {
  try {
    const disk = statfsSync(directory);
    return disk.bavail * disk.bsize;
  } catch {
    return undefined;
  }
}

export class DiskRoom {
  readonly #directory: string;
  readonly #reserve: string;
  readonly #hooks: RoomHooks;
  #full: PosternError | undefined;
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();
  #closed = false;
  #isStuck = false;

  /** @param directory of the slot */
  constructor(directory: string, hooks: RoomHooks) {
    this.#directory = directory;
    this.#reserve = reserveFileOf(directory);
    this.#hooks = hooks;
  }

  /** Why no new mail is taken; undefined while there is room, as far as is known. */
  get full(): PosternError | undefined {
    return this.#full;
  }

  /** Makes the reserve beside what else goes on. */
  begin(): void {
    this.#work = this.#makeReserve().then(() => undefined);
  }

  /** The disk refused a write. New mail is refused from here on, until there is room again. */
  ranFull(): void {
    if (this.#full !== undefined) return;
    this.#full = new PosternError('SPOOL_FULL', `the disk of ${this.#directory} is full`);
    this.#hooks.full(true);
    this.#lookLater();
  }

  /**
   * True: there was a reserve and it is free now. Synchronous, for one who wants to try again at once, and never throws:
   * a disk that has turned read-only is asked here from within a refused commit.
   */
  giveBackReserve(): boolean {
    try {
      rmSync(this.#reserve);
      return true;
    } catch (error) {
      if (errorCodeOf(error) !== 'ENOENT') this.#noteStuck(error);
      return false;
    }
  }

  /** A fresh file finds its place beside the reserve. */
  fitsNewFile(): Promise<boolean> {
    return this.#isFree(newFileBytes);
  }

  /** For a file without which nothing can go on: in place of the reserve if need be. False: not even that is enough. */
  async makeWayForFile(): Promise<boolean> {
    if (await this.fitsNewFile()) return true;
    this.ranFull();
    return this.giveBackReserve() && (await this.fitsNewFile());
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#work;
  }

  #lookLater(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#work = this.#look();
    }, lookMs);
  }

  async #look(): Promise<void> {
    if (!(await this.#isFree(roomAgainBytes))) await this.#hooks.stillFull();
    else if ((await this.#hooks.roomAgain()) && (await this.#makeReserve())) return this.#announceRoom();
    this.#lookLater();
  }

  #announceRoom(): void {
    this.#full = undefined;
    this.#hooks.full(false);
  }

  async #isFree(bytes: number): Promise<boolean> {
    const freeBytes = await freeBytesAt(this.#directory);
    return freeBytes === undefined || freeBytes >= bytes;
  }

  /** Really allocated: of bytes that no file system can leave out. False: there is no room for it. */
  async #makeReserve(): Promise<boolean> {
    try {
      if ((await sizeOf(this.#reserve)) >= reserveBytes) return true;
      if (!(await this.#isFree(roomAgainBytes))) return false;
      await writeNoise(this.#reserve, reserveBytes);
      return true;
    } catch {
      // Without a reserve all goes on as it would without this class; the disk itself is judged by the commits.
      await rm(this.#reserve, { force: true }).catch((error: unknown) => this.#noteStuck(error));
      return false;
    }
  }

  #noteStuck(error: unknown): void {
    if (this.#isStuck) return;
    this.#isStuck = true;
    this.#hooks.reserveStuck(error);
  }
}

async function writeNoise(file: string, bytes: number): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const handle = await open(file, 'w', 0o600);
  try {
    for (let at = 0; at < bytes; at += pieceBytes)
      await handle.write(await randomBytes(Buffer.allocUnsafeSlow(pieceBytes)));
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return 0;
    throw error;
  }
}
