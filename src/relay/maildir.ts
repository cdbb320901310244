/**
 * Final delivery into one Maildir: Return-Path on top (RFC 5321 §4.4), then the stored bytes, which begin with our
 * Received, with LF line ends. Written and fsynced in tmp/, renamed into new/, new/ fsynced; only then delivered.
 *
 * The file's name is made of the queue id alone (time and microseconds are those of its arrival): a crash between
 * rename and the queue's removal delivers again over the unread copy instead of beside it, and a crash in tmp/ is
 * overwritten by the next attempt. What nobody comes back for is swept as the Maildir spec says, after 36 hours.
 */
import { open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { makeDirectory, syncDirectory } from '../base/directory.js';
import { describeError, errorCodeOf, PosternError } from '../base/errors.js';
import { SharedCall } from '../base/shared-call.js';
import type { Lease } from '../queue/spool.js';

import { sameResult, type Carrier, type CarryOutcome } from './carrier.js';
import { printable } from './last-reply.js';
import { LineEnds } from './line-ends.js';

const tmpLifetimeMs = 36 * 3_600_000;
/** So much waits for the next chunk or the end: the top line and, once, a small chunk behind it. */
const maxUnwrittenBytes = 4096;

export class Maildir implements Carrier {
  readonly #path: string;
  readonly #host: string;
  /** fsync of new/: one covers all renames that were done when it began, as in a group commit. */
  readonly #newSync: SharedCall<void>;
  #prepared: Promise<void> | undefined;
  #cutReason: string | undefined;
  readonly usefulLanes = Infinity;

  constructor(path: string, hostname: string) {
    this.#path = path;
    // The spec's own escapes: a slash would be a directory, a colon begins the flags.
    this.#host = hostname.replaceAll('/', '\\057').replaceAll(':', '\\072');
    this.#newSync = new SharedCall(() => syncDirectory(join(path, 'new')));
  }

  get hop(): string {
    return this.#path;
  }

  pauseMs(): number {
    return 0;
  }

  outage(): undefined {
    return undefined;
  }

  endRests(): void {
    // A Maildir is tried each time anyway.
  }

  async close(): Promise<void> {
    // Nothing stays open between deliveries.
  }

  cut(reason: string): void {
    this.#cutReason = reason;
  }

  async carry(lease: Lease, addresses: readonly string[]): Promise<CarryOutcome> {
    const { hop } = this;
    try {
      const name = await this.#deliver(lease);
      const results = sameResult(addresses, 'delivered', printable(`stored as ${name}`));
      return { hop, results, handover: 'final', ambiguous: false, corrupt: false };
    } catch (error) {
      const corrupt = errorCodeOf(error) === 'SPOOL_CORRUPT';
      const results = sameResult(addresses, corrupt ? 'failed' : 'pending', printable(describeError(error)));
      return { hop, results, ambiguous: false, corrupt };
    }
  }

  /** @throws PosternError MAILDIR and the queue's own */
  async #deliver(lease: Lease): Promise<string> {
    const { id, arrivedAtMs } = lease.message;
    const seconds = Math.floor(arrivedAtMs / 1000);
    const name = `${seconds}.M${Math.floor(arrivedAtMs % 1000) * 1000}Q${id}.${this.#host}`;
    const tmp = join(this.#path, 'tmp', name);
    await this.#prepare();
    try {
      await this.#write(tmp, lease);
      await rename(tmp, join(this.#path, 'new', name));
      await this.#newSync.get();
    } catch (error) {
      // force: it may be renamed already, or never have been made.
      await rm(tmp, { force: true }).catch(() => undefined);
      if (error instanceof PosternError) throw error;
      this.#prepared = undefined;
      throw new PosternError('MAILDIR', `cannot deliver to ${this.#path}: ${describeError(error)}`, error);
    }
    return name;
  }

  async #write(tmp: string, lease: Lease): Promise<void> {
    const file = await create(tmp);
    try {
      await this.#content(file, lease);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** One write for a message of one chunk: each is a way through libuv's threads. */
  async #content(file: FileHandle, lease: Lease): Promise<void> {
    const lineEnds = new LineEnds();
    let unwritten: Buffer = Buffer.from(`Return-Path: <${lease.message.reversePath}>\n`);
    for await (const chunk of lease.body()) {
      if (this.#cutReason !== undefined) throw new PosternError('MAILDIR', this.#cutReason);
      if (unwritten.length > maxUnwrittenBytes) {
        await file.writeFile(unwritten);
        unwritten = lineEnds.convert(chunk);
      } else unwritten = Buffer.concat([unwritten, lineEnds.convert(chunk)]);
    }
    await file.writeFile(Buffer.concat([unwritten, lineEnds.end()]));
  }

  /** Makes the three directories and clears old tmp files, once; again after a failure. */
  #prepare(): Promise<void> {
    if (this.#prepared !== undefined) return this.#prepared;
    const prepared = this.#make();
    this.#prepared = prepared;
    prepared.catch(() => {
      this.#prepared = undefined;
    });
    return prepared;
  }

  async #make(): Promise<void> {
    try {
      for (const part of ['tmp', 'new', 'cur']) await makeDirectory(join(this.#path, part));
      // Where another worker made them a moment ago.
      await syncDirectory(this.#path);
      await this.#sweep();
    } catch (error) {
      throw new PosternError('MAILDIR', `cannot create ${this.#path}: ${describeError(error)}`, error);
    }
  }

  async #sweep(): Promise<void> {
    const tmp = join(this.#path, 'tmp');
    for (const name of await readdir(tmp)) {
      const path = join(tmp, name);
      // Another worker may sweep the same directory.
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile() === true && Date.now() - found.mtimeMs > tmpLifetimeMs)
        await rm(path, { force: true });
    }
  }
}

/** Exclusive creation proves the file ours; one that a crash has left goes first. */
async function create(tmp: string): Promise<FileHandle> {
  try {
    return await open(tmp, 'wx', 0o600);
  } catch (error) {
    if (errorCodeOf(error) !== 'EEXIST') throw error;
    await rm(tmp);
    return open(tmp, 'wx', 0o600);
  }
}
