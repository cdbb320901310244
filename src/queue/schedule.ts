/**
 * When the messages of each route are due: one binary heap per route, ordered by next attempt. It holds exactly
 * what may be leased: leased, held and failed messages are taken out by the index and put back later. Insert, take
 * and remove cost O(log n), what is due next O(1); no clock, no I/O.
 */

/** A place in the heap of one route. */
export interface Slot {
  readonly route: string;
  nextAttemptAtMs: number;
  /** Kept by the schedule: position in the heap, -1 outside. */
  heapIndex: number;
}

/** The due times of one route. Live: what the dispatcher reads changes with the queue. */
export class RouteHeap<T extends Slot> {
  readonly #slots: T[] = [];

  get count(): number {
    return this.#slots.length;
  }

  /** Infinity when empty. */
  get earliestAtMs(): number {
    return this.#slots[0]?.nextAttemptAtMs ?? Infinity;
  }

  insert(slot: T): void {
    this.#slots.push(slot);
    this.#raise(slot, this.#slots.length - 1);
  }

  /** The earliest, if it is due. */
  takeDue(nowMs: number): T | undefined {
    const first = this.#slots[0];
    if (first === undefined || first.nextAttemptAtMs > nowMs) return undefined;
    this.remove(first);
    return first;
  }

  remove(slot: T): void {
    const at = slot.heapIndex;
    const last = this.#slots.pop();
    slot.heapIndex = -1;
    if (last === undefined || last === slot) return;
    this.#sink(last, at);
    this.#raise(last, last.heapIndex);
  }

  #raise(slot: T, from: number): void {
    let at = from;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = this.#slots[above];
      if (parent === undefined || parent.nextAttemptAtMs <= slot.nextAttemptAtMs) break;
      this.#place(parent, at);
      at = above;
    }
    this.#place(slot, at);
  }

  #sink(slot: T, from: number): void {
    let at = from;
    for (;;) {
      const child = this.#earlierChild(at);
      const below = this.#slots[child];
      if (below === undefined || below.nextAttemptAtMs >= slot.nextAttemptAtMs) break;
      this.#place(below, at);
      at = child;
    }
    this.#place(slot, at);
  }

  #earlierChild(at: number): number {
    const left = 2 * at + 1;
    const a = this.#slots[left];
    const b = this.#slots[left + 1];
    return a !== undefined && b !== undefined && b.nextAttemptAtMs < a.nextAttemptAtMs ? left + 1 : left;
  }

  #place(slot: T, at: number): void {
    this.#slots[at] = slot;
    slot.heapIndex = at;
  }
}

export class Schedule<T extends Slot> {
  readonly #routes = new Map<string, RouteHeap<T>>();

  /** Routes with something to lease. */
  get routes(): ReadonlyMap<string, RouteHeap<T>> {
    return this.#routes;
  }

  insert(slot: T): void {
    let heap = this.#routes.get(slot.route);
    if (heap === undefined) {
      heap = new RouteHeap<T>();
      this.#routes.set(slot.route, heap);
    }
    heap.insert(slot);
  }

  /** Nothing happens for a slot that is outside. */
  remove(slot: T): void {
    if (slot.heapIndex < 0) return;
    this.#routes.get(slot.route)?.remove(slot);
    this.#forgetIfEmpty(slot.route);
  }

  takeDue(route: string, nowMs: number): T | undefined {
    const slot = this.#routes.get(route)?.takeDue(nowMs);
    if (slot !== undefined) this.#forgetIfEmpty(route);
    return slot;
  }

  #forgetIfEmpty(route: string): void {
    if (this.#routes.get(route)?.count === 0) this.#routes.delete(route);
  }
}
