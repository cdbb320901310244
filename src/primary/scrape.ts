/**
 * Keeps the primary's picture of what the workers count: asks all of them each second, and at each scrape, so that a
 * worker that is killed takes at most a second of its totals with it.
 */
import { statfs } from 'node:fs/promises';

import type { FromWorker } from '../base/messages.js';
import type { Config } from '../config/config.js';
import { MetricsAggregate } from '../metrics/aggregate.js';
import type { QueueCustody } from './queue-custody.js';
import type { Questions } from './questions.js';
import type { Supervisor } from './supervisor.js';
import type { WorkerProcess } from './worker-process.js';

const collectPeriodMs = 1_000;

interface ScrapeParts {
  readonly supervisor: Supervisor;
  readonly questions: Questions;
  readonly queue: QueueCustody;
  readonly version: string;
  /** The one in force. */
  readonly config: () => Config;
}

export class Scrape {
  readonly #parts: ScrapeParts;
  readonly #aggregate: MetricsAggregate;
  readonly #timer: NodeJS.Timeout;

  constructor(parts: ScrapeParts) {
    this.#parts = parts;
    this.#aggregate = new MetricsAggregate(parts.version);
    this.#timer = setInterval(() => void this.#collect(), collectPeriodMs);
  }

  async exposition(): Promise<string> {
    const workersMissing = await this.#collect();
    const { supervisor, queue, config } = this.#parts;
    const { dataDir, limits } = config();
    return this.#aggregate.exposition({
      workersMissing,
      workerRestarts: supervisor.restarts,
      quarantinedFiles: queue.quarantined.length,
      workersReady: supervisor.slots.filter((slot) => slot.isReady).length,
      diskFreeBytes: await freeBytes(dataDir),
      diskReserveBytes: limits.diskReserve,
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
    const { supervisor, questions } = this.#parts;
    const { missing } = await questions.ask(supervisor.serving, (id) => ({ type: 'snapshot', id }));
    return missing;
  }
}

/** Undefined when the file system does not say: the workers' room monitors log why. */
async function freeBytes(directory: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}
