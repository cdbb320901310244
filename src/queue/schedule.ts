/**
 * When the messages of each destination are due: one heap per destination, ordered by next attempt. It holds exactly
 * what may be leased: leased, held, parked and failed messages are taken out by the index and put back later. No
 * clock, no I/O.
 */
import { Heap, type HeapItem } from './heap.js';

/** A place in the heap of one destination. */
export interface Slot extends HeapItem {
  readonly route: string;
  /** Changes only while it is outside. */
  nextAttemptAtMs: number;
}

/** The due times of one destination. Live: what the dispatcher reads changes with the queue. */
export class RouteHeap<T extends Slot> extends Heap<T> {
  constructor() {
    super(nextAttemptAtMs);
  }

  /** Infinity when empty. */
  get earliestAtMs(): number {
    return this.first?.nextAttemptAtMs ?? Infinity;
  }

  /** The earliest, if it is due. */
  takeDue(nowMs: number): T | undefined {
    const { first } = this;
    if (first === undefined || first.nextAttemptAtMs > nowMs) return undefined;
    this.remove(first);
    return first;
  }
}

export class Schedule<T extends Slot> {
  readonly #routes = new Map<string, RouteHeap<T>>();

  /** Destinations with something to lease. */
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

function nextAttemptAtMs(slot: Slot): number {
  return slot.nextAttemptAtMs;
}
