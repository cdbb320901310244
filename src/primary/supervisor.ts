/**
 * Keeps every slot held by a worker: forks, restarts, replaces, drains, and gives each queue file a living owner.
 * Knows nothing of mail, signals or HTTP. lifecycle.ts starts and stops it, reload.ts has it replace the workers.
 */
import type { FromWorker } from '../base/messages.js';
import { describeError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Config } from '../config/config.js';
import { newIncarnation } from './incarnation.js';
import type { QueueCustody } from './queue-custody.js';
import type { Adoption } from './queue-files.js';
import { lateBoundMs, SilenceWatch, silenceBoundMs, watchPeriodMs } from './silence-watch.js';
import { Slot } from './slot.js';
import { WorkerProcess, type StartOutcome, type WorkerEvents } from './worker-process.js';

/** Those who want to hear what workers say and which are gone. */
export interface SupervisorListener {
  message?(worker: WorkerProcess, message: FromWorker): void;
  gone?(worker: WorkerProcess): void;
}

export interface SupervisorOptions {
  readonly config: Config;
  readonly log: Log;
  readonly queue: QueueCustody;
  readonly listeners: readonly SupervisorListener[];
  /** Names of the frozen routes, for a new worker. */
  readonly frozen: () => readonly string[];
  /** Of TLS session tickets, for a new worker. */
  readonly ticketSecret: () => string;
  /** Only tests shorten it. */
  readonly silenceBoundMs?: number | undefined;
}

export interface DrainBounds {
  /** What the workers are told. */
  readonly drainMs: number;
  /** When those that did not obey are killed. */
  readonly killMs: number;
}

/** Promise 8: how long the sessions of a replaced worker may last. */
const reloadDrain: DrainBounds = { drainMs: 600_000, killMs: 630_000 };
// Reloads in a row: each leaves a draining worker with its memory and its open files; the oldest of more has to hurry.
const maxDrainingPerSlot = 3;
const hurriedDrain: DrainBounds = { drainMs: 10_000, killMs: 20_000 };
const stopping: StartOutcome = { ok: false, code: 'STOPPING', message: 'the service is stopping' };

const noFork: StartOutcome = { ok: false, code: 'WORKER_DIED', message: 'no process could be started' };

// With one worker ready mail is accepted: a slot that cannot start (yet) is not waited for longer than this.
const startPatienceMs = 30_000;
// A new worker opens one small file and its listeners; what takes longer than this stands.
const startBoundMs = 60_000;

export class Supervisor {
  readonly slots: readonly Slot[];
  readonly #log: Log;
  readonly #queue: QueueCustody;
  readonly #listeners: readonly SupervisorListener[];
  readonly #frozen: () => readonly string[];
  readonly #ticketSecret: () => string;
  readonly #watch: SilenceWatch;
  readonly #events: WorkerEvents;
  /** Dead, but what its death means is not yet settled: its files have no new owner before that. */
  readonly #unburied = new Set<WorkerProcess>();
  /** Deaths whose files have no new owner yet. */
  #handingOver = 0;
  #state: 'starting' | 'ready' | 'draining' = 'starting';
  readonly #startedAtMs = performance.now();
  #watchTimer: NodeJS.Timeout | undefined;
  #settleStart: (outcome: StartOutcome) => void = () => {};
  #settleStop: () => void = () => {};
  #stopped: Promise<void> | undefined;

