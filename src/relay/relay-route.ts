/**
 * One route of the config at work: its destinations, and what they share (lanes, rate, sockets, memory of hops). A
 * destination has a queue while it has something to do; with a hundred thousand of them due, most wait as a name in
 * line. Made and woken by the dispatcher.
 */
import { domainOf } from '../base/destination.js';
import type { HostAddresses } from '../base/host-addresses.js';
import type { Log } from '../base/log.js';
import type { RouteConfig } from '../config/config.js';
import type { Spool } from '../queue/spool.js';

import type { Carrier } from './carrier.js';
import { HopDialer, type NetworkHop } from './hop-dialer.js';
import { HopPool } from './hop-pool.js';
import { HopRecords } from './hop-records.js';
import type { HopTimeouts } from './hop-timeouts.js';
import { Maildir } from './maildir.js';
import { isMissing, MissingHop } from './missing-route.js';
import { MixedMxCarrier } from './mixed-mx-carrier.js';
import { MxCarrier } from './mx-carrier.js';
import type { MxLookup } from './mx-lookup.js';
import type { Outcomes } from './outcomes.js';
import { RouteLanes } from './route-lanes.js';
import { RouteQueue } from './route-queue.js';
import { RouteSockets } from './route-sockets.js';
import { TokenBucket } from './token-bucket.js';

export interface RelayRouteOptions {
  readonly route: RouteConfig;
  readonly spool: Spool;
  readonly outcomes: Outcomes;
  readonly hostname: string;
  readonly log: Log;
  readonly now: () => number;
  /** The share of this worker. */
  readonly messagesPerSecond: number;
  readonly timeouts: HopTimeouts;
  readonly idleMs: number;
  readonly addresses: HostAddresses;
  readonly mx: MxLookup;
  /** Some destination is to be woken after so long. */
  readonly onPaused: (pauseMs: number) => void;
}

interface Destination {
  readonly queue: RouteQueue;
  readonly carrier: QuietCarrier;
}

/** A carrier that tells whether anything is open for later. */
type QuietCarrier = Carrier & { readonly isQuiet?: boolean };

/** A hop of the config that is back is noticed so soon. */
const longestHopRestMs = 60_000;
/** An MX host of others. Thousands of dead ones that are probed each minute would need hundreds of connections. */
const longestDomainRestMs = 900_000;
/** Queues at once beyond the lanes: those that stand in line for one, and those whose connections are still kept. */
const sparePerLane = 4;
/** Destinations whose hops rest, and until when: beyond, one is looked at too early. */
const maxPaused = 100_000;

export class RelayRoute {
  readonly #options: RelayRouteOptions;
  readonly #lanes: RouteLanes;
  readonly #rate: TokenBucket;
  readonly #sockets: RouteSockets;
  readonly #records: HopRecords;
  readonly #dialer: HopDialer;
  readonly #maxQueues: number;
  readonly #destinations = new Map<string, Destination>();
  /** Due, and without a queue for now. */
  readonly #waiting = new Set<string>();
  /** Monotonic milliseconds. */
  readonly #pausedUntilMs = new Map<string, number>();
  /** An operator has ended the rests of their hops, and they have no queue yet. */
  readonly #restsEnded = new Map<string, true>();
  /** Without work; their connections are kept a moment. */
  readonly #lingering = new Set<string>();
  readonly #leaving = new Set<Promise<void>>();
  /** Of a route that names its hops; all its destinations share it. */
  readonly #carrier: QuietCarrier | undefined;
  #lingerTimer: NodeJS.Timeout | undefined;
  #frozen = false;
  #stopped = false;

