/** One JSON line per message, for the comparison of what was acknowledged with what arrived. Several processes append. */
import { closeSync, openSync, writeSync } from 'node:fs';

// A file opened for appending takes each write in one piece; lines are gathered for a moment, not one write each.
const flushMs = 50;
const flushBytes = 64 * 1024;

export class RecordFile {
  #fd;
  #pending = '';
  #timer;

  /** @param {string} path */
  constructor(path) {
    this.#fd = openSync(path, 'a');
    this.#timer = setInterval(() => this.#flush(), flushMs);
    this.#timer.unref();
  }

  /** @param {Record<string, unknown>} row */
  write(row) {
    this.#pending += `${JSON.stringify(row)}\n`;
    if (this.#pending.length > flushBytes) this.#flush();
  }

  close() {
    clearInterval(this.#timer);
    this.#flush();
    closeSync(this.#fd);
  }

  #flush() {
    if (this.#pending === '') return;
    const text = this.#pending;
    this.#pending = '';
    writeSync(this.#fd, text);
  }
}
