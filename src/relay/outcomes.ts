/**
 * What comes of a route's attempts: counted, logged, told to the sender where he is owed it, settled in the queue.
 * Owns the bound on what is handed over and not yet on disk; when to attempt is route-queue's.
 */
import { describeError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { RouteConfig } from '../config/config.js';
import type { Cell, Histogram, Meters } from '../metrics/meters.js';
import type {
  AttemptNote,
  Lease,
  QueuedMessage,
  RecipientResult,
  RecipientState,
  Spool,
} from '../queue/spool.js';

import { sameResult, type CarryOutcome, type CarryResult, type Outage } from './carrier.js';
import { printable } from './last-reply.js';
import { routeLabel } from './missing-route.js';
import type { Concluded, Notifier } from './notifier.js';
import { expiredPrefix } from './notifications/status-code.js';
import { resultLine } from './result-line.js';
import { attemptsOf, isExpired, retryDelayMs } from './retry-schedule.js';

export type OutcomeMeters = Pick<Meters, 'relayDeliveriesTotal' | 'relayAmbiguousTotal' | 'relaySeconds'>;

export interface OutcomesOptions {
  readonly route: RouteConfig;
  readonly spool: Spool;
  readonly log: Log;
  readonly meters: OutcomeMeters;
  /** Wall clock, as the queue's times are. */
  readonly now: () => number;
  readonly notifier?: Notifier | undefined;
  /** The outcome is in the queue: what is still pending is due at that time. */
  readonly onDeferred: (toMs: number) => void;
}

/** Handed to the queue and not yet on its disk; the lanes wait beyond. */
const maxSettling = 1_000;
/** RFC 1123 has no bound for a reply; AttemptNote has. */
const maxNoteChars = 256;

export class Outcomes {
  readonly #options: OutcomesOptions;
  readonly #counts: Readonly<Record<TriedState, Cell>>;
  readonly #ambiguous: Cell;
  readonly #seconds: Histogram;
  readonly #settling = new Set<Promise<void>>();

  constructor(options: OutcomesOptions) {
    this.#options = options;
    const { meters, route } = options;
    const label = routeLabel(route);
    const count = (state: TriedState): Cell => meters.relayDeliveriesTotal.of(label, resultNames[state]);
    this.#counts = { delivered: count('delivered'), pending: count('pending'), failed: count('failed') };
    this.#ambiguous = meters.relayAmbiguousTotal.of(label);
    this.#seconds = meters.relaySeconds.of(label);
  }

  /** An attempt has ended. @param cut by us: its recipients are due at once and do not expire */
  attempted(lease: Lease, outcome: CarryOutcome, seconds: number, cut: boolean): void {
    const { route, now } = this.#options;
    const nowMs = now();
    const attempts = attemptsOf(lease);
    const { arrivedAtMs } = lease.message;
    const expired = !cut && isExpired(route.retry, { arrivedAtMs, attempts }, nowMs);
    const results = expired ? outcome.results.map(expire) : outcome.results;
    const delayMs = cut ? 0 : retryDelayMs(route.retry, attempts, Math.random());
    this.#seconds.observe(seconds);
    this.#handOver(lease, { ...outcome, results }, seconds, nowMs + delayMs);
  }

  /** It is too old and only waits for the end of an outage. */
  givenUp(lease: Lease, outage: Outage, addresses: readonly string[]): void {
    const results = addresses.map((address): CarryResult =>
      expire({ address, state: 'pending', lastReply: outage.reason }),
    );
    // Only one whose notification could not be stored is still there then.
    const nextAttemptAtMs = this.#options.now() + this.#options.route.retry.firstMs;
    this.#handOver(lease, { ...outage, results, ambiguous: false, corrupt: false }, 0, nextAttemptAtMs);
  }

  /**
   * It waits for the end of an outage, and has not been tried. True: it is settled, with its sender told where he is
   * owed a notification of delay; it comes back later. So does one that has been due for so long that others behind it
   * may be late too.
   */
  waits(lease: Lease, outage: Outage, addresses: readonly string[]): boolean {
    const { notifier, now, route } = this.#options;
    if (notifier === undefined || this.lateAfterMs === Infinity) return false;
    const results = sameResult(addresses, 'pending', outage.reason);
    const outcome = { ...outage, results, ambiguous: false, corrupt: false, untried: true };
    const dueAtMs = lease.message.routes.find((each) => each.route === lease.route)?.nextAttemptAtMs ?? 0;
    if (!notifier.owes(lease, outcome, now()) && dueAtMs > now() - this.lateAfterMs) return false;
    this.#track(this.#settle(lease, outcome, now() + route.retry.firstMs));
    return true;
  }

  /** Age from which waits() may have something to do. */
  get lateAfterMs(): number {
    const lateMs = this.#options.notifier?.lateAfterMs ?? 0;
    return lateMs === 0 ? Infinity : lateMs;
  }

  /** Resolves when there is room for more. Undefined: there is. */
  room(): Promise<void> | undefined {
    return this.#settling.size >= maxSettling ? Promise.race(this.#settling) : undefined;
  }

  /** Nothing that was handed over is still on its way to the disk. */
  get isSettled(): boolean {
    return this.#settling.size === 0;
  }

  async settled(): Promise<void> {
    await Promise.all(this.#settling);
  }

  #handOver(lease: Lease, outcome: CarryOutcome, seconds: number, nextAttemptAtMs: number): void {
    this.#report(lease, outcome, seconds);
    this.#track(this.#settle(lease, outcome, nextAttemptAtMs));
  }

  #track(settling: Promise<void>): void {
    const settled = settling.finally(() => this.#settling.delete(settled));
    this.#settling.add(settled);
  }

  async #settle(lease: Lease, outcome: CarryOutcome, nextAttemptAtMs: number): Promise<void> {
    const { spool, log, onDeferred } = this.#options;
    try {
      const told = this.#tell(lease, outcome);
      const { results, delayNotified } = told === undefined ? untold(outcome) : await told;
      await spool.settle(lease, results, nextAttemptAtMs, this.#note(lease, outcome, results, delayNotified));
      if (results.some((result) => result.state === 'pending')) onDeferred(nextAttemptAtMs);
    } catch (error) {
      // It stays leased: given back, it would go out again at once, and again. The next process finds it as it was.
      log.error({ event: 'relay.settle-failed', qid: lease.message.id, reason: describeError(error) });
    }
  }

  /** Undefined, for nearly every message: nobody is owed anything, and it costs no promise. */
  #tell(lease: Lease, outcome: CarryOutcome): Promise<Concluded> | undefined {
    const { notifier, now, log } = this.#options;
    // Our bug, not the world's: what failed stays 'failed', for an operator to see.
    const broken = (error: unknown): Concluded => {
      log.error({ event: 'relay.error', qid: lease.message.id, route: lease.route, err: error });
      return untold(outcome);
    };
    try {
      if (notifier?.owes(lease, outcome, now()) !== true) return undefined;
      return notifier.conclude(lease, outcome, now()).catch(broken);
    } catch (error) {
      return Promise.resolve(broken(error));
    }
  }

  /** What `queue show` tells later; nothing for the plain delivery of all, which leaves the queue. */
  #note(
    lease: Lease,
    outcome: CarryOutcome,
    results: readonly RecipientResult[],
    delayNotified: boolean,
  ): AttemptNote | undefined {
    const unsent = results.find((result) => result.state !== 'delivered');
    if (unsent === undefined && isOnlyDestination(lease.message)) return undefined;
    const reply = (unsent ?? results[0])?.lastReply.slice(0, maxNoteChars) ?? '';
    const attempt = { route: lease.route, atMs: this.#options.now(), hop: printable(outcome.hop), reply };
    return delayNotified ? { attempt, delayNotified } : { attempt };
  }

  /** One line and one count per kind of result. */
  #report(lease: Lease, outcome: CarryOutcome, seconds: number): void {
    if (outcome.ambiguous) this.#ambiguous.value++;
    for (const state of triedStates) {
      const some = outcome.results.filter((result) => result.state === state);
      if (some.length === 0) continue;
      const ambiguous = outcome.ambiguous && state === 'pending';
      this.#counts[state].value += some.length;
      const line = {
        event: `relay.${resultNames[state]}`,
        ...resultLine(lease, outcome, some, seconds),
        ...(ambiguous ? { ambiguous } : {}),
      };
      if (outcome.corrupt) this.#options.log.error({ ...line, corrupt: true });
      else this.#options.log.info(line);
    }
  }
}

/** What an attempt can come to; 'bounced' is the notifier's word for 'failed'. */
type TriedState = Exclude<RecipientState, 'bounced'>;
const triedStates = ['delivered', 'pending', 'failed'] as const satisfies readonly TriedState[];

/** The `result` label of relay_deliveries_total and the tail of the event. */
const resultNames = {
  delivered: 'delivered',
  pending: 'deferred',
  failed: 'failed',
} as const satisfies Record<TriedState, string>;

function expire(result: CarryResult): CarryResult {
  if (result.state !== 'pending') return result;
  return { ...result, state: 'failed', lastReply: printable(expiredPrefix + result.lastReply) };
}

function untold({ results }: CarryOutcome): Concluded {
  return { results, delayNotified: false };
}

function isOnlyDestination(message: QueuedMessage): boolean {
  return message.routes.length <= 1;
}
