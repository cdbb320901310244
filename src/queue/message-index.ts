/**
 * What this process knows of the messages in its files without reading them: enough to lease, list and count. The
 * records themselves stay on disk. Built by commits and by scans (adoption.ts), changed by the spool alone.
 */
import type { Generation } from './generation.js';
import type { MessageRecord } from './record.js';
import { Schedule, type RouteHeap, type Slot } from './schedule.js';
import type { MessageState } from './spool.js';
import { pendingRoutes, stateOf } from './transitions.js';

/** One route of a message that still has something to do. */
export interface RouteSlot extends Slot {
  readonly entry: Entry;
  /** The attempt that the next lease begins is already counted on disk. */
  counted: boolean;
}

export interface Entry {
  readonly id: string;
  readonly generation: Generation;
  readonly bytes: number;
  readonly chunks: number;
  readonly arrivedAtMs: number;
  readonly routes: readonly string[];
  state: MessageState;
  /** Of its pending routes; in the schedule exactly while the message may be leased. */
  slots: RouteSlot[];
  leased: boolean;
  /** The newest record while it is not on disk yet, and how many commits of it are under way. */
  unwritten: MessageRecord | undefined;
  writes: number;
  /** The record as it was stored, kept for a while: saves the relay a read. */
  recent: MessageRecord | undefined;
}

// Of records kept in memory after their commit (about 1 KiB each): the relay takes most messages at once.
const maxRecent = 1000;

export class MessageIndex {
  readonly #entries = new Map<string, Entry>();
  readonly #schedule = new Schedule<RouteSlot>();
  readonly #counts: Record<MessageState, number> = { active: 0, deferred: 0, held: 0, failed: 0 };
  readonly #routeSets = new Map<string, readonly string[]>();
  #bytes = 0;
  #recent = 0;

  get counts(): Readonly<Record<MessageState, number>> {
    return this.#counts;
  }

  get bytes(): number {
    return this.#bytes;
  }

  oldestArrivedAtMs(): number | undefined {
    let oldest: number | undefined;
    for (const { arrivedAtMs } of this.#entries.values())
      if (oldest === undefined || arrivedAtMs < oldest) oldest = arrivedAtMs;
    return oldest;
  }

  get due(): ReadonlyMap<string, RouteHeap<RouteSlot>> {
    return this.#schedule.routes;
  }

  /** In the order in which this process got to know them. */
  entries(): IterableIterator<Entry> {
    return this.#entries.values();
  }

  get(id: string): Entry | undefined {
    return this.#entries.get(id);
  }

  /** @param counted the first attempt of each route is counted and has not begun */
  add(id: string, record: MessageRecord, generation: Generation, counted: boolean): Entry {
    const entry: Entry = {
      id,
      generation,
      bytes: record.bytes,
      chunks: record.chunks,
      arrivedAtMs: record.arrivedAtMs,
      routes: this.#shared(record.routes.map((progress) => progress.route)),
      state: stateOf(record),
      slots: [],
      leased: false,
      unwritten: undefined,
      writes: 0,
      recent: undefined,
    };
    entry.slots = makeSlots(entry, record, () => counted);
    this.#entries.set(id, entry);
    this.#counts[entry.state]++;
    this.#bytes += entry.bytes;
    generation.messages++;
    this.#reschedule(entry);
    return entry;
  }

  remove(entry: Entry): void {
    this.#unschedule(entry);
    this.#forgetRecent(entry);
    this.#entries.delete(entry.id);
    this.#counts[entry.state]--;
    this.#bytes -= entry.bytes;
    entry.generation.messages--;
  }

  /** The record has changed: new state, new due times. */
  update(entry: Entry, record: MessageRecord): void {
    this.#unschedule(entry);
    this.#forgetRecent(entry);
    const counted = new Map(entry.slots.map((slot) => [slot.route, slot.counted]));
    entry.slots = makeSlots(entry, record, (route) => counted.get(route) ?? false);
    this.#counts[entry.state]--;
    entry.state = stateOf(record);
    this.#counts[entry.state]++;
    this.#reschedule(entry);
  }

  /** The next due message of a route, out of the schedule until `endLease`. */
  lease(route: string, nowMs: number): RouteSlot | undefined {
    const slot = this.#schedule.takeDue(route, nowMs);
    if (slot === undefined) return undefined;
    slot.entry.leased = true;
    this.#unschedule(slot.entry);
    return slot;
  }

  endLease(entry: Entry): void {
    entry.leased = false;
    this.#reschedule(entry);
  }

  /** The attempt that a lease would have begun did not begin: the next lease need not count it again. */
  keepCounted(entry: Entry, route: string): void {
    for (const slot of entry.slots) if (slot.route === route) slot.counted = true;
  }

  /** Keeps a record just stored in memory until it changes, if there is room. */
  keepRecent(entry: Entry, record: MessageRecord): void {
    if (this.#recent >= maxRecent) return;
    this.#recent++;
    entry.recent = record;
  }

  #forgetRecent(entry: Entry): void {
    if (entry.recent === undefined) return;
    entry.recent = undefined;
    this.#recent--;
  }

  /** One array for all messages with the same routes: there are few of those, and many messages. */
  #shared(routes: readonly string[]): readonly string[] {
    const key = routes.join('\n');
    const known = this.#routeSets.get(key);
    if (known !== undefined) return known;
    this.#routeSets.set(key, routes);
    return routes;
  }

  #unschedule(entry: Entry): void {
    for (const slot of entry.slots) this.#schedule.remove(slot);
  }

  #reschedule(entry: Entry): void {
    if (entry.leased || entry.state === 'held' || entry.state === 'failed') return;
    for (const slot of entry.slots) if (slot.heapIndex < 0) this.#schedule.insert(slot);
  }
}

function makeSlots(entry: Entry, record: MessageRecord, isCounted: (route: string) => boolean): RouteSlot[] {
  return pendingRoutes(record).map((progress) => ({
    entry,
    route: entry.routes.find((route) => route === progress.route) ?? progress.route,
    nextAttemptAtMs: progress.nextAttemptAtMs,
    heapIndex: -1,
    counted: isCounted(progress.route),
  }));
}
