/**
 * When one client must have done its next thing, on the clock that the caller passes in. Deadlines are of whole
 * commands and whole messages, so that dripping bytes does not move them, and none runs while the server is the slow
 * one. Owned by the connection, which says what is waited for after each turn and asks once a second who is late.
 *
 * Only when a wait began is kept: its bound is looked up when it is asked for, so that it is shorter at once for all who
 * wait when the worker comes under stress.
 */
import type { LimitsConfig } from '../config/config.js';
import type { DeadlineKind } from '../protocol/types.js';

type DeadlineLimits = Pick<
  LimitsConfig,
  | 'commandTimeoutMs'
  | 'dataTimeoutMs'
  | 'messageTimeoutMs'
  | 'tlsHandshakeTimeoutMs'
  | 'dataBytesPerSecond'
  | 'dataRateAfterMs'
>;

/** Other limits at each look, when they change: worker/stress.ts is one. */
export interface CurrentLimits {
  readonly limits: DeadlineLimits;
}

// After our last reply the client gets this long to read it and close; what it still sends is read and dropped, since
// closing on unread bytes would reset the connection and could destroy the reply on its way.
const lingerMs = 5_000;

type Wait = DeadlineKind | 'handshake' | 'linger';

/** Keys of `limits`, without its unit. */
export type DeadlineLimit =
  'commandTimeout' | 'dataTimeout' | 'messageTimeout' | 'dataBytesPerSecond' | 'tlsHandshakeTimeout';

export class Deadlines {
  readonly #source: CurrentLimits;
  #kind: Wait = 'none';
  #sinceMs: number;
  #progress = true;
  #progressAtMs: number;
  /** Infinity while no message is under way. */
  #messageSinceMs = Infinity;
  /** How long the queue kept us from reading the open message. */
  readonly #congested = new Stopwatch();
  /** How long no bytes of the open message were awaited, since the client had the next BDAT to say or we to answer. */
  readonly #between = new Stopwatch();
  /** Of the open message: when its first bytes came, by the clock of its rate, and how many have come. */
  #firstBytesMs = 0;
  #messageBytes = 0;

  constructor(source: CurrentLimits, nowMs: number) {
    this.#source = source;
    this.#sinceMs = nowMs;
    this.#progressAtMs = nowMs;
  }

  /** Something whole happened: the next `wait` starts anew. */
  progressed(): void {
    this.#progress = true;
  }

  /** Runs to the end of data, also of a message that is refused long before it. */
  messageBegun(nowMs: number): void {
    this.#messageSinceMs = nowMs;
    this.#congested.reset();
    this.#between.reset();
    this.#messageBytes = 0;
  }

  /** Bytes of the open message came. */
  received(bytes: number, nowMs: number): void {
    if (this.#messageBytes === 0) this.#firstBytesMs = this.#rateClockMs(nowMs);
    this.#messageBytes += bytes;
  }

  /** What is no dialogue: the handshake, the end. */
  within(wait: 'handshake' | 'linger', nowMs: number): void {
    this.#kind = wait;
    this.#sinceMs = nowMs;
    this.#progress = true;
  }

  /**
   * @param congested the queue takes no more: then nothing runs, and the message's own deadline moves with it
   * @param inMessage content is under way, also what no message will be made of: octets of a refused BDAT
   */
  wait(kind: DeadlineKind, congested: boolean, inMessage: boolean, nowMs: number): void {
    if (!inMessage) this.#messageSinceMs = Infinity;
    else if (this.#messageSinceMs === Infinity) this.messageBegun(nowMs);
    this.#congested.run(congested, nowMs);
    this.#between.run(!congested && inMessage && kind !== 'data', nowMs);
    const waitsFor = congested ? 'none' : kind;
    if (!this.#progress && waitsFor === this.#kind) return;
    this.#progress = false;
    this.#progressAtMs = nowMs;
    this.#kind = waitsFor;
    this.#sinceMs = nowMs;
  }

  /** @param inMessage from 354, or the first BDAT, to the end of data */
  isLate(nowMs: number, inMessage: boolean): boolean {
    if (nowMs - this.#sinceMs >= this.#boundMs) return true;
    if (!inMessage || this.#congested.isRunning) return false;
    return this.#isTooLong(nowMs) || this.#isSlow(nowMs);
  }

  /** Why it is late, when it is: which limit of the config. */
  limitPassed(nowMs: number): DeadlineLimit {
    if (nowMs - this.#sinceMs < this.#boundMs)
      return this.#isTooLong(nowMs) ? 'messageTimeout' : 'dataBytesPerSecond';
    if (this.#kind === 'handshake') return 'tlsHandshakeTimeout';
    return this.#kind === 'data' ? 'dataTimeout' : 'commandTimeout';
  }

  #isTooLong(nowMs: number): boolean {
    return (
      nowMs - this.#congested.totalMs(nowMs) - this.#messageSinceMs >= this.#source.limits.messageTimeoutMs
    );
  }

  /** How long nothing has happened. */
  idleMs(nowMs: number): number {
    return nowMs - this.#progressAtMs;
  }

  /**
   * On the average of the message, from its first byte: a client that thinks before it begins has the time between two
   * reads for that, one that stops in the middle lives on what it sent before, and one that thinks between two BDAT has the
   * time of a command. Who drips has neither.
   */
  #isSlow(nowMs: number): boolean {
    const { dataBytesPerSecond, dataRateAfterMs } = this.#source.limits;
    if (this.#messageBytes === 0) return false;
    const ms = this.#rateClockMs(nowMs) - this.#firstBytesMs;
    return ms >= dataRateAfterMs && this.#messageBytes < (dataBytesPerSecond * ms) / 1000;
  }

  /** Runs while bytes of the message are awaited and can be taken. */
  #rateClockMs(nowMs: number): number {
    return nowMs - this.#congested.totalMs(nowMs) - this.#between.totalMs(nowMs);
  }

  get #boundMs(): number {
    const { limits } = this.#source;
    switch (this.#kind) {
      case 'none':
        return Infinity;
      case 'data':
        return limits.dataTimeoutMs;
      case 'handshake':
        return limits.tlsHandshakeTimeoutMs;
      case 'linger':
        return lingerMs;
      case 'greeting':
      case 'command':
      case 'auth':
        return limits.commandTimeoutMs;
    }
  }
}

/** How long something has been so, in all. */
class Stopwatch {
  /** Up to the last time that it stopped. */
  #stoppedMs = 0;
  #sinceMs: number | undefined = undefined;

  get isRunning(): boolean {
    return this.#sinceMs !== undefined;
  }

  totalMs(nowMs: number): number {
    return this.#stoppedMs + (this.#sinceMs === undefined ? 0 : nowMs - this.#sinceMs);
  }

  run(isRunning: boolean, nowMs: number): void {
    if (isRunning) this.#sinceMs ??= nowMs;
    else if (this.#sinceMs !== undefined) {
      this.#stoppedMs += nowMs - this.#sinceMs;
      this.#sinceMs = undefined;
    }
  }

  reset(): void {
    this.#stoppedMs = 0;
    this.#sinceMs = undefined;
  }
}
