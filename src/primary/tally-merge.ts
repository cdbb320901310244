/**
 * Carries the workers' tallies per client network to the sums, and the keys at their limit back to all workers: no round
 * trip per connection, at the price of what comes in within one merge interval, which is a worker's report
 * (worker/main.ts) and `answerMs`: 250 ms at most.
 */
import type { FromWorker } from '../base/messages.js';
import {
  rateKinds,
  standingKinds,
  type OverLimit,
  type RateKind,
  type StandingKind,
  type TallyKind,
} from '../base/tallies.js';
import type { LimitsConfig } from '../config/config.js';
import { tallyLimits } from '../config/tally-limits.js';
import { MinuteRates } from './minute-rates.js';
import { StandingCounts } from './standing-counts.js';
import type { WorkerProcess } from './worker-process.js';

// Reports that come together get one answer; with the workers' 200 ms this makes the merge interval.
const answerMs = 25;
// Rates fall by time alone, in slices of 10 s.
const expiryMs = 1_000;

export class TallyMerge {
  readonly #standing: ReadonlyMap<StandingKind, StandingCounts>;
  readonly #rates: ReadonlyMap<RateKind, MinuteRates>;
  readonly #workers: () => readonly WorkerProcess[];
  readonly #expiryTimer: NodeJS.Timeout;
  #answerTimer: NodeJS.Timeout | undefined;

  constructor(limits: LimitsConfig, workers: () => readonly WorkerProcess[]) {
    const by = tallyLimits(limits);
    this.#standing = new Map(standingKinds.map((kind) => [kind, new StandingCounts(by[kind])]));
    this.#rates = new Map(rateKinds.map((kind) => [kind, new MinuteRates(by[kind])]));
    this.#workers = workers;
    this.#expiryTimer = setInterval(() => this.#expire(), expiryMs);
  }

  setLimits(limits: LimitsConfig): void {
    const by = tallyLimits(limits);
    for (const [kind, counts] of this.#standing) counts.setLimits(by[kind]);
    for (const [kind, rates] of this.#rates) rates.setLimits(by[kind]);
    this.#answer();
  }

  message(worker: WorkerProcess, message: FromWorker): void {
    // A new worker knows nothing yet.
    if (message.type === 'ready') worker.send({ type: 'over-limit', over: this.#whole() });
    if (message.type !== 'tallies') return;
    const { standing, events } = message.report;
    for (const [kind, counts] of this.#standing)
      if (standing[kind] !== undefined) counts.update(worker.incarnation, standing[kind]);
    for (const [kind, rates] of this.#rates)
      if (events[kind] !== undefined) rates.add(events[kind], performance.now());
    this.#answer();
  }

  gone(worker: WorkerProcess): void {
    for (const counts of this.#standing.values()) counts.depart(worker.incarnation);
    this.#answer();
  }

  close(): void {
    clearInterval(this.#expiryTimer);
    clearTimeout(this.#answerTimer);
  }

  #expire(): void {
    for (const rates of this.#rates.values()) rates.expire(performance.now());
    this.#answer();
  }

  #answer(): void {
    this.#answerTimer ??= setTimeout(() => {
      this.#answerTimer = undefined;
      this.#tellChanges();
    }, answerMs);
  }

  #tellChanges(): void {
    const over: OverLimit = {};
    for (const [kind, sums] of this.#sums())
      if (sums.atLimit.takeChanged()) over[kind] = sums.atLimit.sorted();
    if (Object.keys(over).length === 0) return;
    for (const worker of this.#workers()) worker.send({ type: 'over-limit', over });
  }

  #whole(): OverLimit {
    const over: OverLimit = {};
    for (const [kind, sums] of this.#sums()) over[kind] = sums.atLimit.sorted();
    return over;
  }

  #sums(): [TallyKind, StandingCounts | MinuteRates][] {
    return [...this.#standing, ...this.#rates];
  }
}
