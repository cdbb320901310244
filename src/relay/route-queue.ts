/**
 * The mail of one route on its way out: leases what is due, hands it to the route's carrier in as many lanes as the
 * route has connections, settles what came of it. Every lease ends in one settle or unlease, whatever happens. Owns the
 * count of lanes and the leases in hand; how mail is carried is the carrier's, when the clock rings the dispatcher's.
 */
import { describeError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { RouteConfig } from '../config/config.js';
import type { Lease, Spool } from '../queue/spool.js';

import type { Carrier, CarryOutcome, Outage } from './carrier.js';
import { printable } from './last-reply.js';
import type { Outcomes } from './outcomes.js';
import { dueClockMs, isLongOutage, isOld } from './retry-schedule.js';

export interface RouteQueueOptions {
  /** What the queue is asked for. */
  readonly destination: string;
  readonly route: RouteConfig;
  readonly carrier: Carrier;
  readonly outcomes: Outcomes;
  readonly spool: Spool;
  readonly log: Log;
  /** Wall clock, as the queue's times are. */
  readonly now: () => number;
}

/** After a lease() that failed: the spool is closing or broken, and asking it again at once helps nobody. */
const leaseBackoffMs = 1_000;

export class RouteQueue {
  readonly #options: RouteQueueOptions;
  /** Leased, waiting for a lane. At most one per lane, so that a crash leaves few messages with a counted attempt. */
  readonly #ready: Lease[] = [];
  readonly #lanes = new Set<Promise<void>>();
  #leasing: Promise<void> | undefined;
  #more = false;
  #stopped = false;
  #cut = false;
  #wakeTimer: NodeJS.Timeout | undefined;
  /** Monotonic milliseconds: the rest in which the oldest mail was looked at. */
  #sweptUntilMs = 0;

  constructor(options: RouteQueueOptions) {
    this.#options = options;
  }

  /** Deliveries under way. */
  get busy(): number {
    return this.#lanes.size;
  }

  /** Something may be due. Cheap: called for every commit. */
  wake(): void {
    this.#more = true;
    this.#refill();
  }

  /** An operator says that the hops may be tried again. The wake comes with what he made due. */
  endRests(): void {
    this.#options.carrier.endRests();
  }

  /** No new leases; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#wakeTimer);
    await this.#leasing;
    this.#giveBack();
    await Promise.all(this.#lanes);
    await this.#options.carrier.close();
    await this.#options.outcomes.settled();
  }

  /** What is under way ends now; its recipients stay pending and are due at once. */
  cut(reason: string): void {
    this.#cut = true;
    this.#options.carrier.cut(reason);
  }

  // ---- leasing ----------------------------------------------------------------------------------------------------

  #refill(): void {
    if (this.#stopped || !this.#more || this.#leasing !== undefined || this.#ready.length > 0) return;
    const { carrier, route } = this.#options;
    const pauseMs = carrier.pauseMs();
    if (pauseMs > 0) return this.#rest(pauseMs);
    const free = carrier.doubtful ? 1 - this.#lanes.size : route.connections - this.#lanes.size;
    if (free <= 0) return;
    this.#more = false;
    this.#whileLeasing(this.#fill(carrier.doubtful ? 1 : free + route.connections));
  }

  #whileLeasing(leasing: Promise<void>): void {
    this.#leasing = leasing.finally(() => {
      this.#leasing = undefined;
      this.#refill();
    });
  }

  async #fill(limit: number): Promise<void> {
    const { route } = this.#options;
    const leases = await this.#lease(limit);
    if (leases.length === limit) this.#more = true;
    this.#ready.push(...leases);
    if (this.#stopped) return this.#giveBack();
    while (this.#ready.length > 0 && this.#lanes.size < route.connections) this.#openLane();
  }

  /** None after a failure, which is logged, and asked again after a while. */
  async #lease(limit: number): Promise<Lease[]> {
    const { spool, route, destination, now, log } = this.#options;
    try {
      const earliestAtMs = spool.due().get(destination)?.earliestAtMs ?? 0;
      return await spool.lease(destination, dueClockMs(route.retry, earliestAtMs, now()), limit);
    } catch (error) {
      log.error({ event: 'relay.lease-failed', route: destination, reason: describeError(error) });
      this.#wakeIn(leaseBackoffMs);
      return [];
    }
  }

  // ---- outages ----------------------------------------------------------------------------------------------------

  /** Mail that is due waits for the end of the rest, when one message probes. Once per rest the oldest are let go. */
  #rest(pauseMs: number): void {
    this.#wakeIn(pauseMs);
    const { carrier, spool, route, now } = this.#options;
    const outage = carrier.outage();
    if (outage?.restsUntilMs === undefined || !isLongOutage(route.retry, outage.lastsMs)) return;
    if (performance.now() < this.#sweptUntilMs) return;
    this.#sweptUntilMs = performance.now() + pauseMs;
    const arrivedAtMs = spool.stats().oldestArrivedAtMs;
    if (arrivedAtMs !== undefined && isOld(route.retry, arrivedAtMs, now()))
      this.#whileLeasing(this.#expireWaiting(outage));
  }

  /**
   * One message probes per rest, so that in a long outage most never get their turn and would wait for ever. The queue
   * gives what was due first. One that is too young ends the sweep, and what is older and was due later goes after it:
   * when that one is old, at the latest.
   */
  async #expireWaiting(outage: Outage): Promise<void> {
    const { carrier, route, now } = this.#options;
    for (let limit = 1; !this.#stopped; limit = route.connections) {
      let expired = 0;
      for (const lease of await this.#lease(limit)) {
        // The rest may have been ended while we leased.
        if (isOld(route.retry, lease.message.arrivedAtMs, now()) && carrier.pauseMs() > 0) {
          this.#giveUp(lease, outage);
          expired++;
        } else this.#unlease(lease);
      }
      if (expired < limit) return;
      const room = this.#options.outcomes.room();
      if (room !== undefined) await room;
    }
  }

  #giveUp(lease: Lease, outage: Outage): void {
    this.#options.outcomes.givenUp(lease, outage, pendingAddresses(lease));
  }

  #wakeIn(delayMs: number): void {
    clearTimeout(this.#wakeTimer);
    if (!this.#stopped) this.#wakeTimer = setTimeout(() => this.wake(), Math.ceil(delayMs));
  }

  #giveBack(): void {
    for (const lease of this.#ready.splice(0)) this.#unlease(lease);
  }

  #unlease(lease: Lease): void {
    this.#options.spool.unlease(lease);
  }

  // ---- lanes ------------------------------------------------------------------------------------------------------

  #openLane(): void {
    const lane = this.#lane().finally(() => {
      this.#lanes.delete(lane);
      this.#refill();
    });
    this.#lanes.add(lane);
  }

  async #lane(): Promise<void> {
    for (let lease = this.#ready.shift(); lease !== undefined; lease = this.#next()) {
      await this.#attempt(lease);
      const room = this.#options.outcomes.room();
      if (room !== undefined) await room;
    }
  }

  /** The next lease in hand; none when the route must rest, which hands all of them back. */
  #next(): Lease | undefined {
    if (this.#stopped || (this.#ready.length > 0 && this.#options.carrier.pauseMs() > 0)) {
      this.#more = true;
      this.#giveBack();
    }
    return this.#ready.shift();
  }

  async #attempt(lease: Lease): Promise<void> {
    const { carrier, log, destination: route } = this.#options;
    const addresses = pendingAddresses(lease);
    if (addresses.length === 0) {
      log.error({ event: 'relay.nothing-pending', qid: lease.message.id, route });
      return this.#unlease(lease);
    }
    const beganMs = performance.now();
    let outcome: CarryOutcome;
    try {
      outcome = await carrier.carry(lease, addresses);
    } catch (error) {
      // Our bug, not the world's: the message waits for its next attempt, the log has the stack.
      log.error({ event: 'relay.error', qid: lease.message.id, route, err: error });
      const lastReply = printable(`internal error: ${describeError(error)}`);
      const results = addresses.map((address) => ({ address, state: 'pending', lastReply }) as const);
      outcome = { hop: carrier.hop, results, ambiguous: false, corrupt: false };
    }
    if (outcome.untried === true) {
      this.#more = true;
      return this.#unlease(lease);
    }
    const seconds = (performance.now() - beganMs) / 1000;
    this.#options.outcomes.attempted(lease, outcome, seconds, this.#cut);
  }
}

/** Each address once: two recipients that are spelt alike get one copy and one result. */
function pendingAddresses({ message, route }: Lease): string[] {
  const addresses = new Set<string>();
  for (const recipient of message.recipients)
    if (recipient.route === route && recipient.state === 'pending') addresses.add(recipient.address);
  return [...addresses];
}
