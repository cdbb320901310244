/**
 * Is there room for another message? Looks at the file system of the data directory once a second, at the bytes in
 * flight and at the queue at each look and after each message; while there is no room, the ask mask has MAIL set and
 * MAIL gets 452 (RFC 5321 §4.2.3) before the reserve is touched. Between two looks what comes in counts against what was
 * free, and where that is used up the next look is at once. Messages whose MAIL was accepted still come in.
 */
import { statfs } from 'node:fs/promises';
import { leastFreeBytes, lookAgainBytes } from '../base/disk-reserve.js';
import { describeError } from '../base/errors.js';
import { formatBytes } from '../base/units.js';
import type { Log } from '../base/log.js';
import type { LimitsConfig } from '../config/config.js';
import { askBits } from '../protocol/types.js';
import type { Spool, SpoolStats } from '../queue/spool.js';

/** The checked Config fits. */
export interface RoomConfig {
  readonly dataDir: string;
  readonly workers: number;
  readonly limits: Pick<LimitsConfig, 'diskReserve' | 'bytesInFlight' | 'queueMessages' | 'queueBytes'>;
}

type RoomSpool = Pick<Spool, 'giveBackSpace'> & {
  stats(): Pick<SpoolStats, 'messages' | 'bytes' | 'bytesInFlight'>;
};

// What a fresh queue file must find free: one that cannot be made would end the worker. It takes 128 KiB at first.
const newFileBytes = 2 ** 20;

export class RoomMonitor {
  /** Read by every session at each command. */
  readonly ask = { mask: 0 };
  readonly #config: RoomConfig;
  readonly #spool: RoomSpool;
  readonly #log: Log;
  readonly #messagesShare: number;
  readonly #bytesShare: number;
  #diskShort = false;
  /** What may still come in by the last look; all workers write to the same disk, and are taken to take as much as this one. */
  #allowanceBytes = Infinity;
  #takenBytes = 0;
  /** As the log was told. */
  #queueFull = false;
  #commitRefused = false;
  #closed = false;
  #looking = false;

  constructor(config: RoomConfig, spool: RoomSpool, log: Log) {
    this.#config = config;
    this.#spool = spool;
    this.#log = log;
    // Even shares, so that no worker has to ask another; rounded up, since one message must always have room.
    this.#messagesShare = Math.ceil(config.limits.queueMessages / config.workers);
    this.#bytesShare = Math.ceil(config.limits.queueBytes / config.workers);
  }

