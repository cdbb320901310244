/**
 * The relay of one worker: one RouteQueue per route, woken by the spool's onDue and by one alarm clock for what is
 * deferred. The worker starts and stops it. Routes do not share lanes, so a slow hop delays no other route's mail.
 */
import type { Log } from '../base/log.js';
import type { RouteConfig } from '../config/config.js';
import type { Spool } from '../queue/spool.js';

import type { Carrier } from './carrier.js';
import { HopAddresses } from './hop-address.js';
import { HopPool, type NetworkHop } from './hop-pool.js';
import { hopTimeoutsOf, type HopTimeouts } from './hop-timeouts.js';
import { Maildir } from './maildir.js';
import type { Notifier } from './notifier.js';
import { Outcomes, type OutcomeMeters } from './outcomes.js';
import { RouteQueue } from './route-queue.js';

export type RelayMeters = OutcomeMeters;

export interface DispatcherOptions {
  readonly spool: Spool;
  readonly routes: Readonly<Record<string, RouteConfig>>;
  readonly hostname: string;
  readonly log: Log;
  readonly meters: RelayMeters;
  /** Absent: nobody is told, and what fails stays 'failed'. */
  readonly notifier?: Notifier | undefined;
  /** Wall clock, milliseconds. */
  readonly now?: () => number;
  /** DNS servers for the names of hops; empty: the system's. */
  readonly dnsServers?: readonly string[];
  readonly timeouts?: Partial<HopTimeouts>;
  readonly idleConnectionMs?: number;
}

/** The alarm rings at least so often: the wall clock may have been set, and a timer cannot know. */
const maxAlarmMs = 30_000;
/** And not more often: what is overdue and was not leased (leased already, held) must not spin. */
const minAlarmMs = 250;
/** For the settlements of what was cut to reach the disk. */
const settleGraceMs = 2_000;
const defaultIdleMs = 2_000;

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #now: () => number;
  readonly #addresses: HopAddresses;
  readonly #queues = new Map<string, RouteQueue>();
  readonly #orphans = new Set<string>();
  #alarm: NodeJS.Timeout | undefined;
  #alarmAtMs = Infinity;
  #running = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#addresses = new HopAddresses(options.dnsServers ?? []);
    for (const route of Object.values(options.routes)) {
      this.#queues.set(
        route.name,
        new RouteQueue({
          destination: route.name,
          route,
          carrier: carrierOf(route, options, this.#addresses),
          spool: options.spool,
          log: options.log,
          now: this.#now,
          outcomes: new Outcomes({
            route,
            spool: options.spool,
            log: options.log,
            meters: options.meters,
            now: this.#now,
            notifier: options.notifier,
            onDeferred: (toMs) => this.#ringAt(toMs),
          }),
        }),
      );
    }
  }

  start(): void {
    this.#running = true;
    this.#options.spool.onDue = (route) => this.#wake(route);
    this.#options.spool.onRetry = (route) => this.#queues.get(route)?.endRests();
    this.#ring();
  }

  /** Deliveries under way. */
  get busy(): number {
    let busy = 0;
    for (const queue of this.#queues.values()) busy += queue.busy;
    return busy;
  }

  /** No new leases. What is under way finishes, or is cut at the bound and stays pending. Resolves in any case. */
  async stop(boundMs: number): Promise<void> {
    this.#running = false;
    this.#options.spool.onDue = undefined;
    this.#options.spool.onRetry = undefined;
    clearTimeout(this.#alarm);
    const queues = [...this.#queues.values()];
    const stopped = Promise.all(queues.map((queue) => queue.stop())).then(() => true);
    if (await within(stopped, boundMs)) return;
    for (const queue of queues) queue.cut('cut: the relay was stopped');
    this.#addresses.cancel();
    if (await within(stopped, settleGraceMs)) return;
    this.#options.log.error({ event: 'relay.stop-incomplete', busy: this.busy });
  }

  #wake(route: string): void {
    const queue = this.#queues.get(route);
    if (queue !== undefined) queue.wake();
    else if (!this.#orphans.has(route)) {
      this.#orphans.add(route);
      this.#options.log.error({ event: 'relay.no-route', route });
    }
  }

  /** Wakes what is due and sets the alarm for what will be. */
  #ring(): void {
    this.#alarmAtMs = Infinity;
    let nextAtMs = Infinity;
    const nowMs = this.#now();
    for (const [route, { earliestAtMs, count }] of this.#options.spool.due()) {
      if (count === 0) continue;
      const retry = this.#options.routes[route]?.retry;
      const clockWentBack = retry !== undefined && earliestAtMs > nowMs + retry.maxMs;
      if (earliestAtMs <= nowMs || clockWentBack) this.#wake(route);
      else nextAtMs = Math.min(nextAtMs, earliestAtMs);
    }
    this.#ringAt(Math.min(nextAtMs, nowMs + maxAlarmMs));
  }

  #ringAt(atMs: number): void {
    if (!this.#running || atMs >= this.#alarmAtMs) return;
    this.#alarmAtMs = atMs;
    clearTimeout(this.#alarm);
    const delayMs = Math.min(Math.max(atMs - this.#now(), minAlarmMs), maxAlarmMs);
    this.#alarm = setTimeout(() => this.#ring(), delayMs);
  }
}

function carrierOf(route: RouteConfig, options: DispatcherOptions, addresses: HopAddresses): Carrier {
  const [first] = route.hops;
  if (first?.kind === 'maildir') return new Maildir(first.path, options.hostname);
  return new HopPool({
    route,
    hops: route.hops.filter((hop): hop is NetworkHop => hop.kind === 'smtp' || hop.kind === 'lmtp'),
    hostname: options.hostname,
    addresses,
    timeouts: { ...hopTimeoutsOf(route.timeouts), ...options.timeouts },
    idleMs: options.idleConnectionMs ?? defaultIdleMs,
    log: options.log,
  });
}

async function within(done: Promise<boolean>, boundMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const bound = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), boundMs);
  });
  try {
    return await Promise.race([done, bound]);
  } finally {
    clearTimeout(timer);
  }
}
