/**
 * The messages of a queue file that LMDB is not to open again: first those that its tree leads to, then what lies
 * between the keys where the tree is damaged, which may be older than the last commit. Every envelope is decoded and
 * every body checked by its length and checksum. Cannot crash: plain reads, no native code (page-file.ts).
 */
import { crc32 } from 'node:zlib';

import { describeError, PosternError } from '../../base/errors.js';
import { chunkKey } from '../keys.js';
import { decodeRecord, type MessageRecord } from '../record.js';
import { sweep, type Sweep } from './leaf-sweep.js';
import { findNewestTree, type NewestTree } from './newest-tree.js';
import { PageFile } from './page-file.js';
import type { ValuePlace } from './pages.js';
import { StoredValues } from './stored-values.js';

export interface FoundMessage {
  readonly id: string;
  readonly record: MessageRecord;
  /** As last committed. False: of an older state of the file; it may have been delivered since. */
  readonly isCurrent: boolean;
  /** In order; the last chunk only when all are right. @throws PosternError SPOOL_CORRUPT */
  readonly body: () => AsyncGenerator<Buffer, void, void>;
}

const envelopeTag = 'e';
const chunkTag = 'b';
const formatKey = 'f';
// As many versions of one leaf as a sweep keeps.
const maxVersions = 8;
const nothing: Sweep = new Map();

export class QueueFileReader {
  readonly #file: PageFile;
  readonly #tree: NewestTree;
  readonly #values: StoredValues;
  /** In the tree and not whole: id → reason. */
  readonly #broken = new Map<string, string>();
  /** Given out whole. Kept only where there are gaps, in which they may turn up again. */
  readonly #settled = new Set<string>();
  #envelopes = nothing;
  #chunks = nothing;

  private constructor(file: PageFile, tree: NewestTree) {
    this.#file = file;
    this.#tree = tree;
    this.#values = new StoredValues(file, tree.survey.leaves);
  }

