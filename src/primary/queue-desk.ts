/**
 * One queue out of all shards: decides which workers a call of the admin API goes to, how long they may take, and
 * makes one answer of theirs. Owns which worker an open import is at. How answers merge is queue-answers.ts.
 */
import type { QueueAnswer, QueueCall, QueueSelection } from '../base/messages.js';
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
  type CallForOne,
  type Refusal,
} from './queue-answers.js';

// What the CLI waits for is 30 s. A walk over a long queue pauses for the mail that flows meanwhile, and one by sender
// or error reads every message.
const walkBoundMs = 25_000;
// A commit on a slow disk.
const changeBoundMs = 10_000;
// Of a worker that is well, whatever it does beside; one that stands must not make an operator wait for the others.
const lookBoundMs = 3_000;
const statsBoundMs = 1_000;
// As many as all workers together would take; those beyond have been forgotten by their client.
const maxImports = 256;

/** What of a worker process matters here. */
export interface ShardWorker {
  readonly state: 'starting' | 'ready' | 'draining';
  /** Why it refuses mail; '' while it does not. */
  readonly refusing: string;
  /** Its index lacks messages still. */
  readonly isReading: boolean;
  readonly isGone: boolean;
}

/** The supervisor, as far as the queue needs it. */
export interface Fleet<W extends ShardWorker> {
  readonly slots: readonly { readonly isReady: boolean; readonly current: W | undefined }[];
  readonly workers: readonly W[];
  /** Those that have a shard open, draining ones too. */
  readonly serving: readonly W[];
  /** There may be files that no worker has been told of yet. */
  readonly isHandingOver: boolean;
}

export interface QueueDeskParts<W extends ShardWorker> {
  readonly fleet: Fleet<W>;
  /** The answers that came within the bound, by worker. */
  readonly ask: (
    workers: readonly W[],
    call: QueueCall,
    boundMs: number,
  ) => Promise<ReadonlyMap<W, QueueAnswer>>;
}

/** Salvage is of files, not of the queue. */
export type QueueDeskCall = Exclude<QueueCall, { method: 'salvage' }>;

interface Asked {
  readonly answers: readonly QueueAnswer[];
  readonly missing: number;
}

export class QueueDesk<W extends ShardWorker> {
  readonly #fleet: Fleet<W>;
  readonly #ask: QueueDeskParts<W>['ask'];
  /** Which worker has the open import of an id; oldest first. */
  readonly #imports = new Map<string, W>();
  /** Imports whose commit is under way: nobody finds the message yet, and a second import would store it twice. */
  readonly #committing = new Set<string>();
  /** Who was told to commit and did not answer in time, by id; it may succeed still. Oldest first. */
  readonly #unanswered = new Map<string, W>();
  #turn = 0;

  constructor({ fleet, ask }: QueueDeskParts<W>) {
    this.#fleet = fleet;
    this.#ask = ask;
  }

