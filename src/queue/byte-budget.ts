/**
 * A budget of bytes that are received and not yet on disk, of all messages of this process or of a client network, and who has to
 * wait when it is spent. It counts and wakes; the bytes themselves are the writers' (message-writer.ts).
 *
 * Every writer can overshoot by the one read that was under way, so the line where reading stops lies below the limit
 * by one read per writer. If the line is passed and nothing is on its way to the disk, all that is held is
 * half-received messages that no commit will ever free: then the oldest are spilled to disk early, so that no set of
 * slow senders can stop the others.
 */

export interface BudgetMember {
  /** There is room again. */
  wake(): void;
  /** Sends to disk what it holds in memory; returns how many bytes those are. */
  spill(): number;
}

// What one read from a socket brings at most (libuv's read buffer).
const readBytes = 64 * 1024;
// Those who were woken have read by then; it is known whether there is room for the next ones.
const wakeAgainMs = 5;

export class ByteBudget {
  readonly #limitBytes: number;
  readonly #members = new Set<BudgetMember>();
  /** First come, first served. */
  readonly #waiting = new Set<BudgetMember>();
  #usedBytes = 0;
  #held = false;
  /** The part of the used bytes that a submitted write will free. */
  #writingBytes = 0;
  #wakeTimer: NodeJS.Timeout | undefined;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Received, not yet on disk. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  get exhausted(): boolean {
    return this.#held || this.#usedBytes >= this.#lineBytes;
  }

  /** Nobody counts on it and nothing is in flight. */
  get isIdle(): boolean {
    return this.#members.size === 0 && this.#usedBytes === 0;
  }

  /** True: spent, whatever it counts itself, until it is told otherwise. What is held in memory goes to disk meanwhile. */
  hold(on: boolean): void {
    if (on === this.#held) return;
    this.#held = on;
    if (on) this.#relieve();
    else this.#wakeSome();
  }

  get #lineBytes(): number {
    return Math.max(this.#limitBytes / 2, this.#limitBytes - this.#members.size * readBytes);
  }

  join(member: BudgetMember): void {
    this.#members.add(member);
  }

  /** No more bytes come from it. What it has in flight is freed as it is written. */
  leave(member: BudgetMember): void {
    this.#members.delete(member);
    this.#waiting.delete(member);
  }

  received(bytes: number): void {
    this.#usedBytes += bytes;
    this.#relieve();
  }

  /** Bytes that were received are on their way to disk. */
  submitted(bytes: number): void {
    this.#writingBytes += bytes;
  }

  /** Bytes that were submitted are on disk, or refused. */
  written(bytes: number): void {
    this.#writingBytes -= bytes;
    this.dropped(bytes);
  }

  /** Bytes that were received are forgotten. */
  dropped(bytes: number): void {
    this.#usedBytes -= bytes;
    this.#wakeSome();
    this.#relieve();
  }

  /** `wake` will be called once. */
  wait(member: BudgetMember): void {
    this.#waiting.add(member);
  }

  /** As many as there is room for a read of each; all of them would rush over the line together. */
  #wakeSome(): void {
    let roomBytes = this.#lineBytes - this.#usedBytes;
    if (this.#held || roomBytes <= 0) return;
    for (const member of this.#waiting) {
      if (roomBytes <= 0) break;
      roomBytes -= readBytes;
      this.#waiting.delete(member);
      member.wake();
    }
    if (this.#waiting.size > 0 && this.#wakeTimer === undefined) this.#wakeTimer = this.#wakeLater();
  }

  #wakeLater(): NodeJS.Timeout {
    return setTimeout(() => {
      this.#wakeTimer = undefined;
      this.#wakeSome();
    }, wakeAgainMs).unref();
  }

  #relieve(): void {
    if (this.#writingBytes > 0 || !this.exhausted) return;
    let spilledBytes = 0;
    for (const member of this.#members) {
      spilledBytes += member.spill();
      if (spilledBytes >= this.#limitBytes / 4) return;
    }
  }
}
