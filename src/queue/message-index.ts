/**
 * What this process knows of the messages in its files without reading them: enough to lease, list and count. The
 * records themselves stay on disk. Built by commits and by scans (adoption.ts), changed by the spool alone.
 */
import type { Generation } from './generation.js';
import { Heap, type HeapItem } from './heap.js';
import type { MessageRecord, RecordOutline } from './record.js';
import { Schedule, type RouteHeap, type Slot } from './schedule.js';
import type { Lease, MessageState, RouteProgress } from './spool.js';
import { isSuspect, pendingRoutes, stateOf } from './transitions.js';

/** One destination of a message that still has something to do. */
export interface RouteSlot extends Slot {
  readonly entry: Entry;
  /** The attempt that the next lease begins is already counted on disk. */
  counted: boolean;
  /** A worker fell while it was tried (transitions.ts). */
  suspect: boolean;
  leased: boolean;
  /** Undefined while the lease is being made. */
  lease: Lease | undefined;
}

export interface Entry extends HeapItem {
  readonly id: string;
  /** Grows from message to message. */
  readonly serial: number;
  /** Where it lies; a move to another file changes it. */
  generation: Generation;
  readonly bytes: number;
  readonly chunks: number;
  readonly arrivedAtMs: number;
  readonly routes: readonly string[];
  state: MessageState;
  /** Of its pending destinations; in the schedule exactly while they may be leased. */
  slots: RouteSlot[];
  /** The newest record while it is not on disk yet, and how many commits of it are under way. */
  unwritten: MessageRecord | undefined;
  writes: number;
  /** The record as it was stored, kept for a while: saves the relay a read. */
  recent: MessageRecord | undefined;
  /** Attempts that were cut short are forgiven, and the record on disk does not say so yet. */
  forgiven: boolean;
  /** It is on its way to another file, and nothing else may happen to it until this resolves. */
  move: Promise<void> | undefined;
}

// Of records kept in memory after their commit (about 1 KiB each): the relay takes most messages at once.
const maxRecent = 1000;

// Sets of destinations that are remembered; where a route looks MX up, they are as many as the domains that are written to.
const maxRouteSets = 10_000;

export class MessageIndex {
  /** However it ends: settled, given back, or with its message. Called in the middle of a change. */
  onLeaseEnd: ((slot: RouteSlot) => void) | undefined = undefined;
  readonly #entries = new Map<string, Entry>();
  readonly #schedule = new Schedule<RouteSlot>();
  /** A walk through the index at each scrape would be felt: 100 000 messages are some milliseconds. */
  readonly #byAge = new Heap<Entry>((entry) => entry.arrivedAtMs);
  readonly #counts: Record<MessageState, number> = { active: 0, deferred: 0, held: 0, parked: 0, failed: 0 };
  readonly #routeSets = new Map<string, readonly string[]>();
  #bytes = 0;
  #recent = 0;
  #leased = 0;
  #serial = 0;

