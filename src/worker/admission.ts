/**
 * Who may connect: counts connections, open and of the last minute, on the client's networks, and refuses where one of
 * them is at its limit. The counts are Tallies', the sums over all workers the primary's.
 */
import { NetworkSet, networkKeys } from '../base/networks.js';
import type { LimitsConfig } from '../config/config.js';
import type { Tallies } from './tallies.js';

export type ConnectRefusal = 'worker-limit' | 'host-limit' | 'network-limit' | 'host-rate' | 'network-rate';

/** What a connection counts on; kept by it until it ends. `undefined`: exempt, counted nowhere. */
export type NetworkTicket = { readonly host: string; readonly neighbourhood: string } | undefined;

type AdmissionLimits = Pick<LimitsConfig, 'exempt' | 'connectionsPerWorker'>;

export class Admission {
  readonly #connectionsPerWorker: number;
  readonly #exempt: NetworkSet;
  readonly #tallies: Tallies;
  #open = 0;

  constructor(limits: AdmissionLimits, tallies: Tallies) {
    this.#connectionsPerWorker = limits.connectionsPerWorker;
    this.#exempt = new NetworkSet(limits.exempt);
    this.#tallies = tallies;
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
    if (this.#open >= this.#connectionsPerWorker) return 'worker-limit';
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
      const refusal = this.#refusal(ticket.host, ticket.neighbourhood);
      if (refusal !== undefined) return { refusal };
      this.#count(ticket.host);
      this.#count(ticket.neighbourhood);
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
    this.#tallies.stand('connections', ticket.host, -1);
    this.#tallies.stand('connections', ticket.neighbourhood, -1);
  }

  #refusal(host: string, neighbourhood: string): ConnectRefusal | undefined {
    const tallies = this.#tallies;
    if (tallies.isFull('connections', host)) return 'host-limit';
    if (tallies.isFull('connections', neighbourhood)) return 'network-limit';
    if (tallies.isFull('connects', host)) return 'host-rate';
    return tallies.isFull('connects', neighbourhood) ? 'network-rate' : undefined;
  }

  #count(key: string): void {
    this.#tallies.stand('connections', key, 1);
    // What is refused does not count: a client that keeps knocking gets in as often as it may.
    this.#tallies.count('connects', key);
  }
}
