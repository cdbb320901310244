/** A set of key ranges, both ends included, that grows by ranges that may overlap. */

interface Range {
  first: string;
  last: string;
}

export class KeyCover {
  /** Disjoint, ascending. */
  readonly #ranges: Range[] = [];

  has(key: string): boolean {
    const range = this.#ranges[this.#firstEndingFrom(key)];
    return range !== undefined && range.first <= key;
  }

  add(first: string, last: string): void {
    const from = this.#firstEndingFrom(first);
    let to = from;
    const merged: Range = { first, last };
    for (
      let range = this.#ranges[to];
      range !== undefined && range.first <= last;
      range = this.#ranges[++to]
    ) {
      if (range.first < merged.first) merged.first = range.first;
      if (range.last > merged.last) merged.last = range.last;
    }
    this.#ranges.splice(from, to - from, merged);
  }

  /** Index of the first range that ends at `key` or after it. */
  #firstEndingFrom(key: string): number {
    let [low, high] = [0, this.#ranges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle]?.last ?? '') < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
