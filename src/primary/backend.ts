/** Answers the admin HTTP out of what the supervisor knows and what the workers say when asked. */
import type {
  QueueAnswer,
  QueueCall,
  QueueStats,
  ReloadAnswer,
  RouteStatus,
  Status,
  WorkerStatus,
} from '../base/messages.js';
import type { AdminBackend, Readiness } from './admin-backend.js';
import type { FrozenRoutes } from './frozen-routes.js';
import { emptyStats } from './queue-answers.js';
import type { QueueCustody } from './queue-custody.js';
import { QueueDesk } from './queue-desk.js';
import type { Questions } from './questions.js';
import type { Reloader } from './reload.js';
import type { Salvage } from './salvage.js';
import type { Scrape } from './scrape.js';
import type { Slot } from './slot.js';
import type { Supervisor } from './supervisor.js';
import type { WorkerProcess } from './worker-process.js';

export interface BackendParts {
  readonly version: string;
  readonly supervisor: Supervisor;
  readonly queue: QueueCustody;
  readonly questions: Questions;
  readonly scrape: Scrape;
  readonly reloader: Reloader;
  readonly frozenRoutes: FrozenRoutes;
  readonly salvage: Salvage;
  /** Begins the drain. */
  readonly stop: () => void;
}

export class Backend implements AdminBackend {
  readonly #parts: BackendParts;
  readonly #desk: QueueDesk<WorkerProcess>;
  readonly #startedAtMs = performance.now();

  constructor(parts: BackendParts) {
    this.#parts = parts;
    const { supervisor, questions } = parts;
    this.#desk = new QueueDesk({
      fleet: supervisor,
      ask: async (workers, call, boundMs) => askQueue(questions, workers, call, boundMs),
    });
  }

  async status(): Promise<Status> {
    const { version, supervisor, queue, reloader, frozenRoutes } = this.#parts;
    return {
      version,
      hostname: reloader.config.hostname,
      state: supervisor.state,
      upSeconds: secondsSince(this.#startedAtMs),
      pid: process.pid,
      slots: supervisor.slots.length,
      workers: supervisor.slots.flatMap(statusesOf),
      queue: await this.#queueStats(),
      quarantined: [...queue.quarantined],
      salvaged: await queue.salvaged(),
      frozen: [...frozenRoutes.names],
    };
  }

  async metrics(): Promise<string> {
    return this.#parts.scrape.exposition();
  }

  /** One ready worker is enough: the sockets are shared, so every client finds it. */
  ready(): Readiness {
    const { state, slots } = this.#parts.supervisor;
    if (state !== 'ready') return { ok: false, reasons: [`the service is ${state}`] };
    if (slots.some((slot) => slot.isReady)) return acceptance(this.#parts.supervisor.workers);
    return { ok: false, reasons: ['no worker accepts mail; the log says why (worker.died, worker.unable)'] };
  }

  async reload(): Promise<ReloadAnswer> {
    return this.#parts.reloader.reload();
  }

  stop(): void {
    this.#parts.stop();
  }

  async queue(call: QueueCall): Promise<QueueAnswer> {
    return call.method === 'salvage' ? this.#salvage(call.file) : this.#desk.ask(call);
  }

  routes(): RouteStatus[] {
    const { reloader, frozenRoutes } = this.#parts;
    const frozen = new Set(frozenRoutes.names);
    const names = new Set([...Object.keys(reloader.config.routes), ...frozen]);
    return [...names].sort().map((name) => ({ name, frozen: frozen.has(name) }));
  }

  async setFrozen(route: string, frozen: boolean): Promise<void> {
    const { frozenRoutes } = this.#parts;
    await (frozen ? frozenRoutes.freeze(route) : frozenRoutes.thaw(route));
  }

  /** Our own files alone: whoever has the token must not have a worker open what he likes. */
  async #salvage(file: string): Promise<QueueAnswer> {
    const { queue, salvage } = this.#parts;
    // Not beside one that runs by itself: of the same file two would make duplicates.
    if (queue.quarantined.includes(file)) return salvage.byHand(file);
    return { ok: false, code: 'NOT_FOUND', message: `${file} is no quarantined file` };
  }

  async #queueStats(): Promise<QueueStats> {
    const answer = await this.queue({ method: 'stats' });
    if (answer.ok && answer.value !== null && 'oldestSeconds' in answer.value) return answer.value;
    return { ...emptyStats(), complete: false };
  }
}

async function askQueue(
  questions: Questions,
  workers: readonly WorkerProcess[],
  call: QueueCall,
  boundMs: number,
): Promise<ReadonlyMap<WorkerProcess, QueueAnswer>> {
  const { replies } = await questions.ask(workers, (id) => ({ type: 'call', id, call }), boundMs);
  const answers = new Map<WorkerProcess, QueueAnswer>();
  for (const [worker, reply] of replies) if (reply.type === 'answer') answers.set(worker, reply.answer);
  return answers;
}

/** Sockets are shared, so one worker that takes mail is enough; all that refuse it are named when none does. */
function acceptance(workers: readonly { readonly state: string; readonly refusing: string }[]): Readiness {
  const ready = workers.filter((worker) => worker.state === 'ready');
  if (ready.some((worker) => worker.refusing === '')) return { ok: true, reasons: [] };
  return { ok: false, reasons: [...new Set(ready.map((worker) => worker.refusing))] };
}

function statusesOf(slot: Slot): WorkerStatus[] {
  return slot.workers.map((worker) => ({
    slot: slot.index,
    pid: worker.pid,
    state: worker.state,
    upSeconds: secondsSince(worker.startedAtMs),
    restarts: slot.restarts,
    connections: worker.connections,
    refusing: worker.refusing,
  }));
}

function secondsSince(startMs: number): number {
  return Math.round((performance.now() - startMs) / 100) / 10;
}
