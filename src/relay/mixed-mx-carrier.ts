/**
 * Mail of a route that looks MX up, queued while the route still had hops of its own: its destination names no domain, so
 * each message is taken to the domains of its recipients one after the other. Rare, and over once that mail is gone.
 */
import type { Lease } from '../queue/spool.js';

import { handoverOfBoth, type Carrier, type CarryOutcome, type CarryResult } from './carrier.js';

/** Domains whose carriers are kept; of the others the connections end. */
const maxCarriers = 50;

export class MixedMxCarrier implements Carrier {
  readonly hop = 'mx';
  readonly usefulLanes = 1;
  readonly isQuiet = true;
  readonly #carriers = new Map<string, Carrier>();
  readonly #carrierOf: (domain: string) => Carrier;

  constructor(carrierOf: (domain: string) => Carrier) {
    this.#carrierOf = carrierOf;
  }

  /** Each domain rests on its own: a message for one that does is given back and due again after a moment. */
  pauseMs(): number {
    return 0;
  }

  outage(): undefined {
    return undefined;
  }

  endRests(): void {
    for (const carrier of this.#carriers.values()) carrier.endRests();
  }

  async carry(lease: Lease, addresses: readonly string[]): Promise<CarryOutcome> {
    const results: CarryResult[] = [];
    let whole: CarryOutcome | undefined;
    for (const [domain, some] of byDomain(addresses)) {
      const outcome = await this.#of(domain).carry(lease, some);
      results.push(...outcome.results);
      whole = {
        ...outcome,
        handover: handoverOfBoth(whole?.handover, outcome.handover),
        ambiguous: outcome.ambiguous || whole?.ambiguous === true,
        corrupt: outcome.corrupt || whole?.corrupt === true,
      };
    }
    if (whole === undefined) throw new Error('carry() is called with addresses');
    // To rest is an attempt here: what was given back at once would be due at once, too.
    return { ...whole, results, untried: false };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#carriers.values()].map((carrier) => carrier.close()));
  }

  cut(reason: string): void {
    for (const carrier of this.#carriers.values()) carrier.cut(reason);
  }

  #of(domain: string): Carrier {
    const known = this.#carriers.get(domain);
    if (known !== undefined) return known;
    for (const [name, carrier] of this.#carriers) {
      if (this.#carriers.size < maxCarriers) break;
      this.#carriers.delete(name);
      void carrier.close();
    }
    const carrier = this.#carrierOf(domain);
    this.#carriers.set(domain, carrier);
    return carrier;
  }
}

function byDomain(addresses: readonly string[]): Map<string, string[]> {
  const domains = new Map<string, string[]>();
  for (const address of addresses) {
    const domain = address.slice(address.lastIndexOf('@') + 1).toLowerCase();
    const some = domains.get(domain);
    if (some === undefined) domains.set(domain, [address]);
    else some.push(address);
  }
  return domains;
}
