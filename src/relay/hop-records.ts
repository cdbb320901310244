/**
 * What a route remembers of each hop beyond the connections to it: its health, its habits, how many connections it has.
 * One per route, so that the domains that share an MX host share what is known of it. Bounded: of the least used hops
 * the memory is lost, and they are simply tried again.
 */
import { LRUCache } from 'lru-cache';

import type { HopConnection, HopHabits } from './hop-connection.js';
import { HopHealth, HopState, type HopHealthOptions } from './hop-health.js';

/** Well above the MX hosts that a worker talks to within minutes; each takes about half a kilobyte. */
const maxRecords = 10_000;

export interface HopRecord {
  readonly health: HopHealth;
  readonly habits: HopHabits;
  /** Greeted and not closed yet. */
  readonly greeted: Set<HopConnection>;
}

export class HopRecords {
  readonly #options: HopHealthOptions;
  readonly #records = new LRUCache<string, HopRecord>({
    // `max` would have all the room made at once, for each route.
    maxSize: maxRecords,
    sizeCalculation: () => 1,
  });

  constructor(options: HopHealthOptions) {
    this.#options = options;
  }

  /** @param name `host:port` */
  of(name: string): HopRecord {
    const known = this.#records.get(name);
    if (known !== undefined) return known;
    const record = {
      health: new HopHealth(this.#options),
      habits: { avoidsChunking: false },
      greeted: new Set<HopConnection>(),
    };
    this.#records.set(name, record);
    return record;
  }

  /** Open or half-open now. */
  get ill(): number {
    let ill = 0;
    for (const { health } of this.#records.values()) if (health.state !== HopState.closed) ill++;
    return ill;
  }
}
