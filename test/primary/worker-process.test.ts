/** One worker process as the primary sees it, over a cluster of the test's own: what comes when. */
import type { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { Config } from '../../src/config/config.js';
import { WorkerProcess } from '../../src/primary/worker-process.js';

const forked = vi.hoisted(() => ({ worker: undefined as EventEmitter | undefined }));

vi.mock('node:cluster', async () => {
  const { EventEmitter: Emitter } = await import('node:events');
  const fork = (): EventEmitter => {
    const process = { pid: 4711, kill: () => true, send: () => true };
    forked.worker = Object.assign(new Emitter(), { process, isConnected: () => true });
    return forked.worker;
  };
  return { default: { fork } };
});

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

test('A-053: what comes of a worker after it was counted as gone is not heard: its tallies were taken back', () => {
  const heard: string[] = [];
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is only handed on
  const config = {} as Config;
  const started = new WorkerProcess(
    { slot: 0, incarnation: 'a', config },
    {
      message: (_worker, { type }) => heard.push(type),
      fileRead: () => heard.push('file read'),
      gone: () => heard.push('gone'),
    },
  );
  const report = { standing: { connections: { '192.0.2.1': 3 } }, events: {} };
  forked.worker?.emit('message', { type: 'tallies', report });
  forked.worker?.emit('exit', 1, null);
  // Its channel is open still: a farewell may come.
  forked.worker?.emit('message', { type: 'tallies', report });
  vi.runAllTimers();
  expect(started.isGone).toBe(true);
  forked.worker?.emit('message', { type: 'tallies', report });
  expect(heard).toEqual(['tallies', 'tallies', 'gone']);
});
