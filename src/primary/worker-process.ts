/**
 * One worker process as the primary sees it: what it last said, and the ways to talk to it and to end it. It is gone
 * when the process has exited and its channel has been read to the end: a farewell may arrive after the exit.
 */
import cluster, { type Worker } from 'node:cluster';

import type { FromWorker, ToWorker } from '../base/messages.js';
import type { Config } from '../config/config.js';
import type { Death } from './death-attribution.js';
import type { Adoption } from './queue-files.js';

export type WorkerState = 'starting' | 'ready' | 'draining';

/** Whether it came to accept mail; said once. */
export type StartOutcome =
  { readonly ok: true } | { readonly ok: false; readonly code: string; readonly message: string };

export interface WorkerEvents {
  /** Called after the process object has taken the message in. */
  message(worker: WorkerProcess, message: FromWorker): void;
  /** A queue file was scanned to its end. */
  fileRead(worker: WorkerProcess, file: string): void;
  gone(worker: WorkerProcess): void;
}

export interface WorkerIdentity {
  readonly slot: number;
  readonly incarnation: string;
  readonly config: Config;
}

// The channel normally closes with the process. Should a descendant hold it open, the slot is not held up for it.
const channelCloseBoundMs = 1_000;

// libuv's threads carry LMDB's commits, file reads and password hashes of a worker; four would let them wait for each other.
const threadPoolSize = process.env['UV_THREADPOOL_SIZE'] ?? '8';

const nothing: Adoption = { files: [], blame: false };

export class WorkerProcess {
  readonly slot: number;
  readonly incarnation: string;
  readonly config: Config;
  readonly startedAtMs = performance.now();
  state: WorkerState = 'starting';
  /** 'init' was sent: from then on it may have queue files open. */
  initialised = false;
  readyAtMs: number | undefined;
  lastHeardMs = performance.now();
  /** It has been silent for some seconds, and the log says so. */
  isLate = false;
  phase: Death['phase'];
  leased = 0;
  connections = 0;
  /** Why it refuses mail, by its last heartbeat; '' while it does not. */
  refusing = '';
  exit: { signal: string | null; code: number | null } | undefined;
  unable: { code: string; message: string } | undefined;
  /** The file of another process in which a commit failed: its last words. */
  commitFailedIn: string | undefined;
  /** It was killed because it said nothing. */
  wasSilent = false;
  readonly started: Promise<StartOutcome>;

  readonly #events: WorkerEvents;
  readonly #worker: Worker;
  /** Files that it was given and has not read yet. */
  readonly #toRead = new Set<string>();
  #hasDisconnected = false;
  #isGone = false;
  #channelTimer: NodeJS.Timeout | undefined;
  #killTimer: NodeJS.Timeout | undefined;
  #settleStarted: (outcome: StartOutcome) => void = () => {};

