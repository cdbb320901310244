/**
 * Has quarantined queue files salvaged: at the start those that lie there, later each that is moved away, and any that
 * an operator names. One file at a time, by the worker of its slot, where the newer copies of its messages are. Reading
 * and storing is the worker's (queue/salvage).
 */
import type { FromWorker, QueueAnswer } from '../base/messages.js';
import type { Log } from '../base/log.js';
import { slotOfQuarantined } from '../base/spool-files.js';
import type { QueueCustody } from './queue-custody.js';
import type { Questions } from './questions.js';
import type { Supervisor } from './supervisor.js';
import type { WorkerProcess } from './worker-process.js';

export interface SalvageParts {
  readonly supervisor: Supervisor;
  readonly questions: Questions;
  readonly queue: QueueCustody;
  readonly log: Log;
}

// Gigabytes on a slow disk; a worker that stands is killed long before.
const boundMs = 3_600_000;
// The worker was drained, or the disk is full: that passes.
const retryAfterMs = 60_000;
const maxTries = 10;

interface Tried {
  times: number;
  nextAtMs: number;
}

type Refusal = Extract<QueueAnswer, { ok: false }>;

const noWorker: Refusal = { ok: false, code: 'SPOOL_CLOSED', message: 'no worker is ready; try again' };
const unread: Refusal = {
  ok: false,
  code: 'SPOOL_CLOSED',
  message: 'queue files are still being read, and a slot without a worker has some that are not; try again',
};

export class Salvage {
  readonly #parts: SalvageParts;
  /** By path, of this run of the service. */
  readonly #tried = new Map<string, Tried>();
  #last: Promise<unknown> = Promise.resolve();
  #isBusy = false;

  constructor(parts: SalvageParts) {
    this.#parts = parts;
  }

  /** The supervisor's listener: heartbeats are the clock. */
  message(_worker: WorkerProcess, message: FromWorker): void {
    if (message.type !== 'heartbeat' || this.#isBusy || !this.#mayBegin) return;
    const file = this.#parts.queue.quarantined.find((path) => this.#isDue(path));
    if (file !== undefined && this.#salvagerOf(file) !== undefined) void this.#byItself(file);
  }

  /** Whatever was tried before. @param file path in the quarantine */
  async byHand(file: string): Promise<QueueAnswer> {
    return this.#inTurn(file);
  }

  /** Every queue file has been read: a newer copy of a message that is found later would be sent as well. */
  get #mayBegin(): boolean {
    const { state, slots, workers, isHandingOver } = this.#parts.supervisor;
    if (state !== 'ready' || isHandingOver || !slots.every((slot) => slot.isReady)) return false;
    return !workers.some((worker) => worker.isReading);
  }

  #isDue(path: string): boolean {
    const tried = this.#tried.get(path);
    return tried === undefined || (tried.times < maxTries && performance.now() >= tried.nextAtMs);
  }

  async #byItself(file: string): Promise<void> {
    const answer = await this.#inTurn(file);
    if (answer.ok) return;
    const { code, message } = answer;
    const facts = { event: 'queue.salvage_failed', file, code };
    this.#parts.log.error(facts, `a quarantined queue file could not be salvaged: ${message}`);
  }

  async #inTurn(file: string): Promise<QueueAnswer> {
    const answer = this.#last.then(async () => this.#perform(file));
    this.#last = answer;
    return answer;
  }

  async #perform(file: string): Promise<QueueAnswer> {
    this.#isBusy = true;
    try {
      const { queue } = this.#parts;
      const answer = await this.#ask(file);
      if (answer.ok || (answer.code === 'NOT_FOUND' && queue.quarantined.includes(file))) queue.release(file);
      return answer;
    } finally {
      this.#isBusy = false;
    }
  }

  async #ask(file: string): Promise<QueueAnswer> {
    const worker = this.#salvagerOf(file);
    if (worker === undefined) return noWorker;
    if (!this.#mayBegin) return unread;
    const times = (this.#tried.get(file)?.times ?? 0) + 1;
    this.#tried.set(file, { times, nextAtMs: performance.now() + retryAfterMs });
    const { replies } = await this.#parts.questions.ask(
      [worker],
      (id) => ({ type: 'call', id, call: { method: 'salvage', file } }),
      boundMs,
    );
    const reply = replies.get(worker);
    const answer = reply?.type === 'answer' ? reply.answer : withoutAnswer(worker);
    if (!answer.ok && !isPassing(answer.code)) this.#tried.set(file, { times: maxTries, nextAtMs: Infinity });
    return answer;
  }

  /** Of its slot if that one is ready, or any that is. */
  #salvagerOf(file: string): WorkerProcess | undefined {
    const { slots } = this.#parts.supervisor;
    const home = slots[slotOfQuarantined(file) ?? slots.length];
    return (home?.isReady === true ? home : slots.find((slot) => slot.isReady))?.current;
  }
}

/** A worker that ended in an orderly way can be followed by another; one that fell may have fallen over the file. */
function withoutAnswer(worker: WorkerProcess): Refusal {
  if (worker.state === 'draining') return { ...noWorker, message: 'the worker was drained; try again' };
  const message = worker.isGone
    ? 'the worker that read it died; the file is not tried again before the next start, unless by hand'
    : `the worker did not answer in ${boundMs / 1000} s`;
  return { ok: false, code: 'POOL_TASK', message };
}

function isPassing(code: string): boolean {
  return code === 'SPOOL_CLOSED' || code === 'SPOOL_COMMIT' || code === 'SPOOL_FULL';
}
