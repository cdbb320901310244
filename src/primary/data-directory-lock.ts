/**
 * One instance per data directory (F-14): a Unix socket bound in it is the lock. The kernel frees it with its process,
 * however that ends; what stays is a name that nobody answers, told from a living lock by connecting to it. Whoever
 * connects is told the owner's process id.
 */
import { once } from 'node:events';
import { link, lstat, open, rename, unlink, type FileHandle } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';

import { describeError, errorCodeOf, PosternError } from '../base/errors.js';

const lockName = 'lock.sock';

// sun_path has 108 bytes on Linux with the final NUL, 104 on the BSDs and macOS. libuv cuts a longer path silently.
const maxSocketPathBytes = process.platform === 'linux' ? 107 : 103;

// For a living owner this is one turn of its event loop; a stopped one keeps its lock all the same.
const ownerAnswerBoundMs = 500;

export interface DataDirectoryLock {
  release(): Promise<void>;
}

/** @throws PosternError DATA_DIR_LOCKED, DATA_DIR_UNUSABLE */
export async function lockDataDirectory(dataDir: string): Promise<DataDirectoryLock> {
  const directory = await ShortDirectory.open(dataDir);
  try {
    const server = await acquire(directory, dataDir);
    return { release: async () => release(server, directory) };
  } catch (error) {
    await directory.close();
    if (error instanceof PosternError) throw error;
    const message = `the data directory ${dataDir} cannot be locked: ${describeError(error)}; it must be on a local file system that has Unix sockets`;
    throw new PosternError('DATA_DIR_UNUSABLE', message, error);
  }
}

/** A directory under a name short enough for the sockets in it: its own, or that of a descriptor open on it. */
class ShortDirectory {
  readonly #path: string;
  readonly #handle: FileHandle | undefined;

  private constructor(path: string, handle: FileHandle | undefined) {
    this.#path = path;
    this.#handle = handle;
  }

  static async open(path: string): Promise<ShortDirectory> {
    const longest = join(path, uniqueName(`${lockName}.old`));
    if (Buffer.byteLength(longest) <= maxSocketPathBytes) return new ShortDirectory(path, undefined);
    if (process.platform !== 'linux') {
      const message = `the path of the data directory ${path} is too long for a Unix socket; choose a shorter dataDir`;
      throw new PosternError('DATA_DIR_UNUSABLE', message);
    }
    const handle = await open(path, 'r');
    return new ShortDirectory(`/proc/self/fd/${handle.fd}`, handle);
  }

  of(name: string): string {
    return join(this.#path, name);
  }

  async close(): Promise<void> {
    await this.#handle?.close();
  }
}

/**
 * Binds under a name of our own and links that to the lock's name: link is atomic and never replaces, bind alone would
 * leave a moment in which the name is there and nobody answers.
 */
async function acquire(directory: ShortDirectory, dataDir: string): Promise<Server> {
  const own = directory.of(uniqueName(lockName));
  const lock = directory.of(lockName);
  const server = await listen(own);
  try {
    for (let attempt = 0; !(await linked(own, lock)); attempt++) {
      await removeStale(directory, dataDir);
      if (attempt === 3) throw lockedBy(dataDir, undefined);
    }
    await unlink(own); // the lock's name is enough, and all that a kill -9 leaves behind
    return server;
  } catch (error) {
    await closed(server);
    throw error;
  }
}

async function linked(own: string, lock: string): Promise<boolean> {
  try {
    await link(own, lock);
    return true;
  } catch (error) {
    if (errorCodeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Takes a dead lock away. It is moved aside first and asked again there: between question and removal another instance
 * may have put its living lock in this place, and then gets it back.
 */
async function removeStale(directory: ShortDirectory, dataDir: string): Promise<void> {
  const lock = directory.of(lockName);
  const aside = directory.of(uniqueName(`${lockName}.old`));
  const owner = await ask(lock);
  if (owner.alive) throw lockedBy(dataDir, owner.pid);
  if (!(await isSocket(lock))) return;
  await rename(lock, aside);
  const moved = await ask(aside);
  if (moved.alive) await link(aside, lock);
  await unlink(aside);
  if (moved.alive) throw lockedBy(dataDir, moved.pid);
}

async function isSocket(path: string): Promise<boolean> {
  try {
    if ((await lstat(path)).isSocket()) return true;
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
  throw new Error(`${path} is not a socket; remove it`);
}

type Owner = { readonly alive: false } | { readonly alive: true; readonly pid: string | undefined };

/** Only a refused connection or a missing name is nobody; whatever else happens, somebody may be there. */
async function ask(path: string): Promise<Owner> {
  const socket = connect(path);
  let answer = '';
  socket.setEncoding('latin1');
  socket.setTimeout(ownerAnswerBoundMs, () => socket.destroy());
  socket.on('data', (text: string) => (answer = (answer + text).slice(0, 20)));
  try {
    await once(socket, 'close');
  } catch (error) {
    socket.destroy();
    const code = errorCodeOf(error);
    if (code === 'ECONNREFUSED' || code === 'ENOENT') return { alive: false };
  }
  return { alive: true, pid: /^\d{1,10}\n$/.test(answer) ? answer.trim() : undefined };
}

function lockedBy(dataDir: string, pid: string | undefined): PosternError {
  const who = pid === undefined ? 'another instance' : `another instance (process ${pid})`;
  const advice = 'stop it, or give this one a dataDir of its own';
  return new PosternError('DATA_DIR_LOCKED', `${who} runs on the data directory ${dataDir}; ${advice}`);
}

let namesGiven = 0;

function uniqueName(name: string): string {
  namesGiven += 1;
  return `${name}.${process.pid}-${namesGiven}`;
}

async function listen(path: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => {}); // it only wanted to know whether we live
    socket.end(`${process.pid}\n`);
  });
  await unlinkIfThere(path); // of a dead process that had our process id
  server.listen(path);
  await once(server, 'listening');
  server.unref();
  return server;
}

async function release(server: Server, directory: ShortDirectory): Promise<void> {
  await unlinkIfThere(directory.of(lockName));
  await closed(server);
  await directory.close();
}

/** Closing also removes the name that it was bound under. */
async function closed(server: Server): Promise<void> {
  const done = once(server, 'close');
  server.close();
  await done;
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errorCodeOf(error) !== 'ENOENT') throw error;
  }
}
