/**
 * Changes a small file as a whole: read, change, write beside, fsync, rename, fsync the folder. One changer at a time
 * (a lock file with the changer's pid), so that two `postern users add` at once lose nothing.
 */
import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { open, readFile, rename, stat, unlink, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { syncDirectory } from '../base/directory.js';
import { describeError, errorCodeOf, PosternError } from '../base/errors.js';

/** A change takes milliseconds; whoever waits longer is told who is in the way. */
const lockWaitMs = 10_000;
const lockPollMs = 50;

/** `text` undefined: leave the file as it is. */
export type Change<T> = (before: string | undefined) => {
  readonly text: string | undefined;
  readonly outcome: T;
};

/**
 * @param newOwnerLike a folder whose owner gets a file that root makes; without it, or while it is not there, the
 * file's own folder. @throws PosternError USERS_FILE, and what `change` throws
 */
export async function replaceFile<T>(file: string, change: Change<T>, newOwnerLike?: string): Promise<T> {
  const lock = `${file}.lock`;
  await takeLock(lock);
  try {
    const { text, outcome } = change(await readIfThere(file));
    if (text !== undefined) await write(file, text, newOwnerLike);
    return outcome;
  } catch (error) {
    if (error instanceof PosternError) throw error;
    throw new PosternError('USERS_FILE', `${file} cannot be changed: ${describeError(error)}`, error);
  } finally {
    await unlink(lock);
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function write(file: string, text: string, newOwnerLike: string | undefined): Promise<void> {
  const beside = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  const handle = await open(beside, 'wx', 0o600);
  try {
    await thenClose(handle, fill(handle, text, [file, newOwnerLike, dirname(file)]));
    await rename(beside, file);
  } catch (error) {
    await unlink(beside);
    throw error;
  }
  await syncDirectory(dirname(file));
}

async function fill(handle: FileHandle, text: string, likes: readonly (string | undefined)[]): Promise<void> {
  await handle.writeFile(text);
  await giveAway(handle, likes);
  await handle.sync();
}

/** root runs the CLI, the service reads the file: it belongs to who has the first of `likes` that is there. */
async function giveAway(handle: FileHandle, likes: readonly (string | undefined)[]): Promise<void> {
  if (process.getuid?.() !== 0) return;
  for (const like of likes) {
    const stats = like === undefined ? undefined : await statIfThere(like);
    if (stats !== undefined) return handle.chown(stats.uid, stats.gid);
  }
}

async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function thenClose(handle: FileHandle, work: Promise<void>): Promise<void> {
  try {
    await work;
  } finally {
    await handle.close();
  }
}

/** A lock whose holder died is not broken here: of two that do so at once, one would break the other's new lock. */
async function takeLock(lock: string): Promise<void> {
  const startedAt = performance.now();
  while (!(await tryLock(lock))) {
    const holder = Number(await readIfThere(lock));
    const late = performance.now() - startedAt > lockWaitMs;
    if (late || isGone(holder)) throw new PosternError('USERS_FILE', heldBy(lock, holder));
    await sleep(lockPollMs);
  }
}

function heldBy(lock: string, holder: number): string {
  const state = isGone(holder) ? 'which is gone' : 'which still runs';
  return `${lock} is held by process ${holder}, ${state}; remove the lock if nobody changes the file`;
}

async function tryLock(lock: string): Promise<boolean> {
  try {
    const handle = await open(lock, 'wx', 0o600);
    await thenClose(handle, handle.writeFile(String(process.pid)));
    return true;
  } catch (error) {
    if (errorCodeOf(error) === 'EEXIST') return false;
    throw new PosternError('USERS_FILE', `${lock} cannot be made: ${describeError(error)}`, error);
  }
}

/** An empty lock file is one that is just being written: its holder lives. */
function isGone(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return errorCodeOf(error) === 'ESRCH';
  }
}
