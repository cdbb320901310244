/**
 * Is there room for another message? Looks at the file system of the data directory once a second and at the bytes in
 * flight at each look; while there is not, the ask mask has MAIL set and MAIL gets 452 before the reserve is touched.
 */
import { statfs } from 'node:fs/promises';
import { describeError } from '../base/errors.js';
import { formatBytes } from '../base/units.js';
import type { Log } from '../base/log.js';
import { askBits } from '../protocol/types.js';

interface Room {
  readonly directory: string;
  readonly reserveBytes: number;
  /** Beyond this many bytes received and not yet on disk, new mail is refused until it falls. */
  readonly bytesInFlight: number;
  bytesInFlightNow(): number;
  giveBackSpace(): void;
}

// What a fresh queue file must find free: one that cannot be made would end the worker. It takes 128 KiB at first.
const newFileBytes = 2 ** 20;

export class RoomMonitor {
  /** Read by every session at each command. */
  readonly ask = { mask: 0 };
  readonly #room: Room;
  readonly #log: Log;
  #diskShort = false;
  #closed = false;
  #looking = false;

  constructor(room: Room, log: Log) {
    this.#room = room;
    this.#log = log;
  }

  /** Why MAIL gets 452, one sentence for an operator; '' while it does not. */
  get refusing(): string {
    this.update();
    if (this.ask.mask === 0) return '';
    if (this.#closed) return 'a commit to the queue failed: the worker ends and is replaced';
    const reserve = formatBytes(this.#room.reserveBytes);
    if (this.#diskShort) return `MAIL gets 452: less free disk than limits.diskReserve (${reserve})`;
    return 'MAIL gets 452: more than limits.bytesInFlight is received and not yet on disk';
  }

  get diskShort(): boolean {
    return this.#diskShort;
  }

  /** Once a second, and once before the listeners open. One at a time: a disk that hangs holds a thread for each. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const freeBytes = await this.#freeBytes();
    this.#looking = false;
    const { reserveBytes } = this.#room;
    const short = freeBytes < reserveBytes;
    if (short !== this.#diskShort) this.#announce(short, freeBytes);
    this.#diskShort = short;
    if (short && freeBytes >= newFileBytes) this.#room.giveBackSpace();
    this.update();
  }

  async #freeBytes(): Promise<number> {
    const { directory } = this.#room;
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

  /** The queue takes nothing more for good: its first commit failed. */
  closeForGood(): void {
    this.#closed = true;
    this.update();
  }

  update(): void {
    const full = this.#closed || this.#diskShort || this.#room.bytesInFlightNow() > this.#room.bytesInFlight;
    if (full) this.ask.mask |= askBits.MAIL;
    else this.ask.mask &= ~askBits.MAIL;
  }

  #announce(short: boolean, freeBytes: number): void {
    const free = formatBytes(freeBytes);
    const reserve = formatBytes(this.#room.reserveBytes);
    if (short) {
      this.#log.error(
        { event: 'disk.short', directory: this.#room.directory, freeBytes },
        `only ${free} free, less than limits.diskReserve (${reserve}): MAIL gets 452 until there is more; the relay goes on`,
      );
    } else {
      this.#log.info({ event: 'disk.room', freeBytes }, `${free} free again: mail is accepted`);
    }
  }
}
