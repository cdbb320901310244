/**
 * How much room a transaction needs before it may begin. LMDB is not let find out that a disk is full: of a write that
 * fails it makes a text of up to 120 bytes in 100 (3.5.6, mdb.c), and what lies behind them ends the process later.
 */

export interface TransactionSize {
  /** Keys that are put or removed. */
  readonly keys: number;
  /** Of the values. */
  readonly bytes: number;
  /** Nothing of it can be refused: it empties the queue, or notes what came of an attempt. */
  readonly drains: boolean;
}

// A record of 4 096 bytes takes 9.3 KB of pages, and other workers may write as much at the same time.
const pageBytesPerByte = 4;
// A removal touches a page or two of 4 KiB.
const pageBytesPerKey = 8 * 1024;
// For who fills the disk meanwhile: in the 5 ms of a commit, at 800 MB/s.
const elbowBytes = 2 ** 22;
const leastDrainBytes = 2 ** 17;

export function neededFreeBytes({ keys, bytes, drains }: TransactionSize): number {
  return bytes * pageBytesPerByte + keys * pageBytesPerKey + (drains ? leastDrainBytes : elbowBytes);
}

// Faster than disks are filled.
const mostBytesPerMs = 2e6;

/** Asks the file system (3 to 20 µs) only when what it said last may no longer be enough. */
export class FreeSpace {
  readonly #look: () => number | undefined;
  #freeBytes: number | undefined = 0;
  #lookedAtMs = 0;

  /** @param look undefined: the file system does not say */
  constructor(look: () => number | undefined) {
    this.#look = look;
  }

  /** @returns how many bytes are free, when there are fewer than needed */
  shortOf(neededBytes: number, nowMs: number): number | undefined {
    const presumed = (this.#freeBytes ?? Infinity) - (nowMs - this.#lookedAtMs) * mostBytesPerMs;
    if (presumed >= neededBytes) return undefined;
    this.#freeBytes = this.#look();
    this.#lookedAtMs = nowMs;
    return this.#freeBytes === undefined || this.#freeBytes >= neededBytes ? undefined : this.#freeBytes;
  }
}
