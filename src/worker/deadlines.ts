/**
 * When one client must have done its next thing, on the clock that the caller passes in. Deadlines are of whole
 * commands and whole messages, so that dripping bytes does not move them, and none runs while the server is the slow
 * one. Owned by the connection, which says what is waited for after each turn and asks once a second who is late.
 */
import type { LimitsConfig } from '../config/config.js';
import type { DeadlineKind } from '../protocol/types.js';

type DeadlineLimits = Pick<LimitsConfig, 'commandTimeoutMs' | 'dataTimeoutMs' | 'messageTimeoutMs'>;

export class Deadlines {
  readonly #limits: DeadlineLimits;
  #kind: DeadlineKind = 'none';
  #atMs = Infinity;
  /** Infinity while no message is under way. */
  #messageAtMs = Infinity;
  /** Since when the queue keeps us from reading the open message. */
  #congestedSinceMs: number | undefined = undefined;
  #progress = true;
  #progressAtMs: number;

  constructor(limits: DeadlineLimits, nowMs: number) {
    this.#limits = limits;
    this.#progressAtMs = nowMs;
  }

  /** Something whole happened: the next `wait` starts anew. */
  progressed(): void {
    this.#progress = true;
  }

  /** Runs to the end of data, also of a message that is refused long before it. */
  messageBegun(nowMs: number): void {
    this.#messageAtMs = nowMs + this.#limits.messageTimeoutMs;
    this.#congestedSinceMs = undefined;
  }

  /** A bound of its own, for what is no dialogue: the handshake, the end. */
  within(boundMs: number, nowMs: number): void {
    this.#atMs = nowMs + boundMs;
  }

  /**
   * @param congested the queue takes no more: then nothing runs, and the message's own deadline moves with it
   * @param inMessage content is under way, also what no message will be made of: octets of a refused BDAT
   */
  wait(kind: DeadlineKind, congested: boolean, inMessage: boolean, nowMs: number): void {
    if (!inMessage) this.#messageAtMs = Infinity;
    else if (this.#messageAtMs === Infinity) this.messageBegun(nowMs);
    this.#noteCongestion(congested, nowMs);
    const waitsFor = congested ? 'none' : kind;
    if (!this.#progress && waitsFor === this.#kind) return;
    this.#progress = false;
    this.#progressAtMs = nowMs;
    this.#kind = waitsFor;
    this.#atMs = nowMs + this.#boundMs(waitsFor);
  }

  /** @param inMessage between 354 and the end of data */
  isLate(nowMs: number, inMessage: boolean): boolean {
    if (nowMs >= this.#atMs) return true;
    return inMessage && this.#congestedSinceMs === undefined && nowMs >= this.#messageAtMs;
  }

  /** How long nothing has happened. */
  idleMs(nowMs: number): number {
    return nowMs - this.#progressAtMs;
  }

  #noteCongestion(congested: boolean, nowMs: number): void {
    if (congested) this.#congestedSinceMs ??= nowMs;
    else if (this.#congestedSinceMs !== undefined) {
      this.#messageAtMs += nowMs - this.#congestedSinceMs;
      this.#congestedSinceMs = undefined;
    }
  }

  #boundMs(kind: DeadlineKind): number {
    if (kind === 'none') return Infinity;
    return kind === 'data' ? this.#limits.dataTimeoutMs : this.#limits.commandTimeoutMs;
  }
}
