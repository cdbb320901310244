/** Two workers' tallies and the primary's merge, joined without processes and under a clock of the test's own. */
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { ToWorker } from '../../src/base/messages.js';
import { loadConfig } from '../../src/config/load.js';
import { tallyLimits } from '../../src/config/tally-limits.js';
import { TallyMerge } from '../../src/primary/tally-merge.js';
import type { WorkerProcess } from '../../src/primary/worker-process.js';
import { Admission } from '../../src/worker/admission.js';
import { Tallies } from '../../src/worker/tallies.js';

// As worker/main.ts reports.
const reportMs = 200;
const defaults = loadConfig(join(import.meta.dirname, '../../config/postern.yaml'), {}).limits;
const limits = { ...defaults, exempt: [], connectionsPerHost: 20, connectionsPerHostPerMinute: 30 };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

class FakeWorker {
  readonly tallies = new Tallies(tallyLimits(limits));
  readonly door = new Admission(limits, this.tallies);
  readonly process = {
    incarnation: `w${Math.random()}`,
    send: (message: ToWorker) => {
      if (message.type === 'over-limit') this.tallies.setOverLimit(message.over);
    },
  } as unknown as WorkerProcess;
  #timer: NodeJS.Timeout | undefined;

  join(merge: TallyMerge): void {
    merge.message(this.process, { type: 'ready' });
    this.#timer = setInterval(() => {
      const report = this.tallies.takeReport();
      if (report !== undefined) merge.message(this.process, { type: 'tallies', report });
    }, reportMs);
  }

  die(): void {
    clearInterval(this.#timer);
  }
}

function setUp(): { merge: TallyMerge; workers: FakeWorker[] } {
  const workers = [new FakeWorker(), new FakeWorker()];
  const merge = new TallyMerge(limits, () => workers.map(({ process }) => process));
  for (const worker of workers) worker.join(merge);
  return { merge, workers };
}

test('A-053: connections spread over two workers: beyond the limit only what comes in within 250 ms gets in', () => {
  const { workers } = setUp();
  let admitted = 0;
  let fullAtMs = Infinity;
  for (let atMs = 0; atMs < 4_000; atMs += 10, vi.advanceTimersByTime(10)) {
    const entry = workers[(atMs / 10) % 2]?.door.enter('192.0.2.1');
    if (entry === undefined || !('ticket' in entry)) continue;
    admitted++;
    if (admitted === limits.connectionsPerHost) fullAtMs = atMs;
    expect(atMs - fullAtMs).toBeLessThanOrEqual(250);
  }
  expect(admitted).toBeGreaterThanOrEqual(limits.connectionsPerHost);
  expect(admitted).toBeLessThanOrEqual(limits.connectionsPerHost + 25);
});

test('A-053: the rate of a minute holds over two workers, survives one of them, and a new one is told at once', () => {
  const { merge, workers } = setUp();
  for (let n = 0; n < 30; n++) {
    const door = workers[n % 2]?.door;
    const entry = door?.enter('192.0.2.1');
    if (entry !== undefined && 'ticket' in entry) door?.leave(entry.ticket);
    vi.advanceTimersByTime(20);
  }
  vi.advanceTimersByTime(250);
  for (const { door } of workers) expect(door.enter('192.0.2.1')).toEqual({ refusal: 'host-rate' });
  for (const { door } of workers) expect(door.enter('192.0.3.1')).toHaveProperty('ticket');
  const [dead] = workers.splice(0, 1);
  dead?.die();
  if (dead !== undefined) merge.gone(dead.process);
  const fresh = new FakeWorker();
  workers.push(fresh);
  fresh.join(merge);
  expect(fresh.door.enter('192.0.2.1')).toEqual({ refusal: 'host-rate' });
  vi.advanceTimersByTime(80_000);
  for (const { door } of workers) expect(door.enter('192.0.2.1')).toHaveProperty('ticket');
});

test('a reload’s limits hold for what is already counted', () => {
  const { merge, workers } = setUp();
  for (let n = 0; n < 12; n++) workers[n % 2]?.door.enter('192.0.2.1');
  vi.advanceTimersByTime(300);
  merge.setLimits({ ...limits, connectionsPerHost: 12 });
  vi.advanceTimersByTime(100);
  for (const { door } of workers) expect(door.enter('192.0.2.1')).toEqual({ refusal: 'host-limit' });
});
