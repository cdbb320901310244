/** CRLF to LF while a message streams into a Maildir, whose files have the line ends of the system. */

const CR = 0x0d;

export class LineEnds {
  /** The last chunk ended in CR: whether it goes is known with the next byte. */
  #heldCr = false;

  convert(chunk: Buffer): Buffer {
    if (chunk.length === 0) return chunk;
    const endsInCr = chunk[chunk.length - 1] === CR;
    const text =
      (this.#heldCr ? '\r' : '') + chunk.toString('latin1', 0, endsInCr ? chunk.length - 1 : chunk.length);
    this.#heldCr = endsInCr;
    // One native pass over one-byte text; latin1 keeps every byte as it is.
    return Buffer.from(text.replaceAll('\r\n', '\n'), 'latin1');
  }

  /** What is left when no more comes. */
  end(): Buffer {
    const rest = Buffer.from(this.#heldCr ? '\r' : '');
    this.#heldCr = false;
    return rest;
  }
}
