/**
 * The relay of one worker: its routes, woken by the spool's onDue and by one alarm clock for what is deferred. The worker
 * starts, freezes and stops it. Routes share neither lanes nor connections, so a slow hop delays no other route's mail.
 */
import { routeOf } from '../base/destination.js';
import { HostAddresses } from '../base/host-addresses.js';
import type { Log } from '../base/log.js';
import type { RetryConfig, RouteConfig } from '../config/config.js';
import type { Meters } from '../metrics/meters.js';
import type { Spool } from '../queue/spool.js';

import { FailedMail } from './failed-mail.js';
import { hopTimeoutsOf, type HopTimeouts } from './hop-timeouts.js';
import { missingRouteRetry } from './missing-route.js';
import { MissingRoutes } from './missing-routes.js';
import { MxLookup } from './mx-lookup.js';
import type { Notifier } from './notifier.js';
import { Outcomes, type OutcomeMeters } from './outcomes.js';
import { RelayRoute } from './relay-route.js';

type RelayMeters = OutcomeMeters & Pick<Meters, 'relayHopsResting'>;

export interface DispatcherOptions {
  readonly spool: Spool;
  readonly routes: Readonly<Record<string, RouteConfig>>;
  readonly hostname: string;
  readonly log: Log;
  readonly meters: RelayMeters;
  /** Absent: nobody is told, and what fails stays 'failed'. */
  readonly notifier?: Notifier | undefined;
  /** How long what failed is kept; absent: until an operator removes it. */
  readonly keepFailedMs?: number | undefined;
  /** Of the service: they share the rates of the routes. */
  readonly workers?: number;
  /** Wall clock, milliseconds. */
  readonly now?: () => number;
  /** DNS servers for the names of hops and MX; empty: the system's. */
  readonly dnsServers?: readonly string[];
  /** MX may name this machine: for tests. */
  readonly allowLocalMx?: boolean | undefined;
  readonly timeouts?: Partial<HopTimeouts>;
  readonly idleConnectionMs?: number;
  /** At work at once: for tests. */
  readonly maxMissingRoutes?: number | undefined;
}

