/**
 * Which workers have been silent for too long. Pure: the time and the workers come in. A worker says something at
 * least every second; one whose event loop stands (or that was stopped, F-15) says nothing and is to be killed.
 */

export interface Heard {
  lastHeardMs: number;
}

/** Long enough for a page-in storm or a long garbage collection, short against every SMTP time-out of a client. */
export const silenceBoundMs = 30_000;

/** Several heartbeats: worth a line in the log, not a life (F-16). */
export const lateBoundMs = 4_000;

export const watchPeriodMs = 1_000;

export class SilenceWatch {
  readonly #boundMs: number;
  #lastTickMs: number;

  constructor(boundMs: number, nowMs: number) {
    this.#boundMs = boundMs;
    this.#lastTickMs = nowMs;
  }

  /** Called each period. After a pause of our own (stopped process, suspended machine) nobody is blamed for it. */
  tick<T extends Heard>(nowMs: number, workers: readonly T[]): T[] {
    const pauseMs = nowMs - this.#lastTickMs - watchPeriodMs;
    this.#lastTickMs = nowMs;
    if (pauseMs > watchPeriodMs) for (const worker of workers) worker.lastHeardMs += pauseMs;
    return workers.filter((worker) => nowMs - worker.lastHeardMs > this.#boundMs);
  }
}
