/**
 * The connections of one pool that have no work: kept a moment for the next message, or on their way out with QUIT. Ends
 * them when their time is over; a message that waits for its turn is served first, by the pool.
 */
import type { HopConnection } from './hop-connection.js';
import type { RouteSockets } from './route-sockets.js';

export class KeptConnections {
  readonly #idleMs: number;
  readonly #sockets: RouteSockets;
  /** Most recently used last, so that the surplus of a burst times out. */
  readonly #idle: HopConnection[] = [];
  readonly #timers = new Map<HopConnection, NodeJS.Timeout>();
  readonly #leaving = new Set<Promise<void>>();

  /** @param idleMs how long one is kept: enough for the next group commit, little enough for small hops */
  constructor(idleMs: number, sockets: RouteSockets) {
    this.#idleMs = idleMs;
    this.#sockets = sockets;
  }

  get isEmpty(): boolean {
    return this.#idle.length === 0 && this.#leaving.size === 0;
  }

  has(which: (connection: HopConnection) => boolean): boolean {
    return this.#idle.some(which);
  }

  /** @param which left out: any */
  take(which?: (connection: HopConnection) => boolean): HopConnection | undefined {
    const connection = which === undefined ? this.#idle.at(-1) : this.#idle.findLast(which);
    if (connection !== undefined) this.drop(connection);
    return connection;
  }

  keep(connection: HopConnection): void {
    this.#idle.push(connection);
    this.#timers.set(
      connection,
      setTimeout(() => void this.leave(connection), this.#idleMs),
    );
    this.#sockets.idle(connection, () => connection.cut('room for another connection'));
  }

  /** It has ended, or is taken. */
  drop(connection: HopConnection): void {
    const at = this.#idle.lastIndexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    clearTimeout(this.#timers.get(connection));
    this.#timers.delete(connection);
    this.#sockets.taken(connection);
  }

  /** Says QUIT. */
  leave(connection: HopConnection): Promise<void> {
    this.drop(connection);
    this.#sockets.leaving(connection, () => connection.cut('room for the next'));
    const left = connection.quit().finally(() => {
      this.#leaving.delete(left);
      this.#sockets.taken(connection);
    });
    this.#leaving.add(left);
    return left;
  }

  /** All end. */
  async close(): Promise<void> {
    for (let idle = this.take(); idle !== undefined; idle = this.take()) void this.leave(idle);
    await Promise.all(this.#leaving);
  }
}
