/**
 * The bytes a session was given and has not used: one chunk it works on, and those that came while it could not.
 * Chunks are held, not copied; they are let go as soon as they are used up.
 */

// A caller pauses reading while the session cannot go on; this is far beyond what was under way by then.
const maxKeptBytes = 1024 * 1024;

export class KeptInput {
  chunk: Buffer | undefined;
  /** The first unused byte of `chunk`. */
  at = 0;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;

  add(chunk: Buffer): void {
    if (chunk.length === 0) return;
    if (this.chunk === undefined) {
      this.chunk = chunk;
      this.at = 0;
      return;
    }
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes > maxKeptBytes) throw new Error('a session that cannot go on was fed without end');
    this.#waiting.push(chunk);
  }

  /** Moves on when the chunk is used up; undefined when nothing is left. */
  current(): Buffer | undefined {
    if (this.chunk !== undefined && this.at >= this.chunk.length) {
      this.chunk = this.#waiting.shift();
      this.#waitingBytes -= this.chunk?.length ?? 0;
      this.at = 0;
    }
    return this.chunk;
  }

  get isEmpty(): boolean {
    return this.current() === undefined;
  }

  clear(): void {
    this.chunk = undefined;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}
