/**
 * BDAT (RFC 3030 §2): the stored bytes as they are, in one `BDAT n LAST`. Its length is known, so more commands would
 * only mean more replies; what keeps a damaged message from being completed is that the last of the n octets are not
 * written until the checksum is known (content.ts), and a connection that ends before that ends the message unsent.
 */
import { PosternError } from '../base/errors.js';

import type { Framing } from './content.js';

export class BdatFraming implements Framing {
  readonly head: Buffer;
  /** Announced and not yet framed. */
  #leftBytes: number;

  /** @param bytes of the whole message, as stored */
  constructor(bytes: number) {
    this.head = Buffer.from(`BDAT ${bytes} LAST\r\n`, 'latin1');
    this.#leftBytes = bytes;
  }

  frame(chunk: Buffer): Buffer {
    this.#leftBytes -= chunk.length;
    // What is too much would be the hop's next command.
    if (this.#leftBytes < 0) throw otherLength();
    return chunk;
  }

  tail(): Buffer {
    if (this.#leftBytes !== 0) throw otherLength();
    return nothing;
  }
}

const nothing = Buffer.alloc(0);

function otherLength(): PosternError {
  return new PosternError('SPOOL_CORRUPT', 'the stored message is not as long as its record says');
}
