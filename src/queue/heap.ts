/** A binary heap by one number. Insert, take and remove cost O(log n), the first is known at once. */

export interface HeapItem {
  /** Kept by the heap: position in it, -1 outside. */
  heapIndex: number;
}

export class Heap<T extends HeapItem> {
  readonly #items: T[] = [];
  readonly #order: (item: T) => number;

  /** @param order must not change while the item is inside */
  constructor(order: (item: T) => number) {
    this.#order = order;
  }

  get count(): number {
    return this.#items.length;
  }

  /** The one that is first in order. */
  get first(): T | undefined {
    return this.#items[0];
  }

  insert(item: T): void {
    this.#items.push(item);
    this.#raise(item, this.#items.length - 1);
  }

  remove(item: T): void {
    const at = item.heapIndex;
    const last = this.#items.pop();
    item.heapIndex = -1;
    if (last === undefined || last === item) return;
    this.#sink(last, at);
    this.#raise(last, last.heapIndex);
  }

  #raise(item: T, from: number): void {
    const order = this.#order(item);
    let at = from;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = this.#items[above];
      if (parent === undefined || this.#order(parent) <= order) break;
      this.#place(parent, at);
      at = above;
    }
    this.#place(item, at);
  }

  #sink(item: T, from: number): void {
    const order = this.#order(item);
    let at = from;
    for (;;) {
      const child = this.#earlierChild(at);
      const below = this.#items[child];
      if (below === undefined || this.#order(below) >= order) break;
      this.#place(below, at);
      at = child;
    }
    this.#place(item, at);
  }

  #earlierChild(at: number): number {
    const left = 2 * at + 1;
    const a = this.#items[left];
    const b = this.#items[left + 1];
    return a !== undefined && b !== undefined && this.#order(b) < this.#order(a) ? left + 1 : left;
  }

  #place(item: T, at: number): void {
    this.#items[at] = item;
    item.heapIndex = at;
  }
}