  get counts(): Readonly<Record<MessageState, number>> {
    return this.#counts;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Destinations of messages that are leased now. */
  get leased(): number {
    return this.#leased;
  }

  get oldestArrivedAtMs(): number | undefined {
    return this.#byAge.first?.arrivedAtMs;
  }

  get due(): ReadonlyMap<string, RouteHeap<RouteSlot>> {
    return this.#schedule.routes;
  }

  /** Of the newest message. */
  get lastSerial(): number {
    return this.#serial;
  }

  /** In the order in which this process got to know them. */
  entries(): IterableIterator<Entry> {
    return this.#entries.values();
  }

  get(id: string): Entry | undefined {
    return this.#entries.get(id);
  }

  /** @param counted the first attempt of each destination is counted and has not begun */
  add(id: string, record: RecordOutline, generation: Generation, counted: boolean): Entry {
    const pending = pendingRoutes(record);
    const entry: Entry = {
      id,
      serial: ++this.#serial,
      heapIndex: -1,
      generation,
      bytes: record.bytes,
      chunks: record.chunks,
      arrivedAtMs: record.arrivedAtMs,
      routes: this.#shared(record.routes),
      state: stateOf(record, pending),
      slots: [],
      unwritten: undefined,
      writes: 0,
      recent: undefined,
      forgiven: false,
      move: undefined,
    };
    const [first] = pending;
    entry.slots =
      pending.length === 1 && first !== undefined
        ? [newSlot(entry, first, counted)]
        : pending.map((progress) => newSlot(entry, progress, counted));
    this.#entries.set(id, entry);
    this.#byAge.insert(entry);
    this.#counts[entry.state]++;
    this.#bytes += entry.bytes;
    generation.messages++;
    generation.messageBytes += entry.bytes;
    this.reschedule(entry);
    return entry;
  }

  remove(entry: Entry): void {
    for (const slot of entry.slots) this.#drop(slot);
    this.#forgetRecent(entry);
    this.#entries.delete(entry.id);
    this.#byAge.remove(entry);
    this.#counts[entry.state]--;
    this.#bytes -= entry.bytes;
    entry.generation.messages--;
    entry.generation.messageBytes -= entry.bytes;
  }

  /** It lies in another file now. */
  moved(entry: Entry, generation: Generation): void {
    this.#forgetRecent(entry);
    entry.forgiven = false;
    entry.generation.messages--;
    entry.generation.messageBytes -= entry.bytes;
    entry.generation = generation;
    generation.messages++;
    generation.messageBytes += entry.bytes;
  }

  /** The record has changed: new state, new due times. Leases go on. */
  update(entry: Entry, record: MessageRecord): void {
    this.#forgetRecent(entry);
    const left = new Map(entry.slots.map((slot) => [slot.route, slot]));
    entry.slots = pendingRoutes(record).map((progress) => {
      const slot = left.get(progress.route) ?? newSlot(entry, progress, false);
      left.delete(progress.route);
      this.#refresh(slot, progress);
      return slot;
    });
    for (const slot of left.values()) this.#drop(slot);
    this.#counts[entry.state]--;
    entry.state = stateOf(record);
    this.#counts[entry.state]++;
    if (mayBeLeased(entry)) this.reschedule(entry);
    else this.unschedule(entry);
  }

  /** The next due message of a destination, out of the schedule until `endLease` or `putBack`. */
  takeDue(route: string, nowMs: number): RouteSlot | undefined {
    return this.#schedule.takeDue(route, nowMs);
  }

  beginLease(slot: RouteSlot): void {
    slot.leased = true;
    this.#leased++;
  }

  endLease(slot: RouteSlot): void {
    this.#endLease(slot);
    this.reschedule(slot.entry);
  }

  /** The slot of a lease that has not ended. */
  slotOf(lease: Lease): RouteSlot | undefined {
    const slot = this.#entries.get(lease.message.id)?.slots.find(({ route }) => route === lease.route);
    return slot?.lease === lease ? slot : undefined;
  }

  /** Keeps a record just stored in memory until it changes, if there is room. */
  keepRecent(entry: Entry, record: MessageRecord): void {
    if (this.#recent >= maxRecent) return;
    this.#recent++;
    entry.recent = record;
  }

  unschedule(entry: Entry): void {
    for (const slot of entry.slots) this.#schedule.remove(slot);
  }

  /** Back into the schedule goes what may be leased and is outside. */
  reschedule(entry: Entry): void {
    if (!mayBeLeased(entry)) return;
    for (const slot of entry.slots) if (slot.heapIndex < 0 && !slot.leased) this.#schedule.insert(slot);
  }

  #refresh(slot: RouteSlot, progress: RouteProgress): void {
    slot.suspect = isSuspect(progress);
    if (slot.nextAttemptAtMs === progress.nextAttemptAtMs) return;
    this.#schedule.remove(slot);
    slot.nextAttemptAtMs = progress.nextAttemptAtMs;
  }

  #drop(slot: RouteSlot): void {
    this.#schedule.remove(slot);
    this.#endLease(slot);
  }

  #endLease(slot: RouteSlot): void {
    if (!slot.leased) return;
    slot.leased = false;
    slot.lease = undefined;
    this.#leased--;
    this.onLeaseEnd?.(slot);
  }

  #forgetRecent(entry: Entry): void {
    if (entry.recent === undefined) return;
    entry.recent = undefined;
    this.#recent--;
  }

  /** One array for all messages with the same destinations: there are few of those, and many messages. */
  #shared(routes: readonly RouteProgress[]): readonly string[] {
    const [first] = routes;
    const key =
      routes.length === 1 && first !== undefined ? first.route : routes.map(({ route }) => route).join('\n');
    const known = this.#routeSets.get(key);
    if (known !== undefined) return known;
    if (this.#routeSets.size >= maxRouteSets) this.#routeSets.clear();
    const names = routes.map(({ route }) => route);
    this.#routeSets.set(key, names);
    return names;
  }
}

function mayBeLeased(entry: Entry): boolean {
  return entry.move === undefined && (entry.state === 'active' || entry.state === 'deferred');
}

function newSlot(entry: Entry, progress: RouteProgress, counted: boolean): RouteSlot {
  return {
    entry,
    route: entry.routes.find((route) => route === progress.route) ?? progress.route,
    nextAttemptAtMs: progress.nextAttemptAtMs,
    heapIndex: -1,
    counted,
    suspect: isSuspect(progress),
    leased: false,
    lease: undefined,
  };
}
