/**
 * Keeps the primary's picture of what the workers count: asks all of them each second, and at each scrape, so that a
 * worker that is killed takes at most a second of its totals with it.
 */
import type { FromWorker } from '../base/messages.js';
import { MetricsAggregate } from '../metrics/aggregate.js';
import type { Questions } from './questions.js';
import type { Supervisor } from './supervisor.js';
import type { WorkerProcess } from './worker-process.js';

const collectPeriodMs = 1_000;

export class Scrape {
  readonly #supervisor: Supervisor;
  readonly #questions: Questions;
  readonly #aggregate: MetricsAggregate;
  readonly #timer: NodeJS.Timeout;

  constructor(supervisor: Supervisor, questions: Questions, version: string) {
    this.#supervisor = supervisor;
    this.#questions = questions;
    this.#aggregate = new MetricsAggregate(version);
    this.#timer = setInterval(() => void this.#collect(), collectPeriodMs);
  }

  async exposition(): Promise<string> {
    const workersMissing = await this.#collect();
    const { slots, restarts, quarantined } = this.#supervisor;
    return this.#aggregate.exposition({
      workersMissing,
      workerRestarts: restarts,
      quarantinedFiles: quarantined.length,
      workersReady: slots.filter((slot) => slot.isReady).length,
    });
  }

  message(worker: WorkerProcess, message: FromWorker): void {
    if (message.type !== 'snapshot' && message.type !== 'farewell') return;
    this.#aggregate.update(worker.incarnation, message.metrics);
  }

  gone(worker: WorkerProcess): void {
    this.#aggregate.depart(worker.incarnation);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Answers reach the aggregate by message(), late ones too. How many workers were silent. */
  async #collect(): Promise<number> {
    const workers = this.#supervisor.workers.filter(({ state }) => state !== 'starting');
    const { missing } = await this.#questions.ask(workers, (id) => ({ type: 'snapshot', id }));
    return missing;
  }
}
