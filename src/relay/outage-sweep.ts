/**
 * One message probes per rest of a hop, so that in a long outage most mail never gets its turn and would wait for ever.
 * Once per rest the oldest of it is looked at: what is too old is given up, what is late has its sender told. Asked by
 * the route's queue while it rests; settles nothing itself.
 */
import type { RouteConfig } from '../config/config.js';
import type { Lease, Spool } from '../queue/spool.js';

import { pendingAddresses, type Carrier, type Outage } from './carrier.js';
import type { Outcomes } from './outcomes.js';
import { isLongOutage, isOld } from './retry-schedule.js';

export interface OutageSweepOptions {
  readonly route: RouteConfig;
  readonly carrier: Carrier;
  readonly outcomes: Outcomes;
  readonly spool: Spool;
  readonly now: () => number;
  readonly lease: (limit: number) => Promise<Lease[]>;
}

/** Leased at once: each may cost a write. */
const maxLeases = 20;

export class OutageSweep {
  readonly #options: OutageSweepOptions;
  /** Monotonic milliseconds: the rest in which the oldest mail was looked at. */
  #sweptUntilMs = 0;

  constructor(options: OutageSweepOptions) {
    this.#options = options;
  }

  /** Undefined: there is nothing to do. */
  begin(pauseMs: number): Promise<void> | undefined {
    const { carrier, spool, route } = this.#options;
    const outage = carrier.outage();
    if (outage?.restsUntilMs === undefined || !isLongOutage(route.retry, outage.lastsMs)) return undefined;
    if (performance.now() < this.#sweptUntilMs) return undefined;
    this.#sweptUntilMs = performance.now() + pauseMs;
    const arrivedAtMs = spool.stats().oldestArrivedAtMs;
    if (arrivedAtMs === undefined || !this.#isDue(arrivedAtMs)) return undefined;
    return this.#sweep(outage);
  }

  /** By age alone there may be something to do. */
  #isDue(arrivedAtMs: number): boolean {
    const { route, outcomes, now } = this.#options;
    return isOld(route.retry, arrivedAtMs, now()) || now() - arrivedAtMs >= outcomes.lateAfterMs;
  }

  /**
   * The queue gives what was due first. One that is too young ends the sweep, and what is older and was due later goes
   * after it: when that one is old, at the latest.
   */
  async #sweep(outage: Outage): Promise<void> {
    const { outcomes, spool, lease } = this.#options;
    for (let limit = 1; ; limit = maxLeases) {
      let settled = 0;
      for (const each of await lease(limit)) {
        if (this.#settle(each, outage)) settled++;
        else spool.unlease(each);
      }
      if (settled < limit) return;
      const room = outcomes.room();
      if (room !== undefined) await room;
    }
  }

  #settle(lease: Lease, outage: Outage): boolean {
    const { carrier, route, outcomes, now } = this.#options;
    // The rest may have been ended while we leased.
    if (carrier.pauseMs() <= 0) return false;
    const addresses = pendingAddresses(lease);
    if (!isOld(route.retry, lease.message.arrivedAtMs, now()))
      return outcomes.waits(lease, outage, addresses);
    outcomes.givenUp(lease, outage, addresses);
    return true;
  }
}
