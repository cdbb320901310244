/**
 * Taking over files of a process that is gone: every envelope into the index, every chunk without an envelope out of
 * the file. In slices, so that mail goes in and out meanwhile. Here, too, a message that keeps ending its workers is
 * parked (F-41), and of two copies of a message one goes.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

import { describeError, errorCodeOf } from '../base/errors.js';
import type { Generation } from './generation.js';
import type { Generations } from './generations.js';
import { chunkKey, chunksAfter, idOf } from './keys.js';
import type { Entry } from './message-index.js';
import type { Messages } from './messages.js';
import { decodeOutline, type RecordOutline } from './record.js';
import type { SpoolHooks } from './spool.js';
import { afterSetBack, forgive, poisonOf } from './transitions.js';

export interface AdoptionHost {
  /** True: the process goes down, stop. */
  readonly stopped: boolean;
  readonly onDue: ((route: string) => void) | undefined;
  damaged(id: string, reason: string, generation: Generation): void;
}

/** What a scan tells as it goes. */
interface Finder {
  readonly stopped: boolean;
  found(id: string, record: RecordOutline, generation: Generation): void;
  /** It was found in this file, and is there. */
  knows(id: string, generation: Generation): boolean;
  damaged(id: string, reason: string, generation: Generation): void;
  /** After each slice. */
  sliceDone(): void;
}

// One turn of the event loop reads so many envelopes at most, which takes two or three milliseconds, and of large ones
// (a thousand recipients: 100 KiB) as many as are read in that time.
const slice = { count: 400, bytes: 2 ** 18 };
const sliceKeys = 1_000;

export class Adoption implements Finder {
  readonly #messages: Messages;
  readonly #generations: Generations;
  readonly #hooks: SpoolHooks;
  readonly #host: AdoptionHost;
  #done: Promise<unknown> = Promise.resolve();
  /** The process whose files are being scanned fell by something that a message may have caused. */
  #blame = false;
  #found = 0;
  /** Destinations that the slice being scanned found messages for. */
  #foundRoutes = new Set<string>();
  /** Messages that the scan parked, on their way to disk. */
  #parked: Promise<void>[] = [];

  constructor(messages: Messages, generations: Generations, hooks: SpoolHooks, host: AdoptionHost) {
    this.#messages = messages;
    this.#generations = generations;
    this.#hooks = hooks;
    this.#host = host;
  }

  /** Resolves when all that were begun have ended. */
  get done(): Promise<unknown> {
    return this.#done;
  }

  /** @returns how many messages were found in them */
  adopt(files: readonly string[], blame: boolean): Promise<number> {
    // One after the other: a death is blamed on the one file that is being opened or scanned.
    const adopted = this.#done.then(() => this.#adoptAll(files, blame));
    this.#done = adopted;
    return adopted;
  }

  /** Into the index, unless it is known already and the known copy is the newer: then this one goes. */
  take(id: string, record: RecordOutline, generation: Generation): Entry | undefined {
    const known = this.#messages.index.get(id);
    if (known !== undefined && !this.#giveWay(known, record)) {
      generation.committer.remove({ id, chunks: record.chunks });
      return undefined;
    }
    return this.#messages.index.add(id, record, generation, false);
  }

  get stopped(): boolean {
    return this.#host.stopped;
  }

  found(id: string, record: RecordOutline, generation: Generation): void {
    const forgiven = this.#blame ? record : forgive(record);
    const entry = this.take(id, afterSetBack(forgiven, Date.now()), generation);
    if (entry === undefined) return;
    this.#found++;
    entry.forgiven = forgiven !== record;
    const poison = this.#blame ? poisonOf(record) : undefined;
    if (poison === undefined) for (const { route } of record.routes) this.#foundRoutes.add(route);
    else this.#parked.push(this.#park(entry, poison));
  }

  knows(id: string, generation: Generation): boolean {
    return this.#messages.index.get(id)?.generation === generation;
  }

  damaged(id: string, reason: string, generation: Generation): void {
    this.#host.damaged(id, reason, generation);
  }

