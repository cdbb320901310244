/**
 * Makes each CR and each LF that stands alone a CRLF, in a message that a sender with such line ends is allowed to send.
 * What comes out is canonical: nothing that two servers could read in two ways leaves the relay (attacks.md A-011).
 * The end of data was found before, by CR LF . CR LF alone, and dots at the head of a line that began behind a LF alone
 * are not stuffed ones. Used from the first such CR or LF of a message on.
 */
import { CR, LF } from './characters.js';

const lineFeed = Buffer.from('\n', 'latin1');
const nothing = Buffer.alloc(0);

export class NewlineNormalizer {
  /** The last byte given out was a CR: its LF comes first, whether or not the message has it. */
  #afterCr = false;

  /** @param afterCr what came before ended with a CR */
  begin(afterCr: boolean): void {
    this.#afterCr = afterCr;
  }

  convert(bytes: Buffer, start: number, end: number): Buffer {
    if (start === end) return nothing;
    const from = this.#afterCr && bytes[start] === LF ? start + 1 : start;
    const head = this.#afterCr ? '\n' : '';
    this.#afterCr = from < end && bytes[end - 1] === CR;
    const to = this.#afterCr ? end - 1 : end;
    // One native pass over one-byte text; latin1 keeps every byte as it is.
    const lines = bytes.toString('latin1', from, to).replaceAll(/\r\n?|\n/g, '\r\n');
    return Buffer.from(`${head}${lines}${this.#afterCr ? '\r' : ''}`, 'latin1');
  }

  /** What is missing when no more comes. */
  end(): Buffer {
    const missing = this.#afterCr ? lineFeed : nothing;
    this.#afterCr = false;
    return missing;
  }
}
