/** The data directory before anything runs on it: made if missing, and proved to be writable, with a sentence if not. */
import { mkdir, open, rm, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';

import { describeError, errorCodeOf, PosternError } from '../base/errors.js';
import { syncDirectory } from '../base/spool-files.js';

// Mail of others is in there.
const directoryMode = 0o700;

/** Makes `dataDir` and `dataDir/queue`; the latter's path. @throws PosternError DATA_DIR_UNUSABLE */
export async function prepareDataDirectory(dataDir: string): Promise<string> {
  const queueDirectory = join(dataDir, 'queue');
  try {
    await makeDirectory(queueDirectory);
    await probe(join(dataDir, `.probe-${process.pid}`));
    await probe(join(queueDirectory, `.probe-${process.pid}`));
  } catch (error) {
    throw new PosternError('DATA_DIR_UNUSABLE', explain(dataDir, error), error);
  }
  return queueDirectory;
}

/**
 * With all that is missing above it, each entry fsynced: a queue file is as durable as the path to it. Not mkdir's
 * `recursive`, which never returns where a file system answers ENOENT to a mkdir in a folder that exists (/proc).
 */
async function makeDirectory(path: string): Promise<void> {
  if (await exists(path)) return;
  const parent = dirname(path);
  if (parent !== path) await makeDirectory(parent);
  await mkdir(path, { mode: directoryMode });
  await syncDirectory(parent);
}

async function exists(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return true;
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
  throw Object.assign(new Error(`${path} is not a directory`), { code: 'ENOTDIR' });
}

async function probe(path: string): Promise<void> {
  const handle = await open(path, 'w', 0o600);
  try {
    await handle.write('x');
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