  constructor(options: SupervisorOptions) {
    const { config } = options;
    this.slots = Array.from({ length: config.workers }, (_, index) => new Slot(index, config));
    this.#log = options.log;
    this.#queue = options.queue;
    this.#listeners = options.listeners;
    this.#frozen = options.frozen;
    this.#ticketSecret = options.ticketSecret;
    this.#watch = new SilenceWatch(options.silenceBoundMs ?? silenceBoundMs, performance.now());
    this.#events = {
      message: (worker, message) => this.#onMessage(worker, message),
      fileRead: (_, file) => this.#queue.wasRead(file),
      gone: (worker) => void this.#onGone(worker),
    };
  }

  get state(): 'starting' | 'ready' | 'draining' {
    return this.#state;
  }

  /** Every living process. */
  get workers(): WorkerProcess[] {
    return this.slots.flatMap((slot) => slot.workers);
  }

  /** Those that have a shard open and can be asked about it, draining ones too. */
  get serving(): WorkerProcess[] {
    return this.workers.filter((worker) => worker.readyAtMs !== undefined);
  }

  /** There are files of the dead that no living worker has been told of. */
  get isHandingOver(): boolean {
    return this.#handingOver > 0;
  }

  get restarts(): number {
    return this.slots.reduce((sum, slot) => sum + slot.restarts, 0);
  }

  /** Starts a worker in every slot. Resolves when all accept mail, or when one says that it cannot. */
  async start(): Promise<StartOutcome> {
    if (this.#state === 'draining') return stopping;
    const outcome = new Promise<StartOutcome>((resolve) => (this.#settleStart = resolve));
    this.#watchTimer = setInterval(() => this.#killSilent(), watchPeriodMs);
    for (const slot of this.slots) this.#launch(slot);
    const impatience = setTimeout(() => this.#checkStarted(true), startPatienceMs);
    return outcome.finally(() => clearTimeout(impatience));
  }

  /**
   * Puts a worker with this config into every slot, one slot after another; each old worker drains only after its
   * successor accepts mail. When one cannot start, the slots done so far go back to what they ran before.
   */
  async replaceAll(config: Config): Promise<StartOutcome> {
    const done: { slot: Slot; before: Config }[] = [];
    for (const slot of this.slots) {
      const before = slot.config;
      const outcome = await this.#replace(slot, config);
      if (!outcome.ok) {
        for (const { slot, before } of done) await this.#replace(slot, before);
        return outcome;
      }
      done.push({ slot, before });
    }
    return { ok: true };
  }

  /** Drains every worker. Resolves when none is left. Called again, it sets new bounds. */
  async stop(bounds: DrainBounds): Promise<void> {
    this.#state = 'draining';
    this.#stopped ??= new Promise((resolve) => (this.#settleStop = resolve));
    for (const slot of this.slots) slot.cancelRestart();
    for (const worker of this.workers) worker.drain('stop', bounds.drainMs, bounds.killMs);
    this.#checkStopped();
    return this.#stopped;
  }

  /** The whole set of frozen routes, as it is now. A worker that is not yet initialised gets it with its init. */
  freeze(routes: readonly string[]): void {
    for (const worker of this.workers)
      if (worker.initialised) worker.send({ type: 'freeze', routes: [...routes] });
  }

  /** Likewise; draining workers get it too, since their clients come back to others. */
  shareTicketSecret(secret: string): void {
    for (const worker of this.workers) if (worker.initialised) worker.send({ type: 'ticket-secret', secret });
  }

  #launch(slot: Slot): void {
    slot.current = this.#tryFork(slot, slot.config);
    if (slot.current === undefined) this.#restart(slot, undefined);
  }

  /** Undefined when the system has no memory or no processes left; that may pass. */
  #tryFork(slot: Slot, config: Config): WorkerProcess | undefined {
    const identity = { slot: slot.index, incarnation: newIncarnation(Date.now()), config };
    try {
      return new WorkerProcess(identity, this.#events);
    } catch (error) {
      this.#log.error({ event: 'worker.fork_failed', slot: slot.index }, describeError(error));
      return undefined;
    }
  }

  async #replace(slot: Slot, config: Config): Promise<StartOutcome> {
    if (this.#state === 'draining') return stopping;
    const incoming = this.#tryFork(slot, config);
    if (incoming === undefined) return noFork;
    slot.cancelRestart();
    slot.incoming = incoming;
    const outcome = await startedWithin(incoming, startBoundMs);
    if (!outcome.ok) incoming.kill();
    if (!outcome.ok || incoming.state !== 'ready') return outcome.ok ? stopping : outcome;
    const old = slot.takeOver(incoming);
    if (old !== undefined) this.#retire(slot, old);
    // Of a worker that died since the new one got its first files.
    await this.#handOver(slot);
    return outcome;
  }

  #retire(slot: Slot, old: WorkerProcess): void {
    old.drain('reload', reloadDrain.drainMs, reloadDrain.killMs);
    const excess = [...slot.draining].slice(0, Math.max(0, slot.draining.size - maxDrainingPerSlot));
    for (const worker of excess) worker.drain('reload', hurriedDrain.drainMs, hurriedDrain.killMs);
  }

  #onMessage(worker: WorkerProcess, message: FromWorker): void {
    for (const listener of this.#listeners) listener.message?.(worker, message);
    if (message.type === 'online') void this.#initialise(worker);
    if (message.type === 'ready') this.#onReady(worker);
    if (message.type === 'unable') this.#onUnable(worker, message);
    if (message.type === 'unusable') void this.#queue.setAside(message.file, message.reason);
  }

  async #initialise(worker: WorkerProcess): Promise<void> {
    const canStart = () => !worker.isGone && worker.state === 'starting';
    const adoptions = await this.#adopt(worker, canStart);
    if (canStart()) worker.init(adoptions, this.#frozen(), this.#ticketSecret());
  }

  #onReady(worker: WorkerProcess): void {
    this.#log.info(
      { event: 'worker.ready', slot: worker.slot, worker_pid: worker.pid },
      'a worker accepts mail',
    );
    this.#checkStarted(performance.now() - this.#startedAtMs > startPatienceMs);
  }

  /** @param oneIsEnough there was time for all */
  #checkStarted(oneIsEnough: boolean): void {
    const ready = this.slots.filter((slot) => slot.isReady).length;
    if (this.#state !== 'starting' || ready < (oneIsEnough ? 1 : this.slots.length)) return;
    this.#state = 'ready';
    this.#settleStart({ ok: true });
  }

  #onUnable(worker: WorkerProcess, reason: { code: string; message: string }): void {
    const { code, message } = reason;
    if (this.#state === 'starting') this.#settleStart({ ok: false, code, message });
    else this.#log.error({ event: 'worker.unable', slot: worker.slot, code }, message);
  }

  async #onGone(worker: WorkerProcess): Promise<void> {
    this.#handingOver++;
    await this.#bury(worker);
    this.#handingOver--;
  }

  /** What a death means, in this order: quarantine, then a successor or a new owner for its files. */
  async #bury(worker: WorkerProcess): Promise<void> {
    this.#unburied.add(worker);
    const readyForMs = stoodFor(worker);
    const slot = this.#slotOf(worker);
    slot.remove(worker);
    for (const listener of this.#listeners) listener.gone?.(worker);
    await this.#queue.holdInquest(worker);
    this.#unburied.delete(worker);
    if (this.#state === 'draining') return this.#checkStopped();
    if (!slot.isCovered) this.#restart(slot, readyForMs);
    else await this.#handOver(slot);
  }

  #restart(slot: Slot, readyForMs: number | undefined): void {
    const delayMs = slot.scheduleRestart(readyForMs, () => this.#launch(slot));
    const facts = { event: 'worker.restart', slot: slot.index, delay_ms: delayMs, restarts: slot.restarts };
    this.#log.warn(facts, 'a slot gets a new worker');
  }

  /** Orphans at home in this slot go to its worker; one that is not yet initialised gets them with its init. */
  async #handOver(slot: Slot): Promise<void> {
    const heir = slot.current;
    if (heir === undefined || !heir.initialised) return;
    this.#handingOver++;
    heir.adopt(await this.#adopt(heir, () => !heir.isGone && heir.state !== 'draining'));
    this.#handingOver--;
  }

  async #adopt(worker: WorkerProcess, canTake: () => boolean): Promise<Adoption[]> {
    return this.#queue.adopt(worker, this.slots.length, () => {
      if (!canTake()) return undefined;
      return new Set([...this.workers, ...this.#unburied].map(({ incarnation }) => incarnation));
    });
  }

  #slotOf(worker: WorkerProcess): Slot {
    const slot = this.slots[worker.slot];
    if (slot === undefined) throw new RangeError(`no slot ${worker.slot}`);
    return slot;
  }

  #killSilent(): void {
    for (const worker of this.#watch.tick(performance.now(), this.workers)) {
      this.#log.error(
        { event: 'worker.silent', slot: worker.slot, worker_pid: worker.pid },
        'a silent worker is killed',
      );
      worker.killSilent();
    }
    for (const worker of this.serving) this.#noteLateness(worker);
  }

  /** F-16: its event loop stands, for a while or for ever; its clients wait meanwhile. */
  #noteLateness(worker: WorkerProcess): void {
    const isLate = performance.now() - worker.lastHeardMs > lateBoundMs;
    if (isLate === worker.isLate) return;
    worker.isLate = isLate;
    const facts = { event: 'worker.late', slot: worker.slot, worker_pid: worker.pid, late: isLate };
    this.#log.warn(facts, isLate ? `a worker has said nothing for ${lateBoundMs / 1000} s` : 'it is back');
  }

  #checkStopped(): void {
    if (this.workers.length > 0 || this.#unburied.size > 0) return;
    clearInterval(this.#watchTimer);
    this.#settleStart(stopping);
    this.#settleStop();
  }
}

/**
 * How long a dead worker had been ready, undefined if never. One that was ready and was killed from outside (an operator,
 * the OOM killer) is no crash loop, however soon it came: its slot gets the next one at once.
 */
function stoodFor(worker: WorkerProcess): number | undefined {
  const killed = worker.exit?.signal === 'SIGKILL' && worker.readyForMs !== undefined;
  return killed ? Infinity : worker.readyForMs;
}

async function startedWithin(worker: WorkerProcess, boundMs: number): Promise<StartOutcome> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<StartOutcome>((resolve) => {
    const message = `the new worker was not ready after ${boundMs / 1000} s`;
    timer = setTimeout(() => resolve({ ok: false, code: 'WORKER_LATE', message }), boundMs);
  });
  const outcome = await Promise.race([worker.started, late]);
  clearTimeout(timer);
  return outcome;
}
