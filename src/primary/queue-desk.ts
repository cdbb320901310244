/**
 * One queue out of all shards: decides which workers a call of the admin API goes to, how long they may take, and
 * makes one answer of theirs. Owns which worker an open import is at. How answers merge is queue-answers.ts.
 */
import type { QueueAnswer, QueueCall } from '../base/messages.js';
import type { Questions } from './questions.js';
import {
  firstRefusal,
  mergeForOne,
  mergeIds,
  mergeRows,
  mergeShapes,
  mergeStats,
  mergeSurveys,
  sumDone,
  wholeRefusal,
  type Refusal,
} from './queue-answers.js';
import type { Supervisor } from './supervisor.js';
import type { WorkerProcess } from './worker-process.js';

// What the CLI waits for is 30 s.
const walkBoundMs = 25_000;
const oneBoundMs = 10_000;
const statsBoundMs = 1_000;
// A quarantined file may hold gigabytes.
const salvageBoundMs = 600_000;
// As many as all workers together would take; those beyond have been forgotten by their client.
const maxImports = 256;

export interface QueueDeskParts {
  readonly supervisor: Supervisor;
  readonly questions: Questions;
}

interface Asked {
  readonly answers: readonly QueueAnswer[];
  readonly missing: number;
}

export class QueueDesk {
  readonly #supervisor: Supervisor;
  readonly #questions: Questions;
  /** Oldest first. */
  readonly #imports = new Map<string, WorkerProcess>();
  #turn = 0;

  constructor({ supervisor, questions }: QueueDeskParts) {
    this.#supervisor = supervisor;
    this.#questions = questions;
  }

