/** What a process says about itself: memory, CPU and event-loop lag, read when a snapshot is taken. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

import type { WorkerMeters } from './worker-meters.js';

// The histogram counts the whole interval between two ticks of its timer; this much of it is no delay.
const resolutionMs = 10;

/**
 * @param worker the slot, as the label says it
 * @returns stops the event-loop monitor
 */
export function watchProcess(meters: WorkerMeters, worker: string): () => void {
  const lag = meters.eventLoopLagSeconds.of(worker);
  const resident = meters.processResidentBytes.of(worker);
  const heap = meters.processHeapBytes.of(worker);
  const cpu = meters.processCpuSecondsTotal.of(worker);
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  meters.onSnapshot(() => {
    lag.value = Math.max(0, delay.max / 1e9 - resolutionMs / 1e3);
    delay.reset();
    const memory = process.memoryUsage();
    resident.value = memory.rss;
    heap.value = memory.heapUsed;
    const used = process.cpuUsage();
    cpu.value = (used.user + used.system) / 1e6;
  });
  return () => {
    delay.disable();
  };
}
