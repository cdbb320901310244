/**
 * Mail for a route that the config no longer has. It is treated as mail of a route whose hop never answers: each
 * attempt fails for now and says why, until the route is back or the message too old, and then its sender is told. So it
 * shows in lists with its reason, and nothing waits for ever without anybody knowing.
 */
import type { RetryConfig, RouteConfig } from '../config/config.js';
import type { Lease } from '../queue/spool.js';

import { sameResult, type Carrier, type CarryOutcome } from './carrier.js';
import { printable } from './last-reply.js';

export const missingRouteDays = 30;

/**
 * What `routes.NAME.retry` of the route was is not known any more. So: attempts as by default, and the longest `expire`
 * that a route can have, since a typing error in the config must not fail mail before its time.
 */
export const missingRouteRetry: RetryConfig = {
  firstMs: 60_000,
  maxMs: 3_600_000,
  expireMs: missingRouteDays * 86_400_000,
};

/** Of what such mail waits for nothing can be reached, and one attempt costs a commit: a few at a time. */
const lanes = 4;

/** A route without a hop. */
export function missingRoute(name: string): RouteConfig {
  return {
    name,
    hops: [],
    tls: 'off',
    tlsCa: undefined,
    tlsFingerprints: [],
    auth: undefined,
    timeouts: {},
    messagesPerSecond: 0,
    connections: lanes,
    messagesPerConnection: 1,
    retry: missingRouteRetry,
  };
}

export function isMissing(route: RouteConfig): boolean {
  return route.hops.length === 0;
}

// No route of a config can have this name: names begin with a letter or digit (config/fields.ts).
export const missingLabel = '_missing';

/** The `route` label of metrics. Names of routes that are gone may come from an import, and no config bounds them. */
export function routeLabel(route: RouteConfig): string {
  return isMissing(route) ? missingLabel : route.name;
}

export class MissingHop implements Carrier {
  readonly hop = 'none';
  readonly usefulLanes = Infinity;
  readonly isQuiet = true;
  readonly #reason: string;

  constructor(route: string) {
    // RFC 3463 §3.4 X.3.5: system incorrectly configured.
    this.#reason = printable(`4.3.5 the route ${route} is no longer in the config`);
  }

  async carry(_lease: Lease, addresses: readonly string[]): Promise<CarryOutcome> {
    const results = sameResult(addresses, 'pending', this.#reason);
    return { hop: this.hop, results, ambiguous: false, corrupt: false };
  }

  pauseMs(): number {
    return 0;
  }

  outage(): undefined {
    return undefined;
  }

  endRests(): void {
    // It never rests.
  }

  async close(): Promise<void> {
    // Nothing is open.
  }

  cut(): void {
    // Nothing takes long.
  }
}
