/**
 * Who may connect. Counts open connections per client network in this worker, tells the primary what changed, and
 * obeys the set of networks that the primary found over a limit across all workers: no round trip per connection.
 */
import { NetworkSet, networkKeys } from '../base/networks.js';
import type { LimitsConfig } from '../config/config.js';

export type ConnectRefusal = 'worker-limit' | 'host-limit' | 'network-limit';

/** What a connection counts on; kept by it until it ends. `undefined`: exempt, counted nowhere. */
export type NetworkTicket = { readonly host: string; readonly neighbourhood: string } | undefined;

type AdmissionLimits = Pick<
  LimitsConfig,
  'exempt' | 'connectionsPerWorker' | 'connectionsPerHost' | 'connectionsPerNetwork'
>;

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #exempt: NetworkSet;
  // Bounded by connectionsPerWorker: an entry lives as long as a connection counts on it.
  readonly #counts = new Map<string, number>();
  readonly #changed = new Set<string>();
  #overLimit: ReadonlySet<string> = new Set();
  #open = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
    this.#exempt = new NetworkSet(limits.exempt);
  }

  get open(): number {
    return this.#open;
  }

  /** @param address normalized. A ticket must be given back with `leave`. */
  enter(address: string): { ticket: NetworkTicket } | { refusal: ConnectRefusal } {
    const refusal = this.arrive();
    if (refusal !== undefined) return { refusal };
    const entry = this.identify(address);
    if ('refusal' in entry) this.leave(undefined);
    return entry;
  }

  /** A place for a connection whose client is not known yet; `leave` gives it back. */
  arrive(): ConnectRefusal | undefined {
    if (this.#open >= this.#limits.connectionsPerWorker) return 'worker-limit';
    this.#open += 1;
    return undefined;
  }

  /**
   * Whose connection it is that has a place. Where that is refused, the place is still to be given back.
   * @param address normalized
   */
  identify(address: string): { ticket: NetworkTicket } | { refusal: ConnectRefusal } {
    const ticket = this.#exempt.has(address) ? undefined : networkKeys(address);
    if (ticket !== undefined) {
      if (this.#isFull(ticket.host, this.#limits.connectionsPerHost)) return { refusal: 'host-limit' };
      if (this.#isFull(ticket.neighbourhood, this.#limits.connectionsPerNetwork)) {
        return { refusal: 'network-limit' };
      }
      this.#add(ticket.host, 1);
      this.#add(ticket.neighbourhood, 1);
    }
    return { ticket };
  }

  /** @param ticket undefined too for one that was not identified */
  leave(ticket: NetworkTicket): void {
    this.#open -= 1;
    this.#release(ticket);
  }

  /** A connection that has its place gets another client. On a refusal it counts on no network any more. */
  rename(ticket: NetworkTicket, address: string): { ticket: NetworkTicket } | { refusal: ConnectRefusal } {
    this.#release(ticket);
    return this.identify(address);
  }

  #release(ticket: NetworkTicket): void {
    if (ticket === undefined) return;
    this.#add(ticket.host, -1);
    this.#add(ticket.neighbourhood, -1);
  }

  setOverLimit(networks: readonly string[]): void {
    this.#overLimit = new Set(networks);
  }

  /** What changed since the last call, with 0 for what is gone; undefined when nothing did. */
  takeChanges(): Record<string, number> | undefined {
    if (this.#changed.size === 0) return undefined;
    const counts: Record<string, number> = {};
    for (const key of this.#changed) counts[key] = this.#counts.get(key) ?? 0;
    this.#changed.clear();
    return counts;
  }

  #isFull(key: string, limit: number): boolean {
    return this.#overLimit.has(key) || (this.#counts.get(key) ?? 0) >= limit;
  }

  #add(key: string, by: 1 | -1): void {
    const count = (this.#counts.get(key) ?? 0) + by;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
    this.#changed.add(key);
  }
}
