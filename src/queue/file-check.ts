/**
 * Looks at a queue file before LMDB maps it: a map that is longer than its file ends in SIGBUS at the first read past
 * the end, and the process with it. Reads the meta pages as lmdb-js 3.5.6 writes them (mdb.c: MDB_meta, MDB_page_header,
 * MDB_node; 64 bit, little-endian) and never writes.
 *
 * A sound file may be shorter than its meta page says, when the last pages were taken and freed in one transaction.
 * So a short file has its trees walked: it is truncated only if they lead past the end.
 */
import { open, type FileHandle } from 'node:fs/promises';

import { PosternError } from '../base/errors.js';
import { holdsMessages } from './salvage/leaf-sweep.js';

const pageHeaderBytes = 24;
const metaBytes = 136; // up to and with the transaction id
const nodeHeaderBytes = 8;
const magic = 0xbeefc0de;
const dataVersion = 2;
const metaFlag = 0x08;
const branchFlag = 0x01;
const leafFlag = 0x02;
const bigDataFlag = 0x01;
const noPage = 0xffff_ffff_ffff_ffffn;
// Where the first meta page is missing, the second lies at one of these.
const possiblePageBytes = [4096, 8192, 16_384, 32_768, 65_536];
// Disks write this much at once or not at all; a meta is smaller and lies in the first such piece of its page.
const sectorBytes = 512;
// LMDB makes a file of 128 KiB. What is larger has seen commits, whatever its meta pages say.
const maxUnfinishedBytes = 2 ** 20;

interface Meta {
  readonly pageBytes: number;
  /** Of the free list and of the records; undefined where the tree is empty. */
  readonly roots: readonly (number | undefined)[];
  readonly lastPage: number;
  readonly transaction: bigint;
}

/**
 * 'empty': made, and its process died, or the power went, before its first commit; nothing was ever queued in it.
 * @throws PosternError SPOOL_FORMAT (not such a file), SPOOL_CORRUPT (cut short, a meta page is damaged); system errors
 * as they are
 */
export async function checkQueueFile(file: string): Promise<'empty' | 'whole'> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    if (size === 0) return 'empty';
    // Meta pages that were lost later look the same: it is empty only if nothing lies in it.
    if (size <= maxUnfinishedBytes && (await isUnfinished(handle)) && !(await holdsMessages(file)))
      return 'empty';
    const meta = await readNewestMeta(handle, file);
    if (size < (meta.lastPage + 1) * meta.pageBytes) await checkTrees(handle, file, meta, size);
    return 'whole';
  } finally {
    await handle.close();
  }
}

/**
 * The first commit syncs both meta pages before it counts. So where one of them never reached the disk, and no other
 * tells of a commit, there was none. (Found by crash images: test/faults/power-loss.test.ts.)
 */
async function isUnfinished(handle: FileHandle): Promise<boolean> {
  const first = await readMeta(handle, 0);
  if (first !== undefined) return first.transaction === 0n && (await isBlank(handle, first.pageBytes));
  if (!(await isBlank(handle, 0))) return false;
  for (const pageBytes of possiblePageBytes) {
    const second = await readMeta(handle, pageBytes);
    if (second !== undefined && second.transaction > 0n) return false;
  }
  return true;
}

/** Zeros, or past the end of the file. */
async function isBlank(handle: FileHandle, at: number): Promise<boolean> {
  const { buffer } = await handle.read(Buffer.alloc(sectorBytes), 0, sectorBytes, at);
  return buffer.every((byte) => byte === 0);
}

async function readNewestMeta(handle: FileHandle, file: string): Promise<Meta> {
  const first = await readMeta(handle, 0);
  if (first === undefined) throw await withoutMeta(file);
  const second = await readMeta(handle, first.pageBytes);
  // LMDB reads both in its own way, and may fall over it; and it may have been the newer one.
  if (second === undefined) throw new PosternError('SPOOL_CORRUPT', `${file}: a meta page is damaged`);
  return second.transaction > first.transaction ? second : first;
}

