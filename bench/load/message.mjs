/**
 * The messages of a load run. One template per process: only the id at the top differs from message to message, so that
 * making one costs a copy of its first bytes. The first line is `X-Load-Id: ID`; the sink hashes from there on, below
 * whatever trace fields servers put on top.
 */
import { createHash } from 'node:crypto';

export const idHeader = 'X-Load-Id: ';
/** 8 of the run, a dash, 10 of the counter. */
export const idLength = 19;

const idStart = idHeader.length;
const filler = 'The quick brown fox jumps over the lazy dog; 0123456789 and so on to the end.\r\n';
// Every line needs a dot of its own on the wire: the most work that a body can make for dot-(un)stuffing.
const dotFiller = '.dot\r\n..\r\n.\r\n';

export class MessageTemplate {
  /** As sent, dots stuffed, with the end-of-data line. */
  #wire;
  /** As it is, for the hash. */
  #plain;

  /** @param {{ sizeBytes: number, dotHeavy: boolean, from: string, to: string }} options */
  constructor({ sizeBytes, dotHeavy, from, to }) {
    const header =
      `${idHeader}${'0'.repeat(idLength)}\r\n` +
      `From: <${from}>\r\nTo: <${to}>\r\nSubject: load\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\n\r\n`;
    const line = dotHeavy ? dotFiller : filler;
    const bodyBytes = Math.max(sizeBytes - header.length, 2);
    // Whole groups of lines, then one of what is left: a cut between CR and LF would be a bare CR, which is refused.
    const groups = Math.floor((bodyBytes - 2) / line.length);
    const body = `${line.repeat(groups)}${'x'.repeat(bodyBytes - 2 - groups * line.length)}\r\n`;
    const text = header + body;
    this.#plain = Buffer.from(text, 'latin1');
    this.#wire = Buffer.from(`${text.replaceAll('\r\n.', '\r\n..')}.\r\n`, 'latin1');
  }

  get bytes() {
    return this.#plain.length;
  }

  /** @param {string} id @returns {[Buffer, Buffer]} to be written one after the other; the second is shared, the first new */
  wire(id) {
    const split = Math.min(this.#wire.length, copiedBytes);
    const head = Buffer.allocUnsafe(split);
    this.#wire.copy(head, 0, 0, split);
    head.write(id, idStart, idLength, 'latin1');
    return [head, this.#wire.subarray(split)];
  }

  /** @param {string} id @returns {string} of the message without dot-stuffing, hex */
  sha256(id) {
    this.#plain.write(id, idStart, idLength, 'latin1');
    return createHash('sha256').update(this.#plain).digest('hex');
  }
}

// Up to here one copied piece and one write is cheaper than two writes.
const copiedBytes = 16 * 1024;

/** @param {string} run 8 characters @param {number} number @returns {string} */
export function messageId(run, number) {
  return `${run}-${String(number).padStart(10, '0')}`;
}
