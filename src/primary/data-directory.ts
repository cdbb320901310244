/** The data directory before anything runs on it: made if missing, and proved to be writable, with a sentence if not. */
import { open, rm } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';

import { makeDirectory } from '../base/directory.js';
import { describeError, errorCodeOf, PosternError } from '../base/errors.js';
import { isNoSpace } from '../base/system-errors.js';

/** Makes `dataDir` and `dataDir/queue`; the latter's path. @throws PosternError DATA_DIR_UNUSABLE */
export async function prepareDataDirectory(dataDir: string): Promise<string> {
  const queueDirectory = join(dataDir, 'queue');
  try {
    await makeDirectory(queueDirectory);
    for (const directory of [dataDir, queueDirectory]) await proveWritable(directory);
  } catch (error) {
    throw new PosternError('DATA_DIR_UNUSABLE', explain(dataDir, error), error);
  }
  return queueDirectory;
}

/** A full disk will do: the relay has a reserve to write in, and new mail is refused until there is room (F-06). */
async function proveWritable(directory: string): Promise<void> {
  try {
    await probe(join(directory, `.probe-${process.pid}`));
  } catch (error) {
    if (!isNoSpace(error)) throw error;
  }
}

// Well above what a worker's new queue file takes.
const roomBytes = 2 ** 20;

/** Whether a file in this directory can be written to the disk. */
export async function takesFiles(directory: string): Promise<boolean> {
  try {
    await probe(join(directory, `.probe-${process.pid}`), Buffer.alloc(roomBytes, 1));
    return true;
  } catch {
    return false; // that is the answer
  }
}

async function probe(path: string, content: Buffer = Buffer.from('x')): Promise<void> {
  const handle = await open(path, 'w', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
    await rm(path, { force: true });
  }
}

function explain(dataDir: string, error: unknown): string {
  const advice: Readonly<Record<string, string>> = {
    EACCES: `make it writable for user ${userInfo().username}, or set dataDir to a directory that is`,
    EPERM: `make it writable for user ${userInfo().username}, or set dataDir to a directory that is`,
    EROFS: 'its file system is mounted read-only; mount it writable, or set dataDir elsewhere',
    ENOSPC: 'its file system is full; free some space',
    EDQUOT: 'the disk quota is used up; free some space',
    ENOTDIR: 'a part of the path is a file; remove it, or set dataDir elsewhere',
  };
  const hint = advice[errorCodeOf(error) ?? ''] ?? 'set dataDir to a directory on a local file system';
  return `the data directory ${dataDir} cannot be used: ${hint} (${describeError(error)})`;
}