  /** Why MAIL gets 452, one sentence for an operator; '' while it does not. */
  get refusing(): string {
    this.update();
    if (this.ask.mask === 0) return '';
    if (this.#closed) return 'a commit to the queue failed: the worker ends and is replaced';
    if (this.#commitRefused) return 'MAIL gets 452: the disk is full';
    const reserve = formatBytes(this.#config.limits.diskReserve);
    if (this.#diskShort || this.#isUsedUp)
      return `MAIL gets 452: no more free disk than limits.diskReserve (${reserve})`;
    const stats = this.#spool.stats();
    return this.#isQueueFull(stats)
      ? `MAIL gets 452: ${this.#fullQueue(stats)}`
      : 'MAIL gets 452: more than limits.bytesInFlight is received and not yet on disk';
  }

  get diskShort(): boolean {
    return this.#diskShort;
  }

  /** Once a second, and once before the listeners open. One at a time: a disk that hangs holds a thread for each. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    // Not yet on the disk that is asked now. What comes in meanwhile may be or not: it counts in full.
    const inFlightBytes = this.#spool.stats().bytesInFlight;
    const takenBefore = this.#takenBytes;
    const freeBytes = await this.#freeBytes();
    this.#looking = false;
    this.#takenBytes -= takenBefore;
    const { workers, limits } = this.#config;
    this.#allowanceBytes = (freeBytes - limits.diskReserve) / workers - inFlightBytes;
    const short = freeBytes < leastFreeBytes(limits.diskReserve, workers);
    if (short !== this.#diskShort) this.#announce(short, freeBytes);
    this.#diskShort = short;
    if (short && freeBytes >= newFileBytes) this.#spool.giveBackSpace();
    this.#announceQueue();
    this.update();
  }

  async #freeBytes(): Promise<number> {
    const directory = this.#config.dataDir;
    try {
      const disk = await statfs(directory);
      return disk.bavail * disk.bsize;
    } catch (error) {
      this.#log.error(
        { event: 'disk.unreadable', directory, err: describeError(error) },
        'cannot ask for free space',
      );
      return 0;
    }
  }

  /** Bytes of a message came in. */
  took(bytes: number): void {
    this.#takenBytes += bytes;
    if (!this.#isUsedUp) return;
    this.ask.mask |= askBits.MAIL;
    if (this.#takenBytes >= lookAgainBytes) void this.look();
  }

  get #isUsedUp(): boolean {
    return this.#config.limits.diskReserve > 0 && this.#takenBytes > this.#allowanceBytes;
  }

  /** The spool's word (SpoolHooks.diskFull): a commit found no space, or finds space again. */
  diskFull(full: boolean): void {
    this.#commitRefused = full;
    this.update();
  }

  /** The queue takes nothing more for good: its first commit failed. */
  closeForGood(): void {
    this.#closed = true;
    this.update();
  }

  /** At each look, each MAIL while there is no room, and behind each message. Cheap. */
  update(): void {
    const stats = this.#spool.stats();
    const isFlooded = stats.bytesInFlight > this.#config.limits.bytesInFlight;
    const isFull =
      this.#closed ||
      this.#commitRefused ||
      this.#diskShort ||
      this.#isUsedUp ||
      isFlooded ||
      this.#isQueueFull(stats);
    if (isFull) this.ask.mask |= askBits.MAIL;
    else this.ask.mask &= ~askBits.MAIL;
  }

  #isQueueFull(stats: Pick<SpoolStats, 'messages' | 'bytes'>): boolean {
    return countOf(stats) >= this.#messagesShare || stats.bytes >= this.#bytesShare;
  }

  #fullQueue(stats: Pick<SpoolStats, 'messages' | 'bytes'>): string {
    const { workers } = this.#config;
    const share = workers === 1 ? '' : `; the share of a worker is 1/${workers}`;
    return countOf(stats) >= this.#messagesShare
      ? `limits.queueMessages is reached (${countOf(stats)} in the queue${share})`
      : `limits.queueBytes is reached (${formatBytes(stats.bytes)} in the queue${share})`;
  }

  /** At each look alone: a queue at its limit is now over and now under it with every message. */
  #announceQueue(): void {
    const stats = this.#spool.stats();
    const full = this.#isQueueFull(stats);
    if (full === this.#queueFull) return;
    this.#queueFull = full;
    const facts = { messages: countOf(stats), bytes: stats.bytes };
    if (full)
      this.#log.error(
        { event: 'queue.full', ...facts },
        `${this.#fullQueue(stats)}: MAIL gets 452 until there are fewer; the relay goes on`,
      );
    else this.#log.info({ event: 'queue.room', ...facts }, 'the queue has room again: mail is accepted');
  }

  #announce(short: boolean, freeBytes: number): void {
    const free = formatBytes(freeBytes);
    const reserve = formatBytes(this.#config.limits.diskReserve);
    if (short) {
      this.#log.error(
        { event: 'disk.short', directory: this.#config.dataDir, freeBytes },
        `only ${free} free, and limits.diskReserve (${reserve}) is kept: MAIL gets 452 until there is more; the relay goes on`,
      );
    } else {
      this.#log.info({ event: 'disk.room', freeBytes }, `${free} free again: mail is accepted`);
    }
  }
}

function countOf({ messages }: Pick<SpoolStats, 'messages'>): number {
  return messages.active + messages.deferred + messages.held + messages.parked + messages.failed;
}