  constructor(options: RelayRouteOptions) {
    this.#options = options;
    const { route, hostname, timeouts, log, addresses, mx } = options;
    const isMx = route.hops.some(({ kind }) => kind === 'mx');
    const { connect, greeting, hello, startTls } = timeouts;
    this.#lanes = new RouteLanes(route.connections, isMx);
    this.#rate = new TokenBucket(options.messagesPerSecond, () => performance.now());
    this.#sockets = new RouteSockets(route.connections);
    this.#records = new HopRecords({
      probeMs: connect + greeting + hello + startTls,
      longestRestMs: Math.min(isMx ? longestDomainRestMs : longestHopRestMs, route.retry.maxMs),
      maxAttempts: Math.ceil(route.connections / 2),
    });
    const finder = isMx ? mx.addresses : addresses;
    this.#dialer = new HopDialer({
      route,
      hostname,
      timeouts,
      log,
      addresses: finder,
      sockets: this.#sockets,
    });
    this.#maxQueues = (1 + sparePerLane) * route.connections;
    // A route that is gone may have had as many destinations as one by MX.
    this.#carrier = isMx || isMissing(route) ? undefined : this.#namedCarrier();
  }

  /** Deliveries under way. */
  get busy(): number {
    let busy = 0;
    for (const { queue } of this.#destinations.values()) busy += queue.busy;
    return busy;
  }

  /** Hops that are left alone because they failed. */
  get resting(): number {
    return this.#records.ill;
  }

  /**
   * Nothing is due, under way, kept open or still to be settled. Only then may it be forgotten: a stop that did not wait
   * for a settlement would leave what was done with a message (delivered, its sender told) to be done twice.
   */
  get isIdle(): boolean {
    if (this.#destinations.size > 0 || this.#waiting.size > 0 || this.#leaving.size > 0) return false;
    return this.#options.outcomes.isSettled;
  }

  /** Milliseconds until something new is tried there; 0: at once, as far as we know. */
  pauseMs(destination: string): number {
    const paused = (this.#pausedUntilMs.get(destination) ?? 0) - performance.now();
    const carrier = this.#destinations.get(destination)?.carrier ?? this.#carrier;
    return Math.max(paused, carrier?.pauseMs() ?? 0, 0);
  }

  get isFrozen(): boolean {
    return this.#frozen;
  }

  /** Destinations with a queue: bounded. */
  get queues(): number {
    return this.#destinations.size;
  }

  /** Something may be due. Cheap: called for every commit. */
  wake(destination: string): void {
    const known = this.#destinations.get(destination);
    if (known !== undefined) {
      this.#lingering.delete(destination);
      return known.queue.wake();
    }
    if (this.#frozen || this.#stopped) return;
    const pauseMs = (this.#pausedUntilMs.get(destination) ?? 0) - performance.now();
    // Said each time: the alarm that was set for it may have rung for another, or a moment too early.
    if (pauseMs > 0) return this.#options.onPaused(pauseMs);
    if (this.#destinations.size >= this.#maxQueues && !this.#evict())
      return void this.#waiting.add(destination);
    this.#open(destination).wake();
  }

  /** An operator says that the hops may be tried again. The wake comes with what he made due. */
  endRests(destination: string): void {
    this.#pausedUntilMs.delete(destination);
    const known = this.#destinations.get(destination);
    if (known !== undefined) known.queue.endRests();
    else if (this.#carrier !== undefined) this.#carrier.endRests();
    else remember(this.#restsEnded, destination, true);
  }

  /**
   * No new attempts while frozen; what is under way finishes. Mail of a frozen route does not expire, however old it
   * gets: it stays because an operator wants it to, and only an attempt or an outage can end it.
   */
  freeze(frozen: boolean): void {
    if (this.#frozen === frozen) return;
    this.#frozen = frozen;
    if (frozen) this.#waiting.clear();
    for (const { queue } of this.#destinations.values()) queue.freeze(frozen);
  }

  /** No new leases; resolves when nothing is under way and all is settled. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#waiting.clear();
    clearTimeout(this.#lingerTimer);
    await Promise.all([...this.#destinations.keys()].map((destination) => this.#close(destination)));
    await this.#carrier?.close();
    await Promise.all(this.#leaving);
    await this.#options.outcomes.settled();
  }

  cut(reason: string): void {
    for (const { queue, carrier } of this.#destinations.values()) {
      queue.cut();
      carrier.cut(reason);
    }
    this.#carrier?.cut(reason);
  }

  // ---- destinations -----------------------------------------------------------------------------------------------

  #open(destination: string): RouteQueue {
    const { route, spool, outcomes, log, now } = this.#options;
    const carrier = this.#carrier ?? this.#ownCarrier(destination);
    const queue = new RouteQueue({
      destination,
      route,
      carrier,
      outcomes,
      lanes: this.#lanes,
      rate: this.#rate,
      spool,
      log,
      now,
      onQuiet: (pauseMs) => this.#quiet(destination, pauseMs),
    });
    if (this.#frozen) queue.freeze(true);
    if (this.#restsEnded.delete(destination)) queue.endRests();
    this.#destinations.set(destination, { queue, carrier });
    return queue;
  }

  /** The queue of a named carrier costs nothing to keep; those of domains make room for others. */
  #quiet(destination: string, pauseMs: number): void {
    if (this.#carrier !== undefined || this.#stopped) return;
    if (pauseMs > 0) {
      remember(this.#pausedUntilMs, destination, performance.now() + pauseMs);
      this.#options.onPaused(pauseMs);
    }
    this.#lingering.add(destination);
    this.#lingerTimer ??= setTimeout(() => this.#sweep(), this.#options.idleMs);
    if (this.#waiting.size > 0 && this.#evict()) this.#next();
  }

  /** True: there is room for one more. */
  #evict(): boolean {
    for (const destination of this.#lingering) {
      this.#lingering.delete(destination);
      if (this.#destinations.get(destination)?.queue.isQuiet !== true) continue;
      this.#drop(destination);
      return true;
    }
    return false;
  }

  #next(): void {
    const [destination] = this.#waiting;
    if (destination === undefined) return;
    this.#waiting.delete(destination);
    this.wake(destination);
  }

  /** Who has kept his connections to their end. */
  #sweep(): void {
    this.#lingerTimer = undefined;
    for (const destination of this.#lingering) {
      const known = this.#destinations.get(destination);
      if (known?.queue.isQuiet === true && known.carrier.isQuiet === true) {
        this.#lingering.delete(destination);
        this.#drop(destination);
      }
    }
    if (this.#lingering.size > 0) this.#lingerTimer = setTimeout(() => this.#sweep(), this.#options.idleMs);
  }

  #drop(destination: string): void {
    const left = this.#close(destination).finally(() => this.#leaving.delete(left));
    this.#leaving.add(left);
  }

  async #close(destination: string): Promise<void> {
    const known = this.#destinations.get(destination);
    if (known === undefined) return;
    if (!this.#stopped) this.#destinations.delete(destination);
    await known.queue.stop();
    if (known.carrier !== this.#carrier) await known.carrier.close();
  }

  // ---- carriers ---------------------------------------------------------------------------------------------------

  #namedCarrier(): Carrier {
    const { route, hostname } = this.#options;
    const [first] = route.hops;
    if (first?.kind === 'maildir') return new Maildir(first.path, hostname);
    const hops = route.hops.filter(isNetworkHop);
    return this.#pool(
      hops,
      () => {
        for (const { queue } of this.#destinations.values()) queue.wake();
      },
      route.connections,
    );
  }

  #ownCarrier(destination: string): QuietCarrier {
    const { route } = this.#options;
    return isMissing(route)
      ? new MissingHop(route.name)
      : this.#mxCarrier(domainOf(destination), destination);
  }

  #mxCarrier(domain: string, destination: string): QuietCarrier {
    const port = this.#options.route.hops.find((hop) => hop.kind === 'mx')?.port ?? 25;
    const of = (each: string): MxCarrier =>
      new MxCarrier({
        domain: each,
        port,
        lookup: this.#options.mx,
        health: this.#records.of(`mx ${each}`).health,
        pool: (hops) => this.#pool(hops, () => this.#destinations.get(destination)?.queue.wake()),
      });
    return domain === '' ? new MixedMxCarrier(of) : of(domain);
  }

  /** @param shareLanes left out for MX hosts: RFC 5321 §5.1 has those of one preference picked, not each message shared */
  #pool(hops: readonly NetworkHop[], onReady: () => void, shareLanes = 1): HopPool {
    const { route, log, idleMs } = this.#options;
    return new HopPool({
      route,
      hops,
      records: this.#records,
      dialer: this.#dialer,
      sockets: this.#sockets,
      idleMs,
      log,
      onReady,
      shareLanes,
    });
  }
}

/** The oldest make room. No LRU cache, which would take 2 MB for each route before it holds anything. */
function remember<T>(destinations: Map<string, T>, destination: string, what: T): void {
  destinations.delete(destination);
  const [oldest] = destinations.size < maxPaused ? [] : destinations.keys();
  if (oldest !== undefined) destinations.delete(oldest);
  destinations.set(destination, what);
}

function isNetworkHop(hop: RouteConfig['hops'][number]): hop is NetworkHop {
  return hop.kind === 'smtp' || hop.kind === 'lmtp';
}
