/**
 * How far long work is, on stderr: a line that changes in place on a terminal, now and then a line where it goes to a
 * file or a journal. Nothing for work that is over at once.
 */
import { grouped } from './amounts.js';

// Often enough to look alive, seldom enough not to matter.
const terminalPeriodMs = 100;
const linePeriodMs = 30_000;

export class Progress {
  readonly #verb: string;
  readonly #total: number;
  readonly #onTerminal = process.stderr.isTTY;
  #done = 0;
  #saidAtMs = performance.now();
  #isShown = false;

  /** @param verb what is being done: `exported` @param total of how many; 0: not known */
  constructor(verb: string, total = 0) {
    this.#verb = verb;
    this.#total = total;
  }

  add(more: number): void {
    this.#done += more;
    const nowMs = performance.now();
    if (nowMs - this.#saidAtMs < (this.#onTerminal ? terminalPeriodMs : linePeriodMs)) return;
    this.#saidAtMs = nowMs;
    this.#isShown = true;
    process.stderr.write(this.#onTerminal ? `\r\u001b[K${this.#text()}` : `${this.#text()}\n`);
  }

  /** Leaves a terminal as it was. */
  end(): void {
    if (this.#isShown && this.#onTerminal) process.stderr.write('\r\u001b[K');
    this.#isShown = false;
  }

  #text(): string {
    const of = this.#total === 0 ? '' : ` of ${grouped(this.#total)}`;
    return `${this.#verb} ${grouped(this.#done)}${of}`;
  }
}
