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

/**
 * The stored chunks in order. The last one is given out only when length and checksum of the whole are right, so that
 * damage can never pass for a complete message.
 * @throws PosternError SPOOL_CORRUPT
 */
export async function* readBody(source: BodySource): AsyncGenerator<Buffer, void, void> {
  let bytes = 0;
  let checksum = 0;
  for (let index = 0; index < source.chunks; index++) {
    if (index > 0 && index % chunksPerTurn === 0) await nextTurn();
    const chunk = source.chunk(index);
    if (chunk === undefined) throw corrupt(source, `chunk ${index} of ${source.chunks} is missing`);
    bytes += chunk.length;
    checksum = crc32(chunk, checksum);
    if (index === source.chunks - 1) {
      if (bytes !== source.bytes) throw corrupt(source, `${bytes} bytes instead of ${source.bytes}`);
      if (checksum !== source.crc32) throw corrupt(source, 'its checksum is wrong');
    }
    yield chunk;
  }
}

function corrupt(source: BodySource, reason: string): PosternError {
  return new PosternError('SPOOL_CORRUPT', `message ${source.id} in ${source.file}: ${reason}`);
}