  constructor(identity: WorkerIdentity, events: WorkerEvents) {
    this.slot = identity.slot;
    this.incarnation = identity.incarnation;
    this.config = identity.config;
    this.#events = events;
    this.started = new Promise((resolve) => (this.#settleStarted = resolve));
    this.#worker = cluster.fork({ UV_THREADPOOL_SIZE: threadPoolSize });
    this.#worker.on('message', (message: FromWorker) => this.#receive(message));
    this.#worker.on('exit', (code: number | null, signal: string | null) => this.#onExit(code, signal));
    this.#worker.on('disconnect', () => this.#onDisconnect());
    // A fork that fails (no memory, no processes left) or a write to a closed channel: the exit tells the rest.
    this.#worker.on('error', () => this.#onForkError());
  }

  get pid(): number {
    return this.#worker.process.pid ?? 0;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Its index lacks messages still. */
  get isReading(): boolean {
    return this.#toRead.size > 0;
  }

  get readyForMs(): number | undefined {
    return this.readyAtMs === undefined ? undefined : performance.now() - this.readyAtMs;
  }

  /** A message to a worker that is on its way out is lost, as it must be. */
  send(message: ToWorker): void {
    if (!this.#worker.isConnected()) return;
    this.#worker.process.send(message, undefined, undefined, () => {});
  }

  /** @param frozen names of the routes that an operator has frozen */
  init(adoptions: readonly Adoption[], frozen: readonly string[], ticketSecret: string): void {
    this.initialised = true;
    const { slot, incarnation, config } = this;
    const [{ files: adopt, blame } = nothing, ...others] = adoptions;
    for (const file of adopt) this.#toRead.add(file);
    this.send({ type: 'init', config, slot, incarnation, adopt, blame, frozen: [...frozen], ticketSecret });
    this.adopt(others);
  }

  adopt(adoptions: readonly Adoption[]): void {
    for (const { files, blame } of adoptions) {
      for (const file of files) this.#toRead.add(file);
      this.send({ type: 'adopt', files, blame });
    }
  }

  /**
   * Asks it to finish within `boundMs` and to exit; kills it after `killAfterMs`. A second call sets new bounds.
   * Before 'init' there is nothing to finish: it is ended at once.
   */
  drain(reason: 'stop' | 'reload', boundMs: number, killAfterMs: number): void {
    this.state = 'draining';
    if (!this.initialised) return this.kill();
    this.send({ type: 'drain', reason, boundMs });
    clearTimeout(this.#killTimer);
    this.#killTimer = setTimeout(() => this.kill(), killAfterMs);
  }

  kill(): void {
    this.#worker.process.kill('SIGKILL');
  }

  killSilent(): void {
    this.wasSilent = true;
    this.kill();
  }

  #receive(message: FromWorker): void {
    // A message behind the bound on its channel: what was counted for it is taken back already.
    if (this.#isGone) return;
    this.lastHeardMs = performance.now();
    switch (message.type) {
      case 'ready':
        this.readyAtMs = performance.now();
        this.refusing = message.refusing ?? '';
        if (this.state === 'starting') this.state = 'ready';
        this.#settleStarted({ ok: true });
        break;
      case 'unable':
        this.unable = { code: message.code, message: message.message };
        this.#settleStarted({ ok: false, ...this.unable });
        break;
      case 'heartbeat':
        this.leased = message.leased;
        this.connections = message.connections;
        this.refusing = message.refusing ?? '';
        break;
      case 'phase':
        this.#takePhase(message);
        break;
      case 'unusable':
      case 'online':
      case 'tallies':
      case 'known-logins':
      case 'snapshot':
      case 'farewell':
      case 'answer':
        break;
    }
    this.#events.message(this, message);
  }

  #takePhase({ kind, file }: Extract<FromWorker, { type: 'phase' }>): void {
    if (kind === 'draining') this.commitFailedIn = file;
    else this.#enter(kind === 'idle' ? undefined : { kind, file });
  }

  #enter(phase: Death['phase']): void {
    const before = this.phase;
    this.phase = phase;
    if (before !== undefined && before.file !== phase?.file) this.#toRead.delete(before.file);
    if (before?.kind === 'scanning' && before.file !== phase?.file) this.#events.fileRead(this, before.file);
  }

  #onExit(code: number | null, signal: string | null): void {
    this.exit = { code, signal };
    if (this.#hasDisconnected) this.#end();
    else this.#channelTimer = setTimeout(() => this.#end(), channelCloseBoundMs);
  }

  #onDisconnect(): void {
    this.#hasDisconnected = true;
    if (this.exit !== undefined) this.#end();
  }

  #onForkError(): void {
    if (this.#worker.process.pid !== undefined) return;
    this.exit = { code: null, signal: null };
    this.#end();
  }

  #end(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    clearTimeout(this.#channelTimer);
    clearTimeout(this.#killTimer);
    const how = this.exit?.signal ?? `exit code ${this.exit?.code ?? 'unknown'}`;
    this.#settleStarted({
      ok: false,
      code: 'WORKER_DIED',
      message: `the worker ended before it was ready (${how})`,
    });
    this.#events.gone(this);
  }
}
