/**
 * A waiting line before something that can do only so much at once: a bound on what runs and one on what waits. The
 * pool has one for each kind of task, so that a flood of log-ins (0.1 s of CPU each) fills its own line and never
 * delays or crowds out the DNS questions. Some may go first: they have a line of their own before the other, as long as
 * it, so that those who guess passwords keep nobody waiting who is known. Pure: knows no threads and no clock.
 */

/** A place in the line. `start` is called once, when it is its turn; then `finish` must be. */
export interface Entry {
  /** Its turn comes before all that do not go first. */
  readonly goesFirst?: boolean;
  start(): void;
}

export class Lane {
  readonly #running: Set<Entry> = new Set();
  /** Insertion order is the order of turns; a Set, because an entry whose time is up leaves from the middle. */
  readonly #waiting: Set<Entry> = new Set();
  readonly #waitingFirst: Set<Entry> = new Set();
  readonly #maxRunning: number;
  readonly #maxWaiting: number;

  constructor(maxRunning: number, maxWaiting: number) {
    this.#maxRunning = maxRunning;
    this.#maxWaiting = maxWaiting;
  }

  get waiting(): number {
    return this.#waiting.size + this.#waitingFirst.size;
  }

  /** False, and nothing kept, when its line is full. May call `start` before it returns. */
  enter(entry: Entry): boolean {
    if (this.#running.size < this.#maxRunning) this.#begin(entry);
    else {
      const line = entry.goesFirst === true ? this.#waitingFirst : this.#waiting;
      if (line.size >= this.#maxWaiting) return false;
      line.add(entry);
    }
    return true;
  }

  /** Done, or given up while it waited. Its place goes to the next in line. */
  leave(entry: Entry): void {
    this.#waitingFirst.delete(entry);
    this.#waiting.delete(entry);
    if (!this.#running.delete(entry)) return;
    const line = this.#waitingFirst.size > 0 ? this.#waitingFirst : this.#waiting;
    const next = line.values().next().value;
    if (next === undefined) return;
    line.delete(next);
    this.#begin(next);
  }

  #begin(entry: Entry): void {
    this.#running.add(entry);
    entry.start();
  }
}
