/** What a process says about itself: memory, CPU and event-loop lag, read when a snapshot is taken. */
import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';

import { droppedLogLines } from '../base/log.js';
import type { WorkerMeters } from './worker-meters.js';

// The histogram counts the whole interval between two ticks of its timer; this much of it is no delay.
const resolutionMs = 10;
// The primary takes a snapshot each second, Prometheus scrapes each fifteen: a stall must still be seen by then.
const windowMs = 15_000;

export interface ProcessReading {
  /** 99 of 100 turns of the event loop were late by no more; the worse of the current and the last full window. */
  readonly lagSeconds: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  /** User and system, since the process began. */
  readonly cpuSeconds: number;
}

export class ProcessWatch {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: resolutionMs });
  readonly #now: () => number;
  #windowStartMs: number;
  #lastWindowSeconds = 0;

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#windowStartMs = now();
    this.#delay.enable();
  }

  read(): ProcessReading {
    const memory = process.memoryUsage();
    const cpu = process.cpuUsage();
    return {
      lagSeconds: this.#lag(),
      residentBytes: memory.rss,
      heapBytes: memory.heapUsed,
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
    };
  }

  #lag(): number {
    const seconds = Math.max(0, this.#delay.percentile(99) / 1e9 - resolutionMs / 1e3);
    const worse = Math.max(seconds, this.#lastWindowSeconds);
    if (this.#now() - this.#windowStartMs >= windowMs) {
      this.#windowStartMs = this.#now();
      this.#lastWindowSeconds = seconds;
      this.#delay.reset();
    }
    return worse;
  }
}

/** A worker's cells of this kind, filled at each snapshot. @param worker the slot, as the label says it */
export function watchProcess(meters: WorkerMeters, worker: string): void {
  const lag = meters.eventLoopLagSeconds.of(worker);
  const resident = meters.processResidentBytes.of(worker);
  const heap = meters.processHeapBytes.of(worker);
  const cpu = meters.processCpuSecondsTotal.of(worker);
  const droppedLines = meters.logLinesDroppedTotal.of();
  const watch = new ProcessWatch();
  meters.onSnapshot(() => {
    const reading = watch.read();
    lag.value = reading.lagSeconds;
    resident.value = reading.residentBytes;
    heap.value = reading.heapBytes;
    cpu.value = reading.cpuSeconds;
    droppedLines.value = droppedLogLines();
  });
}
