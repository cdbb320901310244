/**
 * Questions to workers and their answers, matched by number. A worker that is silent or dies while asked is missing
 * from the answers; nothing here ever rejects or waits longer than the bound.
 */
import type { FromWorker, ToWorker } from '../base/messages.js';
import type { WorkerProcess } from './worker-process.js';

/** The last part of a scrape's patience; a healthy worker answers within a turn of its event loop. */
const defaultBoundMs = 1_000;

type Reply = Extract<FromWorker, { id: number }>;

export interface Answers {
  readonly replies: ReadonlyMap<WorkerProcess, Reply>;
  readonly missing: number;
}

interface Round {
  readonly replies: Map<WorkerProcess, Reply>;
  readonly awaited: Set<WorkerProcess>;
  finish(): void;
}

export class Questions {
  // Bounded: a round ends after its bound.
  readonly #rounds = new Map<number, Round>();
  #lastId = 0;

  async ask(
    workers: readonly WorkerProcess[],
    question: (id: number) => ToWorker,
    boundMs = defaultBoundMs,
  ): Promise<Answers> {
    const id = ++this.#lastId;
    const replies = new Map<WorkerProcess, Reply>();
    if (workers.length === 0) return { replies, missing: 0 };
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, boundMs);
      const finish = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#rounds.set(id, { replies, awaited: new Set(workers), finish });
      for (const worker of workers) worker.send(question(id));
    });
    this.#rounds.delete(id);
    return { replies, missing: workers.length - replies.size };
  }

  message(worker: WorkerProcess, message: FromWorker): void {
    if (message.type !== 'answer' && message.type !== 'snapshot') return;
    const round = this.#rounds.get(message.id);
    if (round === undefined) return;
    round.replies.set(worker, message);
    settle(round, worker);
  }

  gone(worker: WorkerProcess): void {
    for (const round of this.#rounds.values()) settle(round, worker);
  }
}

function settle(round: Round, worker: WorkerProcess): void {
  round.awaited.delete(worker);
  if (round.awaited.size === 0) round.finish();
}
