/**
 * The sink's reader of a message body: finds CR LF . CR LF wherever the chunks are cut and passes the bytes on with the
 * dots unstuffed. Written apart from Postern's own reader on purpose: one must not share the other's mistakes.
 */

const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;

// What has just been seen. A message starts like a line.
const Seen = /** @type {const} */ ({ text: 0, cr: 1, crlf: 2, crlfDot: 3, crlfDotCr: 4 });

const lineStartDot = Buffer.from('\r\n.');
// Below this a loop copies faster than a call into Node's C++ does; a dot-heavy body is all short pieces.
const shortPieceBytes = 64;

export class SinkDataReader {
  /** @type {number} */ #seen = Seen.crlf;
  #emit;
  /** The unstuffed bytes of this chunk: one slice to hash, not one a line. */
  #out = Buffer.alloc(0);
  #outBytes = 0;

  /** @param {((slice: Buffer) => void) | undefined} emit borrowed slices, in order; undefined: only the end is wanted */
  constructor(emit) {
    this.#emit = emit;
  }

  /** @param {Buffer} chunk @param {number} start @returns {number} where the bytes after the message begin, or -1 */
  feed(chunk, start) {
    if (this.#emit === undefined) return this.#scan(chunk, start);
    // One more than the chunk: a CR may be held back from the one before.
    if (this.#out.length <= chunk.length) this.#out = Buffer.allocUnsafe(chunk.length + 1);
    this.#outBytes = 0;
    const end = this.#scan(chunk, start);
    if (this.#outBytes > 0) this.#emit(this.#out.subarray(0, this.#outBytes));
    return end;
  }

  /** @param {Buffer} chunk @param {number} start */
  #scan(chunk, start) {
    let at = start;
    let from = start;
    while (at < chunk.length) {
      const byte = chunk[at];
      switch (this.#seen) {
        case Seen.text: {
          const found = chunk.indexOf(lineStartDot, at);
          if (found >= 0) {
            at = found + 2;
            this.#seen = Seen.crlf;
          } else {
            this.#seen = lastSeen(chunk, at);
            at = chunk.length;
          }
          continue;
        }
        case Seen.cr:
          this.#seen = byte === LF ? Seen.crlf : byte === CR ? Seen.cr : Seen.text;
          break;
        case Seen.crlf:
          if (byte === DOT) {
            // Held back until what follows says whether it ends the message or was stuffed.
            this.#take(chunk, from, at);
            from = at + 1;
            this.#seen = Seen.crlfDot;
          } else this.#seen = byte === CR ? Seen.cr : Seen.text;
          break;
        case Seen.crlfDot:
          if (byte === CR) {
            from = at + 1;
            this.#seen = Seen.crlfDotCr;
          } else this.#seen = Seen.text;
          break;
        default:
          if (byte === LF) {
            this.#seen = Seen.crlf;
            return at + 1;
          }
          // CR LF . CR and then no LF: the dot was stuffed, the CR belongs to the text.
          this.#out[this.#outBytes++] = CR;
          from = at;
          this.#seen = byte === CR ? Seen.cr : Seen.text;
      }
      at += 1;
    }
    this.#take(chunk, from, chunk.length);
    return -1;
  }

  /** @param {Buffer} chunk @param {number} from @param {number} to */
  #take(chunk, from, to) {
    if (this.#emit === undefined) return;
    const out = this.#out;
    let at = this.#outBytes;
    this.#outBytes += to - from;
    if (to - from > shortPieceBytes) chunk.copy(out, at, from, to);
    else for (let i = from; i < to; i++) out[at++] = chunk[i] ?? 0;
  }
}

/** @param {Buffer} chunk @param {number} from @returns {number} */
function lastSeen(chunk, from) {
  const last = chunk.length - 1;
  if (chunk[last] === CR) return Seen.cr;
  if (chunk[last] === LF && last > from && chunk[last - 1] === CR) return Seen.crlf;
  return Seen.text;
}
