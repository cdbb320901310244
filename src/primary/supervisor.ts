/**
 * Keeps every slot held by a worker: forks, restarts, replaces, drains, and gives each queue file a living owner.
 * Knows nothing of mail, signals or HTTP. lifecycle.ts starts and stops it, reload.ts has it replace the workers.
 */
import type { FromWorker } from '../base/messages.js';
import { describeError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Config } from '../config/config.js';
import { attributeDeath } from './death-attribution.js';
import { DeathLedger } from './death-ledger.js';
import { newIncarnation } from './incarnation.js';
import { QueueFiles, type QueueFile } from './queue-files.js';
import { SilenceWatch, silenceBoundMs, watchPeriodMs } from './silence-watch.js';
import { Slot } from './slot.js';
import { WorkerProcess, type StartOutcome, type WorkerEvents } from './worker-process.js';

/** The queue directory on disk; base/spool-files in the program. */
export interface QueueDirectory {
  list(): Promise<QueueFile[]>;
  /** Moves a file away; where to. */
  quarantine(file: string): Promise<string>;
}

/** Those who want to hear what workers say and which are gone. */
export interface SupervisorListener {
  message?(worker: WorkerProcess, message: FromWorker): void;
  gone?(worker: WorkerProcess): void;
}

export interface SupervisorOptions {
  readonly config: Config;
  readonly log: Log;
  readonly queue: QueueDirectory;
  /** Paths of files that earlier runs moved away. */
  readonly quarantined: readonly string[];
  readonly listeners: readonly SupervisorListener[];
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

// A new worker opens one small file and its listeners; what takes longer than this stands.
const startBoundMs = 60_000;

export class Supervisor {
  readonly slots: readonly Slot[];
  /** Paths of queue files that were moved away and are still there, for an operator to look at. */
  readonly quarantined: string[];
  readonly #log: Log;
  readonly #queue: QueueDirectory;
  readonly #listeners: readonly SupervisorListener[];
  readonly #files = new QueueFiles();
  readonly #ledger = new DeathLedger();
  readonly #watch: SilenceWatch;
  readonly #events: WorkerEvents;
  /** Dead, but what its death means is not yet settled: its files have no new owner before that. */
  readonly #unburied = new Set<WorkerProcess>();
  #state: 'starting' | 'ready' | 'draining' = 'starting';
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
    this.quarantined = [...options.quarantined];
    this.#watch = new SilenceWatch(options.silenceBoundMs ?? silenceBoundMs, performance.now());
    this.#events = {
      message: (worker, message) => this.#onMessage(worker, message),
      fileRead: (_, file) => this.#ledger.wasRead(file),
      gone: (worker) => void this.#bury(worker),
    };
  }

  get state(): 'starting' | 'ready' | 'draining' {
    return this.#state;
  }

  /** Every living process. */
  get workers(): WorkerProcess[] {
    return this.slots.flatMap((slot) => slot.workers);
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
    return outcome;
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

  #launch(slot: Slot): void {
    try {
      slot.current = this.#fork(slot, slot.config);
    } catch (error) {
      // No memory or no processes left: that may pass.
      this.#log.error({ event: 'worker.fork_failed', slot: slot.index }, describeError(error));
      this.#restart(slot, undefined);
    }
  }

  #fork(slot: Slot, config: Config): WorkerProcess {
    const identity = { slot: slot.index, incarnation: newIncarnation(Date.now()), config };
    return new WorkerProcess(identity, this.#events);
  }

  async #replace(slot: Slot, config: Config): Promise<StartOutcome> {
    if (this.#state === 'draining') return stopping;
    slot.cancelRestart();
    const incoming = this.#fork(slot, config);
    slot.incoming = incoming;
    const outcome = await startedWithin(incoming, startBoundMs);
    if (incoming.state !== 'ready' || !outcome.ok) {
      incoming.kill();
      return outcome.ok ? stopping : outcome;
    }
    const old = slot.takeOver(incoming);
    if (old !== undefined) this.#retire(slot, old);
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
  }

  async #initialise(worker: WorkerProcess): Promise<void> {
    const files = await this.#listFiles();
    if (worker.isGone || worker.state !== 'starting') return;
    worker.init(this.#adoptable(files, worker));
  }

  #onReady(worker: WorkerProcess): void {
    this.#log.info(
      { event: 'worker.ready', slot: worker.slot, worker_pid: worker.pid },
      'a worker accepts mail',
    );
    if (this.#state !== 'starting' || !this.slots.every((slot) => slot.isReady)) return;
    this.#state = 'ready';
    this.#settleStart({ ok: true });
  }

  #onUnable(worker: WorkerProcess, reason: { code: string; message: string }): void {
    const { code, message } = reason;
    if (this.#state === 'starting') this.#settleStart({ ok: false, code, message });
    else this.#log.error({ event: 'worker.unable', slot: worker.slot, code }, message);
  }

  /** What a death means, in this order: quarantine, then a successor or a new owner for its files. */
  async #bury(worker: WorkerProcess): Promise<void> {
    this.#unburied.add(worker);
    const readyForMs = worker.readyForMs;
    const slot = this.#slotOf(worker);
    slot.remove(worker);
    for (const listener of this.#listeners) listener.gone?.(worker);
    await this.#holdInquest(worker);
    this.#unburied.delete(worker);
    if (this.#state === 'draining') return this.#checkStopped();
    if (!slot.isCovered) this.#restart(slot, readyForMs);
    else await this.#handOver(slot);
  }

  async #holdInquest(worker: WorkerProcess): Promise<void> {
    const listing = await this.#listFiles();
    const { signal = null, code: exitCode = null } = worker.exit ?? {};
    const { phase, leased, slot } = worker;
    const files = this.#files.ownedBy(listing, worker.incarnation);
    const blame = attributeDeath({
      signal,
      exitCode,
      phase,
      leased,
      files,
      unable: worker.unable !== undefined,
    });
    const drained = worker.state === 'draining' && (exitCode === 0 || !worker.initialised);
    const facts = {
      slot,
      worker_pid: worker.pid,
      signal,
      exit_code: exitCode,
      blame: blame.kind,
      file: phase?.file,
    };
    if (drained)
      this.#log.info({ event: 'worker.drained', slot, worker_pid: worker.pid }, 'a worker has drained');
    else this.#log.error({ event: 'worker.died', ...facts }, 'a worker died');
    for (const file of this.#ledger.record(blame)) await this.#quarantine(file);
  }

  async #quarantine(file: string): Promise<void> {
    try {
      const path = await this.#queue.quarantine(file);
      this.#quarantined(path, file);
    } catch (error) {
      this.#log.error(
        { event: 'queue.quarantine_failed', file, error: describeError(error) },
        'a queue file stays',
      );
    }
  }

  #quarantined(path: string, file: string): void {
    this.quarantined.push(path);
    const facts = { event: 'queue.quarantined', file, path };
    this.#log.error(facts, 'a queue file ended three workers and was moved away');
  }

  #restart(slot: Slot, readyForMs: number | undefined): void {
    const delayMs = slot.scheduleRestart(readyForMs, () => this.#launch(slot));
    const facts = { event: 'worker.restart', slot: slot.index, delay_ms: delayMs, restarts: slot.restarts };
    this.#log.warn(facts, 'a slot gets a new worker');
  }

  /** Orphans at home in this slot go to its worker; one that is not yet initialised gets them with its init. */
  async #handOver(slot: Slot): Promise<void> {
    const files = await this.#listFiles();
    const heir = slot.current;
    if (heir === undefined || !heir.initialised || heir.isGone || heir.state === 'draining') return;
    const adopted = this.#adoptable(files, heir);
    if (adopted.length > 0) heir.send({ type: 'adopt', files: adopted });
  }

  #adoptable(files: readonly QueueFile[], worker: WorkerProcess): string[] {
    const living = new Set([...this.workers, ...this.#unburied].map(({ incarnation }) => incarnation));
    const { slot, incarnation } = worker;
    return this.#files.adopt(files, living, { slot, slots: this.slots.length, incarnation });
  }

  async #listFiles(): Promise<QueueFile[]> {
    try {
      const files = await this.#queue.list();
      const names = new Set(files.map(({ file }) => file));
      this.#files.keepOnly(names);
      this.#ledger.keepOnly(names);
      return files;
    } catch (error) {
      // Nothing is lost: the files stay where they are and are found by the next listing that works.
      this.#log.error(
        { event: 'queue.listing_failed', error: describeError(error) },
        'cannot list the queue',
      );
      return [];
    }
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
      worker.kill();
    }
  }

  #checkStopped(): void {
    if (this.workers.length > 0 || this.#unburied.size > 0) return;
    clearInterval(this.#watchTimer);
    this.#settleStart(stopping);
    this.#settleStop();
  }
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
