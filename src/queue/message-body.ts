/** Reading a message back, chunk by chunk: one short read transaction each, length and checksum checked on the way. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';

import { PosternError } from '../base/errors.js';

export interface BodySource {
  readonly id: string;
  readonly file: string;
  readonly bytes: number;
  readonly chunks: number;
  readonly crc32: number;
  /** @throws PosternError NOT_FOUND once the message is deleted */
  chunk(index: number): Buffer | undefined;
}

// Reads come from the page cache or block: after 1 MiB the event loop gets its turn, and the read snapshot ends.
const chunksPerTurn = 16;

/** How far a message was read, from its top: `chunks` of them, `bytes` long, with this checksum. */
interface Progress {
  readonly chunks: number;
  readonly bytes: number;
  readonly crc32: number;
}

const top: Progress = { chunks: 0, bytes: 0, crc32: 0 };

/** The next chunk. @throws PosternError SPOOL_CORRUPT, of the last chunk also when the whole is not what was stored */
function readChunk(source: BodySource, at: Progress): { readonly chunk: Buffer; readonly after: Progress } {
  const chunk = source.chunk(at.chunks);
  if (chunk === undefined) throw corrupt(source, `chunk ${at.chunks} of ${source.chunks} is missing`);
  const after = {
    chunks: at.chunks + 1,
    bytes: at.bytes + chunk.length,
    crc32: crc32(chunk, at.crc32),
  };
  if (after.chunks === source.chunks) {
    if (after.bytes !== source.bytes)
      throw corrupt(source, `${after.bytes} bytes instead of ${source.bytes}`);
    if (after.crc32 !== source.crc32) throw corrupt(source, 'its checksum is wrong');
  }
  return { chunk, after };
}

/**
 * The stored chunks in order. The last one is given out only when length and checksum of the whole are right, so that
 * damage can never pass for a complete message.
 * @throws PosternError SPOOL_CORRUPT
 */
export async function* readBody(source: BodySource): AsyncGenerator<Buffer, void, void> {
  let at = top;
  while (at.chunks < source.chunks) {
    if (at.chunks > 0 && at.chunks % chunksPerTurn === 0) await nextTurn();
    const { chunk, after } = readChunk(source, at);
    at = after;
    yield chunk;
  }
}

// Exports that run at the same time, each reading one message.
const maxKept = 8;

/**
 * Parts of messages, for calls that ask for one after the other: where each was left is remembered, because chunks are
 * not all of one length and a part can be found only from the top.
 */
export class BodyParts {
  /** By message; the one used last comes last. */
  readonly #left = new Map<string, Progress>();

  /** From `offset`, at most `limit` bytes; empty at the end. @throws PosternError SPOOL_CORRUPT, NOT_FOUND */
  async read(source: BodySource, offset: number, limit: number): Promise<Buffer> {
    const left = this.#left.get(source.id) ?? top;
    let at = left.bytes <= offset ? left : top;
    const parts: Buffer[] = [];
    const end = Math.min(offset + limit, source.bytes);
    let full = at;
    for (let read = 1; at.chunks < source.chunks && at.bytes < end; read++) {
      if (read % chunksPerTurn === 0) await nextTurn();
      const { chunk, after } = readChunk(source, at);
      if (after.bytes > offset) parts.push(chunk.subarray(Math.max(0, offset - at.bytes), end - at.bytes));
      at = after;
      if (at.bytes <= end) full = at;
    }
    this.#remember(source, full);
    return Buffer.concat(parts);
  }

  #remember(source: BodySource, at: Progress): void {
    this.#left.delete(source.id);
    if (at.chunks === source.chunks) return;
    this.#left.set(source.id, at);
    for (const id of this.#left.keys()) {
      if (this.#left.size <= maxKept) break;
      this.#left.delete(id);
    }
  }
}

function corrupt(source: BodySource, reason: string): PosternError {
  return new PosternError('SPOOL_CORRUPT', `message ${source.id} in ${source.file}: ${reason}`);
}