  async ask(call: QueueCall): Promise<QueueAnswer> {
    switch (call.method) {
      case 'list':
        return this.#list(call);
      case 'select':
        return this.#select(call);
      case 'rows':
        return this.#merged(call, walkBoundMs, (answers) => {
          const messages = mergeRows(answers, call.ids);
          return { total: messages.length, messages };
        });
      case 'survey':
        return this.#merged(call, walkBoundMs, mergeSurveys);
      case 'shape':
        return this.#merged(call, walkBoundMs, mergeShapes);
      case 'change':
        return this.#merged(call, walkBoundMs, sumDone);
      case 'stats':
        return this.#stats();
      case 'import-begin':
        return this.#beginImport(call);
      case 'import-write':
      case 'import-commit':
      case 'import-drop':
        return this.#continueImport(call);
      case 'salvage':
        return this.#askOne(this.#nextWorker(), call, salvageBoundMs);
      case 'show':
      case 'hold':
      case 'release':
      case 'retry':
      case 'delete':
      case 'envelope':
      case 'read': {
        const wasWhole = this.isWhole;
        const { answers, missing } = await this.#askAll(call, oneBoundMs);
        const answer = mergeForOne(call, answers, missing);
        const isAbsent = !answer.ok && answer.code === 'NOT_FOUND';
        return isAbsent && !(wasWhole && this.isWhole) ? unread : answer;
      }
    }
  }

  /** Whether all of the queue can be seen now: a worker is in each slot, and none is still reading files. */
  get isWhole(): boolean {
    const { slots, workers } = this.#supervisor;
    return slots.every((slot) => slot.isReady) && !workers.some(isReading);
  }

  /** Draining workers still hold files of their own, so they are asked too. */
  async #askAll(call: QueueCall, boundMs: number): Promise<Asked> {
    const { serving } = this.#supervisor;
    const { replies, missing } = await this.#questions.ask(
      serving,
      (id) => ({ type: 'call', id, call }),
      boundMs,
    );
    const answers = [...replies.values()].flatMap((reply) => (reply.type === 'answer' ? [reply.answer] : []));
    return { answers, missing };
  }

  async #askOne(worker: WorkerProcess | undefined, call: QueueCall, boundMs: number): Promise<QueueAnswer> {
    if (worker === undefined) return noWorker;
    const { replies } = await this.#questions.ask([worker], (id) => ({ type: 'call', id, call }), boundMs);
    const reply = replies.get(worker);
    return reply?.type === 'answer' ? reply.answer : silent;
  }

  /** All or nothing: a figure that lacks a shard without saying so misleads. */
  async #merged(
    call: QueueCall,
    boundMs: number,
    merge: (answers: readonly QueueAnswer[]) => Extract<QueueAnswer, { ok: true }>['value'],
  ): Promise<QueueAnswer> {
    const { answers, missing } = await this.#askAll(call, boundMs);
    return wholeRefusal(answers, missing) ?? { ok: true, value: merge(answers) };
  }

  async #stats(): Promise<QueueAnswer> {
    const { answers } = await this.#askAll({ method: 'stats' }, statsBoundMs);
    return firstRefusal(answers) ?? { ok: true, value: mergeStats(answers) };
  }

  /**
   * First the ids of the page, then its rows: however deep it lies, no worker sends more than the ids before it.
   * A shard that cannot be seen now is said by `complete`.
   */
  async #list(call: Extract<QueueCall, { method: 'list' }>): Promise<QueueAnswer> {
    const { filter, offset, limit } = call;
    const selected = await this.#ids({ method: 'select', filter, limit: offset + limit }, offset + limit);
    if ('ok' in selected) return selected;
    const { total, complete } = selected;
    const page = selected.ids.slice(offset);
    if (page.length === 0) return { ok: true, value: { total, messages: [], complete } };
    const { answers, missing } = await this.#askAll({ method: 'rows', ids: page }, walkBoundMs);
    const refusal = firstRefusal(answers);
    if (refusal !== undefined) return refusal;
    const messages = mergeRows(answers, page);
    return { ok: true, value: { total, messages, complete: complete && missing === 0 } };
  }

  async #select(call: Extract<QueueCall, { method: 'select' }>): Promise<QueueAnswer> {
    const selected = await this.#ids(call, call.limit ?? Infinity);
    return 'ok' in selected ? selected : { ok: true, value: selected };
  }

  async #ids(
    call: Extract<QueueCall, { method: 'select' }>,
    limit: number,
  ): Promise<Refusal | { ids: string[]; total: number; complete: boolean }> {
    const wasWhole = this.isWhole;
    const { answers, missing } = await this.#askAll(call, walkBoundMs);
    const refusal = firstRefusal(answers);
    if (refusal !== undefined) return refusal;
    return { ...mergeIds(answers, limit), complete: wasWhole && this.isWhole && missing === 0 };
  }

  async #beginImport(call: Extract<QueueCall, { method: 'import-begin' }>): Promise<QueueAnswer> {
    const { id } = call;
    if (!this.isWhole) return unread;
    const known = await this.ask({ method: 'survey', ids: [id] });
    if (!known.ok) return known;
    if (known.value !== null && 'found' in known.value && known.value.found > 0)
      return { ok: false, code: 'EXISTS', message: `${id} is in the queue already` };
    const worker = this.#nextWorker();
    const answer = await this.#askOne(worker, call, oneBoundMs);
    if (answer.ok && worker !== undefined) this.#remember(id, worker);
    return answer;
  }

  async #continueImport(
    call: Extract<QueueCall, { method: 'import-write' | 'import-commit' | 'import-drop' }>,
  ): Promise<QueueAnswer> {
    const { id } = call;
    const worker = this.#imports.get(id);
    if (worker === undefined || worker.isGone) {
      this.#imports.delete(id);
      const message = `no import of ${id} is under way; begin it again`;
      return { ok: false, code: 'NOT_FOUND', message };
    }
    if (call.method !== 'import-write') this.#imports.delete(id);
    return this.#askOne(worker, call, walkBoundMs);
  }

  /** The workers drop what is abandoned by themselves. */
  #remember(id: string, worker: WorkerProcess): void {
    this.#imports.delete(id);
    this.#imports.set(id, worker);
    const [oldest] = this.#imports.keys();
    if (this.#imports.size > maxImports && oldest !== undefined) this.#imports.delete(oldest);
  }

  /** In turn, one that accepts mail. */
  #nextWorker(): WorkerProcess | undefined {
    const able = this.#supervisor.slots.flatMap(({ current }) =>
      current?.state === 'ready' && current.refusing === '' ? [current] : [],
    );
    this.#turn++;
    return able[this.#turn % Math.max(1, able.length)];
  }
}

/** Its index lacks messages still. */
function isReading({ phase }: WorkerProcess): boolean {
  return phase?.kind === 'opening' || phase?.kind === 'scanning';
}

const noWorker: Refusal = {
  ok: false,
  code: 'SPOOL_CLOSED',
  message: 'no worker takes messages now; `postern status` says why. Try again',
};
const silent: Refusal = {
  ok: false,
  code: 'POOL_TIMEOUT',
  message: 'the worker did not answer in time, or has ended; try again',
};
const unread: Refusal = {
  ok: false,
  code: 'SPOOL_CLOSED',
  message: 'queue files are still being read, so it is not known what is in the queue; try again',
};
