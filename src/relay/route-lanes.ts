/**
 * The lanes of one route, shared by its destinations: as many as it has connections, none of them more than its share,
 * those in doubt never all. Who got none waits in line and is woken. Owns counts only; what runs in a lane is
 * route-queue's.
 */

export interface Claimant {
  /** There may be a lane now. */
  wake(): void;
}

/** A destination that others wait behind gives its lane up after so many messages: few enough to be fair, enough to
 *  make use of a connection. */
const turnMessages = 10;

export class RouteLanes {
  readonly #most: number;
  /** Of one destination. */
  readonly share: number;
  /** For destinations whose hops have failed: an army of dead domains leaves half the lanes to the living. */
  readonly #mostIll: number;
  #taken = 0;
  #takenIll = 0;
  readonly #waiting = new Set<Claimant>();
  readonly #waitingIll = new Set<Claimant>();

  /** @param isShared by several destinations */
  constructor(most: number, isShared: boolean) {
    this.#most = most;
    this.share = isShared ? Math.ceil(most / 4) : most;
    this.#mostIll = isShared ? Math.ceil(most / 2) : most;
  }

  /** Up to `wanted` lanes, 1 or more, each to be released; none: the claimant is woken when one is free. */
  claim(claimant: Claimant, wanted: number, ill: boolean): number {
    const free = this.#most - this.#taken;
    const granted = Math.min(wanted, free, ill ? this.#mostIll - this.#takenIll : free);
    if (granted > 0) {
      this.leave(claimant);
      this.#taken += granted;
      if (ill) this.#takenIll += granted;
      return granted;
    }
    // Who is in line already keeps his place, however often he asks.
    (ill ? this.#waiting : this.#waitingIll).delete(claimant);
    (ill ? this.#waitingIll : this.#waiting).add(claimant);
    return 0;
  }

  release(ill: boolean): void {
    this.#taken--;
    if (ill) this.#takenIll--;
    this.#serve(this.#waiting, () => this.#taken < this.#most);
    this.#serve(this.#waitingIll, () => this.#taken < this.#most && this.#takenIll < this.#mostIll);
  }

  /** @param messages that went through this lane so far */
  mustYield(messages: number): boolean {
    return messages >= turnMessages && this.#waiting.size + this.#waitingIll.size > 0;
  }

  /** It wants none any more. */
  leave(claimant: Claimant): void {
    this.#waiting.delete(claimant);
    this.#waitingIll.delete(claimant);
  }

  #serve(line: Set<Claimant>, hasRoom: () => boolean): void {
    // Who is woken may claim, go away, or stand in line again behind the others: each is asked once.
    let left = line.size;
    for (const claimant of line) {
      if (left-- === 0 || !hasRoom()) return;
      line.delete(claimant);
      claimant.wake();
    }
  }
}
