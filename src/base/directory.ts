/** Directories that survive a power loss: made and fsynced entry by entry. */
import { mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { errorCodeOf } from './errors.js';

// Mail of others is in there.
const mode = 0o700;

/** fsync of a directory: makes creations, renames and removals in it durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * With all that is missing above it, each entry fsynced: a file is as durable as the path to it. Not mkdir's
 * `recursive`, which never returns where a file system answers ENOENT to a mkdir in a folder that exists (/proc).
 * Another process may make it at the same time. @throws the file system's error
 */
export async function makeDirectory(path: string): Promise<void> {
  if (await exists(path)) return;
  const parent = dirname(path);
  if (parent !== path) await makeDirectory(parent);
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if (errorCodeOf(error) !== 'EEXIST' || !(await exists(path))) throw error;
  }
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
