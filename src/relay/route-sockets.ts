/**
 * Every socket that a route's pools have open, so that the limit on connections holds for the route as a whole, idle and
 * leaving ones included: when it is reached, those that nobody needs make room. The lanes bound what is in use.
 */
import type { PosternError } from '../base/errors.js';

import type { HopSocket } from './hop-socket.js';

export class RouteSockets {
  readonly #most: number;
  readonly #open = new Set<HopSocket>();
  /** Saying QUIT, oldest first; how each is ended. */
  readonly #leaving = new Map<object, () => void>();
  /** Kept without work, least missed first. */
  readonly #idle = new Map<object, () => void>();

  constructor(most: number) {
    this.#most = most;
  }

  /** For one more, without an end to those that may still be needed. */
  get hasRoom(): boolean {
    return this.#open.size - this.#leaving.size < this.#most;
  }

  add(socket: HopSocket): void {
    this.#open.add(socket);
  }

  delete(socket: HopSocket): void {
    this.#open.delete(socket);
  }

  /** `connection` has no work now and may be ended to make room. */
  idle(connection: object, end: () => void): void {
    this.#idle.set(connection, end);
  }

  leaving(connection: object, end: () => void): void {
    this.#idle.delete(connection);
    this.#leaving.set(connection, end);
  }

  /** It has work again, or is gone. */
  taken(connection: object): void {
    this.#idle.delete(connection);
    this.#leaving.delete(connection);
  }

  /** A leaving connection still counts at the hop: the limit holds at the price of an impolite end. */
  makeRoom(): void {
    for (const some of [this.#leaving, this.#idle])
      for (const [connection, end] of some) {
        if (this.#open.size < this.#most) return;
        some.delete(connection);
        end();
      }
  }

  fail(error: PosternError): void {
    for (const socket of this.#open) socket.fail(error);
  }
}
