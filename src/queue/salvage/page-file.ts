/**
 * A queue file read page by page, with plain reads: no map and no native code, so that whatever is in it cannot take
 * the process down. Never writes. A page that cannot be read is damage like any other.
 */
import { open, type FileHandle } from 'node:fs/promises';

import {
  isNumbered,
  metaBytes,
  pageHeaderBytes,
  parseMeta,
  parseTreePage,
  type Branch,
  type Leaf,
  type Meta,
  type ValuePlace,
} from './pages.js';

// Leaves are visited in the order of keys, bodies and envelopes in turn: a few are looked at again and again.
const maxCachedPages = 64;
// Envelopes of a thousand recipients with their last replies are below 2 MiB, chunks below 64 KiB: more is damage.
const maxValueBytes = 16 * 2 ** 20;
const pageSizes = [4096, 8192, 16_384, 32_768, 65_536];
// For telling the page size of a file without a meta page.
const sampledPages = 64;

export class PageFile {
  readonly file: string;
  readonly pageBytes: number;
  /** Whole ones; of what a file cut short has left at its end nothing is used. */
  readonly pages: number;
  /** Those that can be read, newest first. */
  readonly metas: readonly Meta[];
  readonly #handle: FileHandle;
  readonly #cache = new Map<number, Leaf | Branch | undefined>();

  private constructor(
    file: string,
    handle: FileHandle,
    bytes: number,
    pageBytes: number,
    metas: readonly Meta[],
  ) {
    this.file = file;
    this.#handle = handle;
    this.pageBytes = pageBytes;
    this.pages = Math.floor(bytes / pageBytes);
    this.metas = metas;
  }

  /** @throws the file system's error */
  static async open(file: string): Promise<PageFile> {
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      const metas = await readMetas(handle);
      const pageBytes = metas[0]?.pageBytes ?? (await guessPageBytes(handle));
      return new PageFile(file, handle, size, pageBytes, metas);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Undefined: no page of the tree, or out of the file. */
  async treePage(number: number): Promise<Leaf | Branch | undefined> {
    if (this.#cache.has(number)) {
      const page = this.#cache.get(number);
      this.#cache.delete(number);
      this.#cache.set(number, page);
      return page;
    }
    const bytes = await this.bytes(number, 0, this.pageBytes);
    const page = bytes === undefined ? undefined : parseTreePage(bytes, number);
    this.#cache.set(number, page);
    for (const oldest of this.#cache.keys()) {
      if (this.#cache.size <= maxCachedPages) break;
      this.#cache.delete(oldest);
    }
    return page;
  }

  /** From `offset` in page `number` on. Undefined: out of the file, or it cannot be read. */
  async bytes(number: number, offset: number, length: number): Promise<Buffer | undefined> {
    const at = number * this.pageBytes + offset;
    if (!Number.isSafeInteger(at) || at + length > this.pages * this.pageBytes) return undefined;
    return readAt(this.#handle, at, length);
  }

  /** The header of its pages is not looked at: a wrong value is found out by its checksum, a right one is welcome. */
  async value(place: ValuePlace): Promise<Buffer | undefined> {
    if (place.kind === 'inline') return place.bytes;
    return place.bytes > maxValueBytes ? undefined : this.bytes(place.page, pageHeaderBytes, place.bytes);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** The second one lies where the page size says; without the first one each size is tried. */
async function readMetas(handle: FileHandle): Promise<Meta[]> {
  const first = await metaAt(handle, 0);
  const metas = first === undefined ? [] : [first];
  for (const pageBytes of first === undefined ? pageSizes : [first.pageBytes]) {
    const second = await metaAt(handle, pageBytes);
    if (second?.pageBytes === pageBytes) return [...metas, second].toSorted(newestFirst);
  }
  return metas;
}

function newestFirst(a: Meta, b: Meta): number {
  return b.transaction - a.transaction;
}

async function metaAt(handle: FileHandle, at: number): Promise<Meta | undefined> {
  const bytes = await readAt(handle, at, metaBytes);
  return bytes === undefined ? undefined : parseMeta(bytes);
}

/** The size by which most pages bear their own number. */
async function guessPageBytes(handle: FileHandle): Promise<number> {
  let best = { pageBytes: 4096, numbered: 0 };
  for (const pageBytes of pageSizes) {
    let numbered = 0;
    for (let number = 2; number < sampledPages; number++) {
      const header = await readAt(handle, number * pageBytes, pageHeaderBytes);
      if (header !== undefined && isNumbered(header, number)) numbered++;
    }
    if (numbered > best.numbered) best = { pageBytes, numbered };
  }
  return best.pageBytes;
}

async function readAt(handle: FileHandle, at: number, length: number): Promise<Buffer | undefined> {
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, at);
    return bytesRead === length ? buffer : undefined;
  } catch {
    return undefined; // a bad block: what is on it is lost, the rest is not
  }
}
