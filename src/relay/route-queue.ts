/**
 * The mail of one route on its way out: leases what is due, hands it to the route's carrier in as many lanes as the
 * route has connections, settles what came of it. Every lease ends in one settle or unlease, whatever happens. Owns the
 * count of lanes and the leases in hand; how mail is carried is the carrier's, when the clock rings the dispatcher's.
 */
import { describeError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { RouteConfig } from '../config/config.js';
import type { Cell, Histogram, Meters } from '../metrics/meters.js';
import type { Lease, QueuedMessage, RecipientResult, RecipientState, Spool } from '../queue/spool.js';

import { sameResult, type Carrier, type CarryOutcome, type Outage } from './carrier.js';
import { printable } from './last-reply.js';
import { resultLine } from './result-line.js';
import { dueClockMs, isExpired, isLongOutage, isOld, retryDelayMs } from './retry-schedule.js';

export type RelayMeters = Pick<Meters, 'relayDeliveriesTotal' | 'relayAmbiguousTotal' | 'relaySeconds'>;

export interface RouteQueueOptions {
  readonly route: RouteConfig;
  readonly carrier: Carrier;
  readonly spool: Spool;
  readonly log: Log;
  readonly meters: RelayMeters;
  /** Wall clock, as the queue's times are. */
  readonly now: () => number;
  /** The outcome is in the queue: what is still pending of this route is due at that time, and the message's other
   *  routes may lease it now. */
  readonly onSettled: (message: QueuedMessage, deferredToMs: number | undefined) => void;
}

/** After a lease() that failed: the spool is closing or broken, and asking it again at once helps nobody. */
const leaseBackoffMs = 1_000;
/** Outcomes handed to the queue and not yet on its disk; the lanes wait beyond. */
const maxSettling = 1_000;

export class RouteQueue {
  readonly #options: RouteQueueOptions;
  readonly #counts: Readonly<Record<RecipientState, Cell>>;
  readonly #ambiguous: Cell;
  readonly #seconds: Histogram;
  /** Leased, waiting for a lane. At most one per lane, so that a crash leaves few messages with a counted attempt. */
  readonly #ready: Lease[] = [];
  readonly #lanes = new Set<Promise<void>>();
  readonly #settling = new Set<Promise<void>>();
  #leasing: Promise<void> | undefined;
  #more = false;
  #stopped = false;
  #cut = false;
  #wakeTimer: NodeJS.Timeout | undefined;
  /** Monotonic milliseconds: the rest in which the oldest mail was looked at. */
  #sweptUntilMs = 0;

  constructor(options: RouteQueueOptions) {
    this.#options = options;
    const { meters, route } = options;
    const count = (state: RecipientState): Cell =>
      meters.relayDeliveriesTotal.of(route.name, resultNames[state]);
    this.#counts = { delivered: count('delivered'), pending: count('pending'), failed: count('failed') };
    this.#ambiguous = meters.relayAmbiguousTotal.of(route.name);
    this.#seconds = meters.relaySeconds.of(route.name);
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
    await Promise.all(this.#settling);
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
    const { spool, route, now, log } = this.#options;
    try {
      const earliestAtMs = spool.due().get(route.name)?.earliestAtMs ?? 0;
      return await spool.lease(route.name, dueClockMs(route.retry, earliestAtMs, now()), limit);
    } catch (error) {
      log.error({ event: 'relay.lease-failed', route: route.name, reason: describeError(error) });
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
      if (this.#settling.size >= maxSettling) await Promise.race(this.#settling);
    }
  }

  #giveUp(lease: Lease, outage: Outage): void {
    const addresses = pendingAddresses(lease, this.#options.route.name);
    const results = sameResult(addresses, 'pending', outage.reason).map(expire);
    this.#report(lease, { ...outage, results, ambiguous: false, corrupt: false }, 0);
    this.#handOver(lease.message, results, this.#options.now());
  }

  #wakeIn(delayMs: number): void {
    clearTimeout(this.#wakeTimer);
    if (!this.#stopped) this.#wakeTimer = setTimeout(() => this.wake(), Math.ceil(delayMs));
  }

  #giveBack(): void {
    for (const lease of this.#ready.splice(0)) this.#unlease(lease);
  }

  #unlease({ message }: Lease): void {
    this.#options.spool.unlease(message.id);
    this.#options.onSettled(message, undefined);
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
      if (this.#settling.size >= maxSettling) await Promise.race(this.#settling);
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
    const { carrier, log, route, spool } = this.#options;
    const addresses = pendingAddresses(lease, route.name);
    if (addresses.length === 0) {
      log.error({ event: 'relay.nothing-pending', qid: lease.message.id, route: route.name });
      return spool.unlease(lease.message.id);
    }
    const beganMs = performance.now();
    let outcome: CarryOutcome;
    try {
      outcome = await carrier.carry(lease, addresses);
    } catch (error) {
      // Our bug, not the world's: the message waits for its next attempt, the log has the stack.
      log.error({ event: 'relay.error', qid: lease.message.id, route: route.name, err: error });
      const lastReply = printable(`internal error: ${describeError(error)}`);
      const results = addresses.map((address) => ({ address, state: 'pending', lastReply }) as const);
      outcome = { hop: carrier.hop, results, ambiguous: false, corrupt: false };
    }
    if (outcome.untried === true) {
      this.#more = true;
      return this.#unlease(lease);
    }
    this.#conclude(lease, outcome, (performance.now() - beganMs) / 1000);
  }

  // ---- results ----------------------------------------------------------------------------------------------------

  #conclude(lease: Lease, outcome: CarryOutcome, seconds: number): void {
    const { route, now } = this.#options;
    const { message } = lease;
    const nowMs = now();
    const expired = !this.#cut && isExpired(route.retry, message, nowMs);
    const results = expired ? outcome.results.map(expire) : outcome.results;
    const delayMs = this.#cut ? 0 : retryDelayMs(route.retry, message.attempts, Math.random());
    this.#seconds.observe(seconds);
    this.#report(lease, { ...outcome, results }, seconds);
    this.#handOver(message, results, nowMs + delayMs);
  }

  #handOver(message: QueuedMessage, results: readonly RecipientResult[], nextAttemptAtMs: number): void {
    const settled = this.#settle(message, results, nextAttemptAtMs).finally(() =>
      this.#settling.delete(settled),
    );
    this.#settling.add(settled);
  }

  async #settle(
    message: QueuedMessage,
    results: readonly RecipientResult[],
    nextAttemptAtMs: number,
  ): Promise<void> {
    const { spool, log, onSettled } = this.#options;
    try {
      await spool.settle(message.id, results, nextAttemptAtMs);
      const deferred = results.some((result) => result.state === 'pending');
      onSettled(message, deferred ? nextAttemptAtMs : undefined);
    } catch (error) {
      // It stays leased: given back, it would go out again at once, and again. The next process finds it as it was.
      log.error({ event: 'relay.settle-failed', qid: message.id, reason: describeError(error) });
    }
  }

  /** One line and one count per kind of result. */
  #report(lease: Lease, outcome: CarryOutcome, seconds: number): void {
    if (outcome.ambiguous) this.#ambiguous.value++;
    for (const state of ['delivered', 'pending', 'failed'] as const) {
      const some = outcome.results.filter((result) => result.state === state);
      if (some.length === 0) continue;
      const ambiguous = outcome.ambiguous && state === 'pending';
      this.#counts[state].value += some.length;
      const line = {
        event: `relay.${resultNames[state]}`,
        ...resultLine(lease.message, this.#options.route.name, outcome, some, seconds),
        ...(ambiguous ? { ambiguous } : {}),
      };
      if (outcome.corrupt) this.#options.log.error({ ...line, corrupt: true });
      else this.#options.log.info(line);
    }
  }
}

/** The `result` label of relay_deliveries_total and the tail of the event. */
const resultNames = {
  delivered: 'delivered',
  pending: 'deferred',
  failed: 'failed',
} as const satisfies Record<RecipientState, string>;

function expire(result: RecipientResult): RecipientResult {
  if (result.state !== 'pending') return result;
  return { ...result, state: 'failed', lastReply: printable(`expired: ${result.lastReply}`) };
}

/** Each address once: two recipients that are spelt alike get one copy and one result. */
function pendingAddresses(lease: Lease, route: string): string[] {
  const addresses = new Set<string>();
  for (const recipient of lease.message.recipients)
    if (recipient.route === route && recipient.state === 'pending') addresses.add(recipient.address);
  return [...addresses];
}