  async ask(call: QueueDeskCall): Promise<QueueAnswer> {
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
      case 'hold':
      case 'release':
      case 'retry':
      case 'delete':
        return this.#ofOne(call, changeBoundMs);
      case 'show':
      case 'envelope':
      case 'read':
        return this.#ofOne(call, lookBoundMs);
    }
  }

  /** That there is no such message is known only when every file has been read. */
  async #ofOne(call: CallForOne, boundMs: number): Promise<QueueAnswer> {
    const wasWhole = this.isWhole;
    const { answers, missing } = await this.#askAll(call, boundMs);
    const answer = mergeForOne(call, answers, missing);
    const isAbsent = !answer.ok && answer.code === 'NOT_FOUND';
    return isAbsent && !(wasWhole && this.isWhole) ? unread : answer;
  }

  /** Whether all of the queue can be seen now: a worker is in each slot, each file has one, and none still reads. */
  get isWhole(): boolean {
    const { slots, workers, isHandingOver } = this.#fleet;
    return (
      !isHandingOver && slots.every((slot) => slot.isReady) && !workers.some((worker) => worker.isReading)
    );
  }

  /** Draining workers still hold files of their own, so they are asked too. */
  async #askAll(call: QueueCall, boundMs: number): Promise<Asked> {
    const { serving } = this.#fleet;
    const answers = [...(await this.#ask(serving, call, boundMs)).values()];
    return { answers, missing: serving.length - answers.length };
  }

  async #askOne(worker: W | undefined, call: QueueCall, boundMs: number): Promise<QueueAnswer> {
    if (worker === undefined) return noWorker;
    return (await this.#ask([worker], call, boundMs)).get(worker) ?? silent;
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
    const wasWhole = this.isWhole;
    const { answers, missing } = await this.#askAll({ method: 'stats' }, statsBoundMs);
    const complete = wasWhole && this.isWhole && missing === 0;
    return firstRefusal(answers) ?? { ok: true, value: { ...mergeStats(answers), complete } };
  }

  /**
   * First the ids of the page, then its rows: however deep it lies, no worker sends more than the ids before it.
   * A shard that cannot be seen now is said by `complete`.
   */
  async #list(call: Extract<QueueCall, { method: 'list' }>): Promise<QueueAnswer> {
    const { filter, offset, limit } = call;
    const boundMs = isByRecord(filter) ? walkBoundMs : lookBoundMs;
    const selected = await this.#ids({ method: 'select', filter, limit: offset + limit }, boundMs);
    if ('ok' in selected) return selected;
    const { total, complete } = selected;
    const page = selected.ids.slice(offset);
    if (page.length === 0) return { ok: true, value: { total, messages: [], complete } };
    const { answers, missing } = await this.#askAll({ method: 'rows', ids: page }, lookBoundMs);
    const refusal = firstRefusal(answers);
    if (refusal !== undefined) return refusal;
    const messages = mergeRows(answers, page);
    return { ok: true, value: { total, messages, complete: complete && missing === 0 } };
  }

  async #select(call: Extract<QueueCall, { method: 'select' }>): Promise<QueueAnswer> {
    const selected = await this.#ids(call, walkBoundMs);
    return 'ok' in selected ? selected : { ok: true, value: selected };
  }

  async #ids(
    call: Extract<QueueCall, { method: 'select' }>,
    boundMs: number,
  ): Promise<Refusal | { ids: string[]; total: number; complete: boolean }> {
    const wasWhole = this.isWhole;
    const { answers, missing } = await this.#askAll(call, boundMs);
    const refusal = firstRefusal(answers);
    if (refusal !== undefined) return refusal;
    return {
      ...mergeIds(answers, call.limit ?? Infinity),
      complete: wasWhole && this.isWhole && missing === 0,
    };
  }

  async #beginImport(call: Extract<QueueCall, { method: 'import-begin' }>): Promise<QueueAnswer> {
    const { id } = call;
    if (!this.isWhole) return unread;
    if (this.#committing.has(id)) return storing;
    const known = await this.ask({ method: 'survey', ids: [id] });
    if (!known.ok) return known;
    if (known.value !== null && 'found' in known.value && known.value.found > 0)
      return { ok: false, code: 'EXISTS', message: `${id} is in the queue already` };
    const worker = this.#stillStoring(id) ?? this.#nextWorker();
    const answer = await this.#askOne(worker, call, lookBoundMs);
    if (answer.ok && worker !== undefined) {
      this.#unanswered.delete(id);
      remember(this.#imports, id, worker);
    }
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
    if (call.method === 'import-write') return this.#askOne(worker, call, walkBoundMs);
    this.#imports.delete(id);
    this.#committing.add(id);
    try {
      const answer = await this.#askOne(worker, call, walkBoundMs);
      if (answer === silent) remember(this.#unanswered, id, worker);
      return answer;
    } finally {
      this.#committing.delete(id);
    }
  }

  /** A second import goes where the first one's commit may still be under way: that worker alone knows, and refuses. */
  #stillStoring(id: string): W | undefined {
    const worker = this.#unanswered.get(id);
    if (worker?.isGone !== true) return worker;
    this.#unanswered.delete(id);
    return undefined;
  }

  /** In turn, one that accepts mail. */
  #nextWorker(): W | undefined {
    const able = this.#fleet.slots.flatMap(({ current }) =>
      current?.state === 'ready' && current.refusing === '' ? [current] : [],
    );
    this.#turn++;
    return able[this.#turn % Math.max(1, able.length)];
  }
}

/** Bounded: the workers drop what is abandoned by themselves. */
function remember<W>(workers: Map<string, W>, id: string, worker: W): void {
  workers.delete(id);
  workers.set(id, worker);
  const [oldest] = workers.keys();
  if (workers.size > maxImports && oldest !== undefined) workers.delete(oldest);
}

/** Each message has to be read for it; the rest is in the index. */
function isByRecord({ domain, sender, recipient, error }: QueueSelection): boolean {
  return [domain, sender, recipient, error].some((value) => value !== undefined);
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
const storing: Refusal = {
  ok: false,
  code: 'POOL_FULL',
  message: 'another import of this message is just ending; try again',
};