async function withoutMeta(file: string): Promise<PosternError> {
  if (await holdsMessages(file))
    return new PosternError('SPOOL_CORRUPT', `${file} is a queue file whose first page is damaged`);
  return new PosternError('SPOOL_FORMAT', `${file} is not a queue file`);
}

// Of LMDB: a page is not there, is of the wrong kind, or the file is none of its own.
const damageCodes: ReadonlySet<unknown> = new Set([-30797, -30796, -30793]);

/** Whether an error of opening a file says that it is damaged; not that it is a newer version's, gone or not for us. */
export function isDamage(error: unknown): boolean {
  if (error instanceof PosternError) return error.code === 'SPOOL_CORRUPT';
  return error instanceof Error && 'code' in error && damageCodes.has(error.code);
}

async function readMeta(handle: FileHandle, at: number): Promise<Meta | undefined> {
  const page = await readAt(handle, at, pageHeaderBytes + metaBytes);
  if (page === undefined || (page.readUInt16LE(18) & metaFlag) === 0) return undefined;
  const meta = page.subarray(pageHeaderBytes);
  if (meta.readUInt32LE(0) !== magic || (meta.readUInt32LE(4) & 0xffff) !== dataVersion) return undefined;
  const pageBytes = meta.readUInt32LE(24);
  if (pageBytes < 512 || pageBytes > 65_536 || (pageBytes & (pageBytes - 1)) !== 0) return undefined;
  return {
    pageBytes,
    roots: [rootAt(meta, 64), rootAt(meta, 112)],
    lastPage: Number(meta.readBigUInt64LE(120)),
    transaction: meta.readBigUInt64LE(128),
  };
}

function rootAt(meta: Buffer, at: number): number | undefined {
  const root = meta.readBigUInt64LE(at);
  return root === noPage ? undefined : Number(root);
}

async function checkTrees(handle: FileHandle, file: string, meta: Meta, size: number): Promise<void> {
  const pages = Math.floor(size / meta.pageBytes);
  const left = meta.roots.filter((root) => root !== undefined);
  for (let seen = 0; ; seen++) {
    const number = left.pop();
    if (number === undefined) return;
    const page =
      number < pages && seen < pages
        ? await readAt(handle, number * meta.pageBytes, meta.pageBytes)
        : undefined;
    const next = page === undefined ? undefined : pagesBelow(page, pages);
    if (next === undefined)
      throw new PosternError(
        'SPOOL_CORRUPT',
        `${file} is cut short: ${size} bytes, and records lie beyond; what is readable can be salvaged from a copy`,
      );
    left.push(...next);
  }
}

/** The tree pages that a branch leads to, none for a leaf; undefined when it is neither or leads out of the file. */
function pagesBelow(page: Buffer, pages: number): number[] | undefined {
  const flags = page.readUInt16LE(18);
  const count = page.readUInt16LE(20) >> 1;
  const below: number[] = [];
  if ((flags & (branchFlag | leafFlag)) === 0 || pageHeaderBytes + 2 * count > page.length) return undefined;
  for (let i = 0; i < count; i++) {
    const at = page.readUInt16LE(pageHeaderBytes + 2 * i) + pageHeaderBytes;
    if (at + nodeHeaderBytes > page.length) return undefined;
    if ((flags & branchFlag) !== 0) below.push(page.readUIntLE(at, 6));
    else if (!leafNodeFits(page, at, pages)) return undefined;
  }
  return below;
}

function leafNodeFits(page: Buffer, at: number, pages: number): boolean {
  if ((page.readUInt16LE(at + 4) & bigDataFlag) === 0) return true;
  const data = at + nodeHeaderBytes + page.readUInt16LE(at + 6);
  if (data + 24 > page.length) return false;
  return Number(page.readBigUInt64LE(data)) + Number(page.readBigUInt64LE(data + 16)) <= pages;
}

async function readAt(handle: FileHandle, at: number, bytes: number): Promise<Buffer | undefined> {
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(bytes), 0, bytes, at);
  return bytesRead === bytes ? buffer : undefined;
}
