/** The messages that wait for a connection while the hops take no more of them, oldest first. */
import type { HopConnection } from './hop-connection.js';

export class ConnectionTurns {
  /** Called with nothing: ask for one again. */
  readonly #turns = new Set<(connection?: HopConnection) => void>();

  /** The next connection that is free; undefined: ask for one again. */
  wait(mostMs: number): Promise<HopConnection | undefined> {
    return new Promise((resolve) => {
      const turn = (connection?: HopConnection): void => {
        clearTimeout(timer);
        this.#turns.delete(turn);
        resolve(connection);
      };
      const timer = setTimeout(turn, mostMs);
      this.#turns.add(turn);
    });
  }

  /** False when nobody waits. */
  next(connection?: HopConnection): boolean {
    const [turn] = this.#turns;
    turn?.(connection);
    return turn !== undefined;
  }

  wakeAll(): void {
    for (const turn of this.#turns) turn();
  }
}
