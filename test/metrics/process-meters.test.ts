import { describe, expect, it } from 'vitest';

import { ProcessWatch, watchProcess } from '../../src/metrics/process-meters.js';
import { createMeters } from '../../src/metrics/worker-meters.js';

function blockFor(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

describe('process meters', () => {
  it("a worker's snapshot carries its memory and CPU under its slot", () => {
    const meters = createMeters();
    watchProcess(meters, '3');
    const snapshot = meters.snapshot();
    expect(snapshot['postern_process_resident_bytes']).toEqual([
      { labels: ['3'], value: expect.closeTo(process.memoryUsage.rss(), -8) },
    ]);
    for (const name of ['postern_process_heap_bytes', 'postern_process_cpu_seconds_total'])
      expect(snapshot[name]).toEqual([{ labels: ['3'], value: expect.toSatisfy((v: number) => v > 0) }]);
    expect(snapshot['postern_event_loop_lag_seconds']?.[0]?.labels).toEqual(['3']);
  });

  it('a blocked event loop shows until its window and the one after it are over', async () => {
    let nowMs = 0;
    const watch = new ProcessWatch(() => nowMs);
    await wait(50);
    blockFor(300);
    await wait(50);
    expect(watch.read().lagSeconds).toBeGreaterThan(0.2);
    nowMs = 15_000;
    expect(watch.read().lagSeconds).toBeGreaterThan(0.2);
    await wait(50);
    expect(watch.read().lagSeconds).toBeGreaterThan(0.2);
    nowMs = 30_000;
    expect(watch.read().lagSeconds).toBeGreaterThan(0.2);
    expect(watch.read().lagSeconds).toBeLessThan(0.2);
  });
});
