/**
 * Empties queue files that hold little any more: a held message, or one that waits for days, must not keep a file of
 * hundreds of MiB on the disk. Its messages move to the file that takes new ones, one at a time in the background. The
 * copy is durable before the old one goes; a crash between leaves two, of which the scan keeps the one that moved
 * (adoption.ts). While it moves nothing else happens to a message: no lease, no operator's change.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { errorCodeOf } from '../base/errors.js';
import type { Generation } from './generation.js';
import type { Generations } from './generations.js';
import { chunkKey, envelopeKey } from './keys.js';
import type { Entry } from './message-index.js';
import type { Messages } from './messages.js';
import { encodeRecord, type MessageRecord } from './record.js';

export interface StragglerHost {
  readonly stopped: boolean;
  readonly onDue: ((route: string) => void) | undefined;
  damaged(id: string, reason: string, generation: Generation): void;
}

const defaultAfterMs = 10 * 60_000;
const looksPerWait = 120;
// In one transaction of a move: mail that waits for its 250 waits for that much at most, some milliseconds.
const stepBytes = 2 ** 19;
// 4 MiB a second, and 100 messages: a tenth of what a slow disk takes.
const bytesPerMs = 4096;
const pauseMs = 10;
// Entries of the index that are looked at in one turn: below a millisecond.
const entriesPerTurn = 2_000;

export class Stragglers {
  readonly #messages: Messages;
  readonly #generations: Generations;
  readonly #host: StragglerHost;
  readonly #afterMs: number;
  readonly #timer: NodeJS.Timeout;
  #work: Promise<void> | undefined;
  #stopped = false;

  /** @param afterMs a file is left alone for so long after it was full or taken over; default 10 minutes */
  constructor(messages: Messages, generations: Generations, host: StragglerHost, afterMs = defaultAfterMs) {
    this.#messages = messages;
    this.#generations = generations;
    this.#host = host;
    this.#afterMs = afterMs;
    this.#timer = setInterval(() => this.#look(), Math.max(10, afterMs / looksPerWait)).unref();
  }

  /** Resolves when nothing moves any more. */
  async close(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#work;
  }

  get #ends(): boolean {
    return this.#stopped || this.#host.stopped;
  }

  #look(): void {
    const from = this.#ends ? undefined : this.#generations.straggling(this.#afterMs);
    if (from === undefined || this.#work !== undefined) return;
    this.#work = this.#empty(from).finally(() => {
      this.#work = undefined;
    });
  }

  async #empty(from: Generation): Promise<void> {
    let seen = 0;
    for (const entry of this.#messages.index.entries()) {
      if (this.#ends) return;
      if (entry.generation === from && !isBusy(entry) && !(await this.#move(entry, from))) return;
      if (++seen % entriesPerTurn === 0) await sleep(1);
    }
  }

  /** False: no more for now, there is no room or the process ends. */
  async #move(entry: Entry, from: Generation): Promise<boolean> {
    const to = this.#generations.current;
    // What is left there of a copy that was given up is still to be removed, and the next one would go with it.
    if (to === undefined || to.committer.isRemoving(entry.id)) return false;
    const done = this.#moveAlone(entry, from, to);
    entry.move = done.then(() => undefined);
    const moved = await done;
    await sleep(Math.max(pauseMs, entry.bytes / bytesPerMs));
    return moved;
  }

  async #moveAlone(entry: Entry, from: Generation, to: Generation): Promise<boolean> {
    const { index } = this.#messages;
    index.unschedule(entry);
    to.writers++;
    try {
      return await this.#copyAndRemove(entry, from, to);
    } catch {
      // The disk is full. Or a failed commit: the spool knows of it from the committer, and both copies may be there.
      return false;
    } finally {
      to.writers--;
      entry.move = undefined;
      if (index.get(entry.id) === entry) index.reschedule(entry);
      for (const { route } of entry.slots) this.#host.onDue?.(route);
    }
  }

  async #copyAndRemove(entry: Entry, from: Generation, to: Generation): Promise<boolean> {
    const { index } = this.#messages;
    const record = this.#messages.readable(entry);
    // Damaged: reported, and out of the index; what is left of it stays for salvage.
    if (record === undefined) return true;
    const moved = { ...record, moves: record.moves + 1 };
    if (!(await this.#copyWhole(entry, from, to, moved))) return true;
    if (index.get(entry.id) !== entry) {
      to.committer.remove({ id: entry.id, chunks: entry.chunks });
      return true;
    }
    index.moved(entry, to);
    await from.committer.submit('urgent', {
      bytes: 0,
      messages: 0,
      whenFull: 'wait',
      write: (env) => env.remove(envelopeKey(entry.id)),
    });
    from.committer.remove({ id: entry.id, chunks: entry.chunks });
    return true;
  }

  /** As #copy; what did not fit as a whole is removed again. */
  async #copyWhole(entry: Entry, from: Generation, to: Generation, record: MessageRecord): Promise<boolean> {
    try {
      return await this.#copy(entry, from, to, record);
    } catch (error) {
      if (errorCodeOf(error) === 'SPOOL_FULL') to.committer.remove({ id: entry.id, chunks: entry.chunks });
      throw error;
    }
  }

  /** The envelope comes with the last chunks. False: a chunk is missing, it stays where it is. */
  async #copy(entry: Entry, from: Generation, to: Generation, record: MessageRecord): Promise<boolean> {
    for (let at = 0; ;) {
      const chunks: Buffer[] = [];
      let bytes = 0;
      for (; at + chunks.length < record.chunks && bytes < stepBytes;) {
        const chunk = from.chunk(entry.id, at + chunks.length);
        if (chunk === undefined) return this.#giveUp(entry, from, to, at);
        chunks.push(chunk);
        bytes += chunk.length;
      }
      const isLast = at + chunks.length === record.chunks;
      await this.#write(entry, to, at, chunks, isLast ? encodeRecord(record) : undefined);
      at += chunks.length;
      if (isLast) return true;
    }
  }

  #giveUp({ id }: Entry, from: Generation, to: Generation, chunks: number): false {
    to.committer.remove({ id, chunks });
    this.#host.damaged(id, 'a chunk is missing', from);
    return false;
  }

  async #write(
    { id }: Entry,
    to: Generation,
    first: number,
    chunks: readonly Buffer[],
    envelope: Buffer | undefined,
  ): Promise<void> {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, envelope?.length ?? 0);
    to.takenBytes += bytes;
    await to.committer.submit('bulk', {
      bytes,
      messages: 0,
      whenFull: 'try',
      write: (env) => {
        for (const [i, chunk] of chunks.entries()) env.put(chunkKey(id, first + i), chunk);
        if (envelope !== undefined) env.put(envelopeKey(id), envelope);
      },
    });
  }
}

function isBusy(entry: Entry): boolean {
  return entry.writes > 0 || entry.move !== undefined || entry.slots.some(({ leased }) => leased);
}
