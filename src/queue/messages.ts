/**
 * The messages of the index together with their records on disk: finds, reads, rewrites and removes them. What should
 * happen to a message is decided in lmdb-spool.ts.
 */
import { PosternError, describeError, errorCodeOf } from '../base/errors.js';
import { envelopeKey } from './keys.js';
import { readBody, type BodySource } from './message-body.js';
import { MessageIndex, type Entry } from './message-index.js';
import { decodeRecord, encodeRecord, type MessageRecord } from './record.js';
import { forgive } from './transitions.js';

export class Messages {
  readonly index = new MessageIndex();
  readonly #damaged: (entry: Entry, reason: string) => void;

  /** @param damaged told of an envelope that cannot be read any more; its message is out of the index by then */
  constructor(damaged: (entry: Entry, reason: string) => void) {
    this.#damaged = damaged;
  }

  /** @throws PosternError NOT_FOUND */
  find(id: string): Entry {
    const entry = this.index.get(id);
    if (entry === undefined) throw new PosternError('NOT_FOUND', `no message ${id} in the queue`);
    return entry;
  }

  /** The newest record of a message. @throws PosternError SPOOL_CORRUPT, SPOOL_FORMAT */
  record(entry: Entry): MessageRecord {
    const known = entry.unwritten ?? entry.recent;
    if (known !== undefined) return known;
    const bytes = entry.generation.envelope(entry.id);
    if (bytes === undefined)
      throw new PosternError('SPOOL_CORRUPT', `the envelope of ${entry.id} is missing`);
    const record = decodeRecord(bytes);
    return entry.forgiven ? forgive(record) : record;
  }

  /** As record; undefined when it cannot be read. @throws PosternError SPOOL_CLOSED */
  readable(entry: Entry): MessageRecord | undefined {
    try {
      return this.record(entry);
    } catch (error) {
      if (errorCodeOf(error) === 'SPOOL_CLOSED') throw error;
      this.index.remove(entry);
      this.#damaged(entry, describeError(error));
      return undefined;
    }
  }

  /** Makes a new record the message's own at once, and resolves when it is on disk. */
  async write(entry: Entry, record: MessageRecord): Promise<void> {
    const encoded = encodeRecord(record);
    this.index.update(entry, record);
    entry.unwritten = record;
    entry.forgiven = false;
    entry.writes++;
    await entry.generation.committer.submit('urgent', {
      bytes: encoded.length,
      messages: 0,
      whenFull: 'wait',
      // Not of a message that has gone meanwhile: its removal may be on disk already.
      write: (env) => {
        if (this.index.get(entry.id) === entry) env.put(envelopeKey(entry.id), encoded);
      },
    });
    entry.writes--;
    if (entry.writes === 0) entry.unwritten = undefined;
  }

  /** Out of the queue at once, out of its file with the next commits: losing that costs a duplicate. */
  remove(entry: Entry): void {
    this.index.remove(entry);
    entry.generation.committer.remove({ id: entry.id, chunks: entry.chunks });
  }

  /** Resolves when it is certain that the message does not come back. */
  async removeNow(entry: Entry): Promise<void> {
    const removed = entry.generation.committer.submit('urgent', {
      bytes: 0,
      messages: 0,
      whenFull: 'wait',
      write: (env) => env.remove(envelopeKey(entry.id)),
    });
    this.remove(entry);
    await removed;
  }

  /** The stored bytes, checked. @throws PosternError SPOOL_CORRUPT; NOT_FOUND once the message is deleted */
  body(entry: Entry, record: MessageRecord): AsyncIterable<Buffer> {
    return readBody(this.bodySource(entry, record));
  }

  bodySource(entry: Entry, record: MessageRecord): BodySource {
    return {
      id: entry.id,
      file: entry.generation.file,
      bytes: record.bytes,
      chunks: record.chunks,
      crc32: record.crc32,
      chunk: (index) => {
        // Once it is out of the index its file may be closed at any time.
        if (this.index.get(entry.id) !== entry)
          throw new PosternError('NOT_FOUND', `message ${entry.id} was deleted`);
        return entry.generation.chunk(entry.id, index);
      },
    };
  }
}
