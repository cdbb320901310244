/**
 * Slot k of the service: the worker that holds it now, the one that is to take it over, the ones that drain, and
 * when the next may start after a death. Owns no process; the supervisor forks and ends them.
 */
import type { Config } from '../config/config.js';
import { isEarlyDeath, restartDelayMs } from './restart-delay.js';
import type { WorkerProcess } from './worker-process.js';

export class Slot {
  readonly index: number;
  /** What the next worker of this slot runs with: the last config that a worker of it was ready with, or the first. */
  config: Config;
  current: WorkerProcess | undefined;
  /** Started by a reload, not yet ready. */
  incoming: WorkerProcess | undefined;
  /** Oldest first. */
  readonly draining = new Set<WorkerProcess>();
  /** Since the service started; a reload's replacement is none. */
  restarts = 0;
  #earlyDeaths = 0;
  #restartTimer: NodeJS.Timeout | undefined;

  constructor(index: number, config: Config) {
    this.index = index;
    this.config = config;
  }

  /** Every living process of this slot, the current one first. */
  get workers(): WorkerProcess[] {
    const workers = [this.current, this.incoming, ...this.draining];
    return workers.filter((worker) => worker !== undefined);
  }

  get isReady(): boolean {
    return this.current?.state === 'ready';
  }

  /** Somebody holds this slot, is about to, or will be started for it. */
  get isCovered(): boolean {
    return this.current !== undefined || this.incoming !== undefined || this.#restartTimer !== undefined;
  }

  /** Takes a dead worker out. */
  remove(worker: WorkerProcess): void {
    this.draining.delete(worker);
    if (this.incoming === worker) this.incoming = undefined;
    if (this.current === worker) this.current = undefined;
  }

  /** Calls `restart` when this slot may start its next worker: at once, but for early deaths in a row. The delay in ms. */
  scheduleRestart(readyForMs: number | undefined, restart: () => void): number {
    this.#earlyDeaths = isEarlyDeath(readyForMs) ? this.#earlyDeaths + 1 : 0;
    this.restarts += 1;
    const delayMs = restartDelayMs(this.#earlyDeaths);
    this.cancelRestart();
    this.#restartTimer = setTimeout(() => {
      this.#restartTimer = undefined;
      restart();
    }, delayMs);
    return delayMs;
  }

  /** The incoming worker is ready: it holds the slot. The one that held it before, if it still lives. */
  takeOver(incoming: WorkerProcess): WorkerProcess | undefined {
    this.cancelRestart();
    const old = this.current;
    this.current = incoming;
    this.incoming = undefined;
    this.config = incoming.config;
    this.#earlyDeaths = 0;
    if (old !== undefined) this.draining.add(old);
    return old;
  }

  cancelRestart(): void {
    clearTimeout(this.#restartTimer);
    this.#restartTimer = undefined;
  }
}