  sliceDone(): void {
    for (const route of this.#foundRoutes) this.#host.onDue?.(route);
    this.#foundRoutes.clear();
  }

  async #adoptAll(files: readonly string[], blame: boolean): Promise<number> {
    this.#blame = blame;
    this.#found = 0;
    for (const file of files) {
      if (this.stopped) break;
      this.#hooks.phase({ kind: 'opening', file });
      const generation = await this.#generations.adopt(file);
      if (generation !== undefined) {
        this.#hooks.phase({ kind: 'scanning', file });
        if (!(await this.#scan(generation))) break;
      }
      // Broken off, it was not read: what earlier deaths said of it is not to be forgotten.
      if (this.stopped) break;
      this.#hooks.phase(undefined);
    }
    return this.#found;
  }

  /** False: a commit failed meanwhile, so that it cannot be read; the next process reads it. */
  async #scan(generation: Generation): Promise<boolean> {
    try {
      const { recordCount } = generation;
      const seen = await scanEnvelopes(generation, this);
      // Where an envelope cannot be read, chunks only look as if they had none: they are for salvage. Where every record
      // belongs to a message, nothing is walked: a tenth of the scan.
      if (generation.damaged === 0 && seen + 1 < recordCount) await removeOrphans(generation, this);
    } catch (error) {
      if (errorCodeOf(error) === 'SPOOL_CLOSED') return false;
      // Its pages are in disorder: what was found is served, the file stays for salvage.
      generation.damaged++;
      this.#hooks.damaged({ file: generation.file, reason: describeError(error) });
    }
    this.sliceDone();
    // A write that fails ends the process, or did so already: the next one parks what this one could not.
    await Promise.allSettled(this.#parked.splice(0));
    // A scan that was stopped has not seen all: the file is for the next process, whatever the counts say.
    if (this.stopped) return false;
    generation.scanning = false;
    this.#generations.retireIfEmpty(generation);
    return true;
  }

  async #park(entry: Entry, reason: string): Promise<void> {
    const record = this.#messages.readable(entry);
    if (record === undefined) return;
    await this.#messages.write(entry, { ...record, parked: reason });
    this.#hooks.parked?.({ id: entry.id, reason });
  }

  /**
   * The same message in two files: a crash fell between its copy into a newer file and its removal from the old one.
   * The copy that was moved more often stays, of two alike the one that saw more attempts. True: the known one was
   * dropped.
   */
  #giveWay(known: Entry, record: RecordOutline): boolean {
    if (known.slots.some(({ leased }) => leased) || known.writes > 0 || known.move !== undefined)
      return false;
    const before = this.#messages.readable(known);
    if (before === undefined) return true;
    if (record.moves < before.moves) return false;
    if (record.moves === before.moves && attemptsOf(record) <= attemptsOf(before)) return false;
    this.#messages.remove(known);
    return true;
  }
}

function attemptsOf(record: RecordOutline): number {
  return record.routes.reduce((sum, progress) => sum + progress.attempts, 0);
}

/** @returns how many envelopes and chunks there must be by what the envelopes say */
async function scanEnvelopes(generation: Generation, finder: Finder): Promise<number> {
  let last = '';
  let records = 0;
  for (;;) {
    const envelopes = finder.stopped ? [] : generation.envelopesAfter(last, slice, readEnvelope);
    if (envelopes.length === 0) return records;
    for (const { key, value } of envelopes) {
      last = idOf(key);
      records++;
      if (typeof value === 'string') {
        finder.damaged(last, value, generation);
      } else {
        finder.found(last, value, generation);
        records += value.chunks;
      }
    }
    finder.sliceDone();
    await nextTurn();
  }
}

/** @returns why it cannot be read, when it cannot */
function readEnvelope(envelope: Buffer): RecordOutline | string {
  try {
    return decodeOutline(envelope);
  } catch (error) {
    return describeError(error);
  }
}

/** What a large message left whose envelope never came: its process died, or its client did. */
async function removeOrphans(generation: Generation, finder: Finder): Promise<void> {
  let last = '';
  for (;;) {
    const { start, end } = chunksAfter(last);
    const keys = finder.stopped ? [] : generation.keys(start, end, sliceKeys);
    if (keys.length === 0) return;
    for (const key of keys) {
      const id = idOf(key);
      if (id === last) continue;
      last = id;
      if (!finder.knows(id, generation) && generation.envelope(id) === undefined)
        generation.committer.remove({ id, chunks: countChunks(generation, id) });
    }
    await nextTurn();
  }
}

function countChunks(generation: Generation, id: string): number {
  return generation.keys(chunkKey(id, 0), chunkKey(id, 0xffff_ffff), 0xffff_ffff).length;
}
