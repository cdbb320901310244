/** A small seeded generator (xorshift32): every suite prints its seed, and the same seed makes the same choices. */

export class Random {
  #state: number;

  constructor(seed: number) {
    // Zero would stay zero.
    this.#state = (seed >>> 0) | 1;
    for (let warm = 0; warm < 8; warm++) this.#step();
  }

  /** In [0, 1). */
  next(): number {
    return this.#step() / 2 ** 32;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  pick<T>(values: readonly T[]): T {
    const value = values[this.between(0, values.length - 1)];
    if (value === undefined) throw new RangeError('nothing to pick from');
    return value;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  #step(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }
}

/** That of the environment variable, or a new one for each run. */
export function seedOfRun(variable: string): number {
  const given = process.env[variable];
  return given === undefined ? (Date.now() ^ (process.pid << 8)) >>> 0 : Number(given);
}
