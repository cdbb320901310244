/**
 * A stored message on its way to a hop, whichever command carries it: content-data (DATA) or content-bdat (BDAT).
 * Chunk by chunk, so that memory does not grow with the message, and with the last one held back until the queue has
 * said that length and checksum are right: a damaged message is never completed.
 */
import type { Lease } from '../queue/spool.js';

import type { HopSocket } from './hop-socket.js';

/** How a command writes the stored bytes. One per message. */
export interface Framing {
  /** In front of the first chunk, in one write with it. */
  readonly head: Buffer;
  /** The chunk itself where nothing needs changing. */
  frame(chunk: Buffer): Buffer;
  /** Behind the last chunk. @throws PosternError SPOOL_CORRUPT when what was framed cannot be the message */
  tail(): Buffer;
}

export class StoredChunks {
  readonly #chunks: AsyncIterator<Buffer, unknown>;
  /** Read while the hop thinks about the envelope. */
  #first: Promise<IteratorResult<Buffer, unknown>> | undefined;

  constructor(lease: Lease) {
    this.#chunks = lease.body()[Symbol.asyncIterator]();
    this.#first = this.#chunks.next();
    // Whoever asks for it gets the error; if the hop wants no content, nobody does.
    this.#first.catch(ignore);
  }

  /** @throws PosternError SPOOL_CORRUPT */
  next(): Promise<IteratorResult<Buffer, unknown>> {
    const first = this.#first;
    this.#first = undefined;
    return first ?? this.#chunks.next();
  }

  /** Never rejects. */
  async close(): Promise<void> {
    await this.#chunks.return?.().catch(ignore);
  }
}

/**
 * Writes all but what is to be written last, which it gives back: the message is whole and checked by then.
 * @throws PosternError RELAY_TIMEOUT, RELAY_PROTOCOL, SPOOL_CORRUPT
 */
export async function writeUntilLast(
  socket: HopSocket,
  chunks: StoredChunks,
  framing: Framing,
  blockTimeoutMs: number,
): Promise<readonly Buffer[]> {
  let head = framing.head;
  let held: Buffer = nothing;
  for (let step = await chunks.next(); step.done !== true; step = await chunks.next()) {
    if (held.length > 0) {
      await socket.send([head, held], blockTimeoutMs);
      head = nothing;
    }
    held = framing.frame(step.value);
  }
  if (socket.error !== undefined) throw socket.error;
  return [head, held, framing.tail()];
}

const nothing = Buffer.alloc(0);

function ignore(): void {}