/** The alarm rings at least so often: the wall clock may have been set, and a timer cannot know. */
const maxAlarmMs = 30_000;
/** And not more often: what is overdue and was not leased (leased already, held) must not spin. */
const minAlarmMs = 250;
/** Of each destination a ring costs about a microsecond: a hundred thousand may ring once a second. */
const alarmMsPerDestination = 0.01;
/** For the settlements of what was cut to reach the disk. */
const settleGraceMs = 2_000;
const defaultIdleMs = 2_000;
/** Mail of a route for which there was no room is looked at again so soon. */
const crowdedMs = 500;

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #now: () => number;
  readonly #addresses: HostAddresses;
  readonly #mx: MxLookup;
  readonly #routes = new Map<string, RelayRoute>();
  readonly #missing: MissingRoutes;
  #frozen: readonly string[] = [];
  readonly #failedMail: FailedMail | undefined;
  #alarm: NodeJS.Timeout | undefined;
  #alarmAtMs = Infinity;
  #running = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    const { spool, log, hostname, dnsServers: servers = [], keepFailedMs, allowLocalMx } = options;
    this.#addresses = new HostAddresses(servers, 'RELAY_CONNECT');
    this.#mx = new MxLookup({ servers, hostname, allowLocal: allowLocalMx });
    for (const route of Object.values(options.routes)) this.#routes.set(route.name, this.#open(route));
    this.#missing = new MissingRoutes(log, (route) => this.#open(route), options.maxMissingRoutes);
    if (keepFailedMs !== undefined)
      this.#failedMail = new FailedMail({ spool, log, keepMs: keepFailedMs, now: this.#now });
  }

  start(): void {
    this.#running = true;
    const { spool } = this.#options;
    spool.onDue = (destination) => this.#wake(destination);
    spool.onRetry = (destination) => this.#routeOf(destination)?.endRests(destination);
    this.#failedMail?.start();
    this.#ring();
  }

  /** Deliveries under way. */
  get busy(): number {
    let busy = 0;
    for (const route of this.#all()) busy += route.busy;
    return busy;
  }

  /** Destinations that are looked after at the moment; the others wait in the spool. Bounded. */
  get queues(): number {
    let queues = 0;
    for (const route of this.#all()) queues += route.queues;
    return queues;
  }

  /**
   * When what is due at `dueAtMs` will be tried as things stand: mail that waits for hops which rest is overdue in the
   * queue and has made no attempt. For those who show it. Wall clock, milliseconds; Infinity: the route is frozen.
   */
  nextAttemptAtMs(destination: string, dueAtMs: number): number {
    const route = this.#routeOf(destination);
    if (route?.isFrozen === true) return Infinity;
    const pauseMs = route?.pauseMs(destination) ?? 0;
    return Math.max(dueAtMs, pauseMs > 0 ? this.#now() + pauseMs : 0);
  }

  /**
   * Frozen routes, all of them each time: no new attempts there; what is under way finishes. Names that the config does
   * not know count once there is mail for them.
   */
  freeze(routes: readonly string[]): void {
    this.#frozen = routes;
    let thawed = false;
    for (const [name, route] of [...this.#routes, ...this.#missing]) {
      const frozen = routes.includes(name);
      if (frozen === route.isFrozen) continue;
      this.#options.log.info({ event: frozen ? 'relay.frozen' : 'relay.thawed', route: name });
      route.freeze(frozen);
      thawed ||= !frozen;
    }
    if (thawed && this.#running) this.#ring();
  }

  /** Next hops that are left alone because they failed, by route: all of the config. */
  hopsResting(): ReadonlyMap<string, number> {
    return new Map([...this.#routes].map(([name, route]) => [name, route.resting]));
  }

  /** Before a snapshot of the meters. */
  fillGauges(): void {
    for (const [name, resting] of this.hopsResting())
      this.#options.meters.relayHopsResting.of(name).value = resting;
  }

  /** No new leases. What is under way finishes, or is cut at the bound and stays pending. Resolves in any case. */
  async stop(boundMs: number): Promise<void> {
    this.#running = false;
    this.#options.spool.onDue = undefined;
    this.#options.spool.onRetry = undefined;
    clearTimeout(this.#alarm);
    this.#failedMail?.stop();
    const routes = [...this.#all()];
    const stopped = Promise.all(routes.map((route) => route.stop())).then(() => true);
    if (await within(stopped, boundMs)) return;
    for (const route of routes) route.cut('cut: the relay was stopped');
    this.#addresses.cancel();
    this.#mx.cancel();
    if (await within(stopped, settleGraceMs)) return;
    this.#options.log.error({ event: 'relay.stop-incomplete', busy: this.busy });
  }

  #open(route: RouteConfig): RelayRoute {
    const { spool, log, meters, notifier, hostname, workers = 1, timeouts, idleConnectionMs } = this.#options;
    const now = this.#now;
    return new RelayRoute({
      route,
      spool,
      outcomes: new Outcomes({
        route,
        spool,
        log,
        meters,
        now,
        notifier,
        onDeferred: (toMs) => this.#ringAt(toMs),
      }),
      hostname,
      log,
      now,
      // 0 is no limit: Infinity would not survive the JSON between primary and worker.
      messagesPerSecond: route.messagesPerSecond === 0 ? Infinity : route.messagesPerSecond / workers,
      timeouts: { ...hopTimeoutsOf(route.timeouts), ...timeouts },
      idleMs: idleConnectionMs ?? defaultIdleMs,
      addresses: this.#addresses,
      mx: this.#mx,
      onPaused: (pauseMs) => this.#ringAt(now() + pauseMs),
    });
  }

  *#all(): Generator<RelayRoute> {
    yield* this.#routes.values();
    yield* this.#missing.values();
  }

  #routeOf(destination: string): RelayRoute | undefined {
    const name = routeOf(destination);
    return this.#routes.get(name) ?? this.#missing.get(name);
  }

  #retryOf(destination: string): RetryConfig {
    return this.#options.routes[routeOf(destination)]?.retry ?? missingRouteRetry;
  }

  #wake(destination: string): void {
    const route = this.#routeOf(destination) ?? this.#openMissing(routeOf(destination));
    if (route === undefined) this.#ringAt(this.#now() + crowdedMs);
    else route.wake(destination);
  }

  #openMissing(name: string): RelayRoute | undefined {
    const route = this.#missing.open(name);
    if (this.#frozen.includes(name)) route?.freeze(true);
    return route;
  }

  /** Wakes what is due and sets the alarm for what will be. */
  #ring(): void {
    this.#alarmAtMs = Infinity;
    this.#missing.makeRoom();
    let nextAtMs = Infinity;
    const nowMs = this.#now();
    for (const [destination, { earliestAtMs, count }] of this.#options.spool.due()) {
      if (count === 0) continue;
      const clockWentBack = earliestAtMs > nowMs + this.#retryOf(destination).maxMs;
      if (earliestAtMs <= nowMs || clockWentBack) this.#wake(destination);
      else nextAtMs = Math.min(nextAtMs, earliestAtMs);
    }
    this.#ringAt(Math.min(nextAtMs, nowMs + maxAlarmMs));
  }

  #ringAt(atMs: number): void {
    if (!this.#running || atMs >= this.#alarmAtMs) return;
    this.#alarmAtMs = atMs;
    clearTimeout(this.#alarm);
    const leastMs = Math.max(minAlarmMs, this.#options.spool.due().size * alarmMsPerDestination);
    const delayMs = Math.min(Math.max(atMs - this.#now(), leastMs), maxAlarmMs);
    this.#alarm = setTimeout(() => this.#ring(), delayMs);
  }
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