  /** @param path of a file that nobody writes @throws the file system's errors */
  static async open(path: string): Promise<QueueFileReader> {
    const file = await PageFile.open(path);
    try {
      return new QueueFileReader(file, await findNewestTree(file));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Places at which the tree leads nowhere. */
  get gaps(): number {
    return this.#tree.gaps.length;
  }

  /** Messages that were in the queue and are not whole: id → reason. Complete when `messages` has ended. */
  get unreadable(): ReadonlyMap<string, string> {
    return this.#broken;
  }

  /** The record that says what kind of file this is; undefined where it cannot be read. */
  async format(): Promise<Buffer | undefined> {
    const place = await this.#values.inTree(formatKey);
    return place === undefined ? undefined : this.#values.bytes(place);
  }

  /** One whose body turns out not to be whole may come again, from what a sweep finds. */
  async *messages(): AsyncGenerator<FoundMessage, void, void> {
    for (const { page, last } of this.#tree.survey.leaves)
      if (last >= envelopeTag) yield* this.#messagesIn(page);
    if (this.gaps === 0 && this.#broken.size === 0) return;
    await this.#sweep();
    for (const id of this.#sweptIds()) {
      const found = await this.#fromVersions(id);
      if (found !== undefined) yield found;
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async *#messagesIn(page: number): AsyncGenerator<FoundMessage, void, void> {
    const leaf = await this.#file.treePage(page);
    if (leaf?.kind !== 'leaf') return;
    for (const { key, value } of leaf.nodes) {
      if (!key.startsWith(envelopeTag)) continue;
      const id = key.slice(1);
      const record = await this.#record(id, value);
      if (record === undefined) continue;
      yield { id, record, isCurrent: this.#tree.isCommitted, body: () => this.#body(id, record, 0) };
      if (this.gaps > 0 && !this.#broken.has(id)) this.#settled.add(id);
    }
  }

  /** Envelopes first: they say whose chunks are looked for. */
  async #sweep(): Promise<void> {
    const { gaps, transaction: until } = this.#tree;
    this.#envelopes = await sweep(this.#file, {
      kind: envelopeTag,
      gaps,
      wants: (key) => this.#broken.has(key.slice(1)),
      until,
    });
    const ids = new Set(this.#sweptIds());
    this.#chunks = await sweep(this.#file, {
      kind: chunkTag,
      gaps: [],
      wants: (key) => ids.has(key.slice(1, -4)),
      until,
    });
  }

  #sweptIds(): string[] {
    const ids = new Set([...this.#envelopes.keys()].map((key) => key.slice(1)));
    for (const id of this.#broken.keys()) ids.add(id);
    return [...ids].filter((id) => !this.#settled.has(id)).toSorted();
  }

  async #fromVersions(id: string): Promise<FoundMessage | undefined> {
    const isInQueue = this.#broken.has(id);
    for (const { place, isInTree } of await this.#values.versions(envelopeTag + id, this.#envelopes)) {
      const record = await this.#record(id, place);
      const version = record === undefined ? undefined : await this.#wholeVersion(id, record);
      if (record === undefined || version === undefined) continue;
      this.#broken.delete(id);
      const isCurrent = isInTree && this.#tree.isCommitted;
      return { id, record, isCurrent, body: () => this.#body(id, record, version) };
    }
    // The tree does not know it, and would know its chunks if they were there: it has been delivered.
    if (!isInQueue && !this.#isInGap(keyOfChunk(id, 0))) this.#broken.delete(id);
    return undefined;
  }

  /** Undefined: noted as broken. */
  async #record(id: string, place: ValuePlace): Promise<MessageRecord | undefined> {
    try {
      const bytes = await this.#values.bytes(place);
      if (bytes === undefined) throw new PosternError('SPOOL_CORRUPT', 'its envelope lies out of the file');
      return decodeRecord(bytes);
    } catch (error) {
      this.#broken.set(id, describeError(error));
      return undefined;
    }
  }

  /** Which version of its chunks makes the message whole. */
  async #wholeVersion(id: string, record: MessageRecord): Promise<number | undefined> {
    for (let version = 0; version < maxVersions; version++) {
      try {
        for await (const chunk of this.#body(id, record, version)) void chunk;
        return version;
      } catch (error) {
        if (!(error instanceof PosternError)) throw error;
      }
    }
    return undefined;
  }

  async *#body(id: string, record: MessageRecord, version: number): AsyncGenerator<Buffer, void, void> {
    let [bytes, checksum] = [0, 0];
    for (let index = 0; index < record.chunks; index++) {
      const chunk = await this.#chunk(id, index, version);
      if (chunk === undefined) throw this.#corrupt(id, `chunk ${index} of ${record.chunks} is missing`);
      bytes += chunk.length;
      checksum = crc32(chunk, checksum);
      if (index === record.chunks - 1 && (bytes !== record.bytes || checksum !== record.crc32))
        throw this.#corrupt(id, 'its length or its checksum is wrong');
      yield chunk;
    }
  }

  /** Where there are fewer versions, the oldest. */
  async #chunk(id: string, index: number, version: number): Promise<Buffer | undefined> {
    const versions = await this.#values.versions(keyOfChunk(id, index), this.#chunks);
    const place = versions[Math.min(version, versions.length - 1)]?.place;
    return place === undefined ? undefined : this.#values.bytes(place);
  }

  #corrupt(id: string, reason: string): PosternError {
    this.#broken.set(id, reason);
    return new PosternError('SPOOL_CORRUPT', `message ${id} in ${this.#file.file}: ${reason}`);
  }

  #isInGap(key: string): boolean {
    return this.#tree.gaps.some(({ after, before }) => after < key && key < before);
  }
}

function keyOfChunk(id: string, index: number): string {
  return chunkKey(id, index).toString('latin1');
}
