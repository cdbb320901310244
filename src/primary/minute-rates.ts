/**
 * One kind of what happened in the last minute per key, over all workers. Pure: the caller passes the clock in.
 *
 * The minute slides in six slices beside the one that runs, so that what counts is the last 60 to 70 s: in no minute is
 * there more than the limit. A token bucket, the alternative, lets twice as much into the minute after a rest.
 */
import { KeysAtLimit, type ScopedLimits } from './keys-at-limit.js';

const sliceMs = 10_000;
const slices = 60_000 / sliceMs + 1;
// About 10 MB at worst. 20 000 different /64 (attacks.md A-053) are known at once; of more, those are forgotten first that
// nothing was heard of for long, and connectionsPerWorker bounds what such a flood can do.
const defaultMaxKeys = 50_000;

interface Window {
  /** Number of the slice that the last event fell into. */
  slice: number;
  total: number;
  readonly counts: number[];
}

export class MinuteRates {
  readonly #maxKeys: number;
  // Two halves: what is heard of moves to the young one; when that is full, or a minute old, the other half is dropped
  // whole. One Map as a queue took 15 times the CPU (120 000 keys past a bound of 20 000: 1 170 ms, so 75 ms): to find its
  // first entry V8 steps over all that were deleted before it.
  #young = new Map<string, Window>();
  #old = new Map<string, Window>();
  #bornInSlice = 0;
  readonly atLimit: KeysAtLimit;

  constructor(limits: ScopedLimits, maxKeys = defaultMaxKeys) {
    this.atLimit = new KeysAtLimit(limits);
    this.#maxKeys = maxKeys;
  }

  add(events: Readonly<Record<string, number>>, nowMs: number): void {
    for (const [key, count] of Object.entries(events)) this.#add(key, count, nowMs);
  }

  /** Lets go of what is older than a minute. */
  expire(nowMs: number): void {
    const slice = sliceAt(nowMs);
    if (slice - this.#bornInSlice >= slices) this.#dropOld(slice);
    for (const key of this.atLimit) {
      const window = this.#young.get(key) ?? this.#old.get(key);
      if (window !== undefined) advance(window, slice);
      this.atLimit.judge(key, window?.total ?? 0);
    }
  }

  setLimits(limits: ScopedLimits): void {
    this.atLimit.setLimits(limits);
    for (const half of [this.#old, this.#young])
      for (const [key, { total }] of half) this.atLimit.judge(key, total);
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  #add(key: string, count: number, nowMs: number): void {
    const slice = sliceAt(nowMs);
    const window = this.#young.get(key) ?? this.#rejuvenate(key, slice);
    advance(window, slice);
    const at = slice % slices;
    window.counts[at] = (window.counts[at] ?? 0) + count;
    window.total += count;
    this.atLimit.judge(key, window.total);
  }

  #rejuvenate(key: string, slice: number): Window {
    if (this.#young.size >= this.#maxKeys / 2) this.#dropOld(slice);
    const window = this.#old.get(key) ?? newWindow(slice);
    this.#old.delete(key);
    this.#young.set(key, window);
    return window;
  }

  #dropOld(slice: number): void {
    for (const key of this.#old.keys()) this.atLimit.judge(key, 0);
    this.#old = this.#young;
    this.#young = new Map();
    this.#bornInSlice = slice;
  }
}

function sliceAt(nowMs: number): number {
  return Math.floor(nowMs / sliceMs);
}

function newWindow(slice: number): Window {
  return { slice, total: 0, counts: Array.from({ length: slices }, () => 0) };
}

/** Empties the slices that have become too old. */
function advance(window: Window, slice: number): void {
  const steps = Math.min(slice - window.slice, slices);
  for (let step = 1; step <= steps; step++) {
    const at = (window.slice + step) % slices;
    window.total -= window.counts[at] ?? 0;
    window.counts[at] = 0;
  }
  window.slice = Math.max(window.slice, slice);
}
