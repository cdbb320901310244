/**
 * The mail of one destination on its way out: leases what is due, hands it to the carrier in as many lanes as it gets,
 * passes on what came of it. Every lease ends in one settle or unlease, whatever happens. Owns the leases in hand; how
 * mail is carried is the carrier's, what becomes of the outcome outcomes', when the clock rings the dispatcher's.
 */
import { describeError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { RouteConfig } from '../config/config.js';
import type { Lease, Spool } from '../queue/spool.js';

import { pendingAddresses, type Carrier, type CarryOutcome } from './carrier.js';
import { printable } from './last-reply.js';
import { OutageSweep } from './outage-sweep.js';
import type { Outcomes } from './outcomes.js';
import { dueClockMs } from './retry-schedule.js';
import type { RouteLanes } from './route-lanes.js';
import type { TokenBucket } from './token-bucket.js';

export interface RouteQueueOptions {
  /** What the queue is asked for. */
  readonly destination: string;
  readonly route: RouteConfig;
  /** Closed by whoever made it. */
  readonly carrier: Carrier;
  readonly outcomes: Outcomes;
  /** Shared by the destinations of the route, as is the rate. */
  readonly lanes: RouteLanes;
  readonly rate: TokenBucket;
  readonly spool: Spool;
  readonly log: Log;
  /** Wall clock, as the queue's times are. */
  readonly now: () => number;
  /** Nothing is under way. @param pauseMs > 0: something is due and waits for the hops */
  readonly onQuiet: (pauseMs: number) => void;
}

/** After a lease() that failed: the spool is closing or broken, and asking it again at once helps nobody. */
const leaseBackoffMs = 1_000;
/** After a carrier has tried nothing and names no pause. Asked again at once, it would be asked for ever: lease, attempt
 *  and unlease need no turn of the event loop, so that nothing it waits for could come. */
const untriedRestMs = 100;

export class RouteQueue {
  readonly #options: RouteQueueOptions;
  readonly #sweep: OutageSweep;
  /** Leased, waiting for a lane. At most one per lane, so that a crash leaves few messages with a counted attempt. */
  readonly #ready: Lease[] = [];
  readonly #running = new Set<Promise<void>>();
  #leasing: Promise<void> | undefined;
  #more = false;
  /** For a lane or the rate. */
  #inLine = false;
  #frozen = false;
  #stopped = false;
  #cut = false;
  #wakeTimer: NodeJS.Timeout | undefined;
  /** Monotonic milliseconds; see untriedRestMs. */
  #untriedUntilMs = 0;

  constructor(options: RouteQueueOptions) {
    this.#options = options;
    this.#sweep = new OutageSweep({ ...options, lease: (limit) => this.#lease(limit) });
  }

  /** Deliveries under way. */
  get busy(): number {
    return this.#running.size;
  }

  /** Nothing is under way, and nothing waits for anything but its hops. */
  get isQuiet(): boolean {
    if (this.#inLine || this.#leasing !== undefined) return false;
    return this.#running.size === 0 && this.#ready.length === 0;
  }

  /** Something may be due. Cheap: called for every commit. */
  wake(): void {
    this.#more = true;
    this.#refill();
  }

  /** Frozen: no new attempts; what is under way finishes, what was leased ahead goes back. */
  freeze(frozen: boolean): void {
    this.#frozen = frozen;
    if (frozen) this.#giveBack();
    else this.wake();
  }

  /** An operator says that the hops may be tried again. The wake comes with what he made due. */
  endRests(): void {
    this.#untriedUntilMs = 0;
    this.#options.carrier.endRests();
  }

  /** No new leases; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#options.lanes.leave(this);
    clearTimeout(this.#wakeTimer);
    await this.#leasing;
    this.#giveBack();
    await Promise.all(this.#running);
  }

  /** What is under way ends now; its recipients stay pending and are due at once. */
  cut(): void {
    this.#cut = true;
  }

  // ---- leasing ----------------------------------------------------------------------------------------------------

  #refill(): void {
    if (this.#stopped || this.#frozen || this.#leasing !== undefined || this.#ready.length > 0) return;
    const { carrier, lanes, rate } = this.#options;
    if (!this.#more) return this.#quiet(0);
    const pauseMs = this.#pauseMs();
    if (pauseMs > 0) return this.#rest(pauseMs);
    const waitMs = rate.waitMs();
    this.#inLine = waitMs > 0;
    if (waitMs > 0) return this.#wakeIn(waitMs);
    const useful = carrier.usefulLanes;
    const wanted = Math.min(useful, lanes.share) - this.#running.size;
    if (wanted <= 0) return;
    const isSure = useful === Infinity;
    const ill = !isSure && carrier.outage() !== undefined;
    const granted = lanes.claim(this, wanted, ill);
    this.#inLine = granted === 0;
    if (this.#inLine) return;
    this.#whileLeasing(this.#fill(granted, ill, isSure ? granted + lanes.share : granted));
  }

  #whileLeasing(leasing: Promise<void>): void {
    this.#leasing = leasing.finally(() => {
      this.#leasing = undefined;
      this.#refill();
    });
  }

  async #fill(granted: number, ill: boolean, wanted: number): Promise<void> {
    const { rate, lanes } = this.#options;
    this.#more = false;
    await this.#fetch(rate.take(wanted));
    let free = granted;
    for (let i = this.#ready.length; i > 0 && free > 0; i--, free--) this.#openLane(ill);
    for (; free > 0; free--) lanes.release(ill);
  }

  async #fetch(limit: number): Promise<void> {
    const leases = await this.#lease(limit);
    if (leases.length === limit) this.#more = true;
    this.#options.rate.giveBack(limit - leases.length);
    this.#ready.push(...leases);
  }

  /** None after a failure, which is logged, and asked again after a while. */
  async #lease(limit: number): Promise<Lease[]> {
    const { spool, route, destination, now, log } = this.#options;
    if (this.#stopped || this.#frozen) return [];
    try {
      const earliestAtMs = spool.due().get(destination)?.earliestAtMs ?? 0;
      const leases = await spool.lease(destination, dueClockMs(route.retry, earliestAtMs, now()), limit);
      if (!this.#stopped && !this.#frozen) return leases;
      for (const lease of leases) this.#unlease(lease);
      return [];
    } catch (error) {
      log.error({ event: 'relay.lease-failed', route: destination, reason: describeError(error) });
      this.#wakeIn(leaseBackoffMs);
      return [];
    }
  }

  /** Mail that is due waits for the end of the rest, when one message probes. */
  #rest(pauseMs: number): void {
    this.#inLine = false;
    this.#options.lanes.leave(this);
    this.#wakeIn(pauseMs);
    const sweeping = this.#sweep.begin(pauseMs);
    if (sweeping !== undefined) this.#whileLeasing(sweeping);
    else this.#quiet(pauseMs);
  }

  #quiet(pauseMs: number): void {
    if (this.isQuiet) this.#options.onQuiet(pauseMs);
  }

  #wakeIn(delayMs: number): void {
    clearTimeout(this.#wakeTimer);
    if (!this.#stopped) this.#wakeTimer = setTimeout(() => this.wake(), Math.ceil(delayMs));
  }

  #giveBack(): void {
    this.#options.rate.giveBack(this.#ready.length);
    for (const lease of this.#ready.splice(0)) this.#unlease(lease);
  }

  #unlease(lease: Lease): void {
    this.#more = true;
    this.#options.spool.unlease(lease);
  }

  #pauseMs(): number {
    return Math.max(this.#options.carrier.pauseMs(), this.#untriedUntilMs - performance.now());
  }

  // ---- lanes ------------------------------------------------------------------------------------------------------

  #openLane(ill: boolean): void {
    const lane = this.#lane().finally(() => {
      this.#running.delete(lane);
      // Nobody is left to take what was leased ahead.
      if (this.#running.size === 0) this.#giveBack();
      // Those in line first, then us.
      this.#options.lanes.release(ill);
      this.#refill();
    });
    this.#running.add(lane);
  }

  async #lane(): Promise<void> {
    let messages = 0;
    for (let lease = this.#ready.shift(); lease !== undefined; lease = this.#next(++messages)) {
      await this.#attempt(lease);
      const room = this.#options.outcomes.room();
      if (room !== undefined) await room;
    }
  }

  /** The next lease in hand; none when the route must rest, which hands all of them back, or others are in line. */
  #next(messages: number): Lease | undefined {
    if (this.#ready.length === 0) return undefined;
    if (this.#stopped || this.#frozen || this.#pauseMs() > 0) this.#giveBack();
    else if (this.#options.lanes.mustYield(messages)) return undefined;
    return this.#ready.shift();
  }

  async #attempt(lease: Lease): Promise<void> {
    const { carrier, log, destination, outcomes } = this.#options;
    const addresses = pendingAddresses(lease);
    if (addresses.length === 0) {
      log.error({ event: 'relay.nothing-pending', qid: lease.message.id, route: destination });
      return this.#untried(lease);
    }
    const beganMs = performance.now();
    let outcome: CarryOutcome;
    try {
      outcome = await carrier.carry(lease, addresses);
    } catch (error) {
      // Our bug, not the world's: the message waits for its next attempt, the log has the stack.
      log.error({ event: 'relay.error', qid: lease.message.id, route: destination, err: error });
      const lastReply = printable(`internal error: ${describeError(error)}`);
      const results = addresses.map((address) => ({ address, state: 'pending', lastReply }) as const);
      outcome = { hop: carrier.hop, results, ambiguous: false, corrupt: false };
    }
    if (outcome.untried === true) return this.#untried(lease);
    outcomes.attempted(lease, outcome, (performance.now() - beganMs) / 1000, this.#cut);
  }

  #untried(lease: Lease): void {
    const { carrier, rate } = this.#options;
    rate.giveBack(1);
    this.#unlease(lease);
    if (carrier.pauseMs() <= 0) this.#untriedUntilMs = performance.now() + untriedRestMs;
  }
}
