/**
 * The routes that have mail and are not in the config, at work. Their names come from the queue, and an import may bring
 * names that no config ever had, so there are so many at once and no more: mail of others waits until one of these has
 * nothing to do. Owned by the dispatcher.
 */
import type { Log } from '../base/log.js';
import type { RouteConfig } from '../config/config.js';

import { missingRoute, missingRouteDays } from './missing-route.js';
import type { RelayRoute } from './relay-route.js';

const defaultMaxRoutes = 100;
/** Names that the log has; past it, it may say one again. */
const maxSaid = 10_000;

export class MissingRoutes {
  readonly #log: Log;
  readonly #make: (route: RouteConfig) => RelayRoute;
  readonly #maxRoutes: number;
  readonly #routes = new Map<string, RelayRoute>();
  readonly #said = new Set<string>();

  constructor(log: Log, make: (route: RouteConfig) => RelayRoute, maxRoutes = defaultMaxRoutes) {
    this.#log = log;
    this.#make = make;
    this.#maxRoutes = maxRoutes;
  }

  get(name: string): RelayRoute | undefined {
    return this.#routes.get(name);
  }

  [Symbol.iterator](): IterableIterator<[string, RelayRoute]> {
    return this.#routes.entries();
  }

  values(): IterableIterator<RelayRoute> {
    return this.#routes.values();
  }

  /** Undefined: there are as many as may be. */
  open(name: string): RelayRoute | undefined {
    if (this.#routes.size >= this.#maxRoutes) return undefined;
    this.#say(name);
    const route = this.#make(missingRoute(name));
    this.#routes.set(name, route);
    return route;
  }

  /** Where there is no room, those without anything to do make it. */
  makeRoom(): void {
    if (this.#routes.size < this.#maxRoutes) return;
    for (const [name, route] of this.#routes) {
      if (!route.isIdle) continue;
      this.#routes.delete(name);
      void route.stop();
    }
  }

  #say(name: string): void {
    if (this.#said.has(name)) return;
    if (this.#said.size >= maxSaid) this.#said.clear();
    this.#said.add(name);
    this.#log.warn(
      { event: 'relay.no-route', route: name },
      // The name is in its field alone: one from an import is no text for a command line.
      `mail is queued for a route that the config does not have: put \`routes.NAME\` back and run \`postern reload\`, or remove the mail with \`postern queue delete --route NAME\`; else it fails when it is ${missingRouteDays} days old`,
    );
  }
}
