/** Deaths, restarts and quarantine, on the built primary over workers without mail. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';

import type { QueueRow, Status } from '../../src/base/messages.js';
import { until } from '../support/processes.js';
import { Primary, type PrimaryConfig } from '../support/primary.js';

const started: Primary[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map(async (primary) => primary.dispose()));
});

async function start(config: PrimaryConfig = {}, silenceBoundMs?: number): Promise<Primary> {
  const primary = await Primary.start(config, silenceBoundMs);
  started.push(primary);
  return primary;
}

async function startReady(config: PrimaryConfig = {}, silenceBoundMs?: number): Promise<Primary> {
  const primary = await start(config, silenceBoundMs);
  await primary.event('service.ready');
  return primary;
}

/** Kills the worker of a slot once it is healthy; resolves when its successor accepts mail. */
async function killHealthy(primary: Primary, slot: number, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const pid = await primary.pidOf(slot);
    await new Promise((resolve) => setTimeout(resolve, 2_100)); // healthy: 2 s past ready
    process.kill(pid, 'SIGKILL');
    await primary.event('worker.died', { worker_pid: pid });
    await primary.pidOf(slot);
  }
}

describe('F-01 kill -9 of a worker', () => {
  test('a healthy one is back in its slot at once, no matter how often; the others never notice', async () => {
    const primary = await startReady();
    const before = await primary.pids();
    await killHealthy(primary, 0, 3);
    expect(primary.events('worker.restart').map(({ slot, delay_ms }) => [slot, delay_ms])).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    expect((await primary.pids()).get(1)).toBe(before.get(1));
    expect(await primary.metric('postern_worker_restarts_total')).toBe(3);
  });

  test('its successor adopts its queue files, and nobody else does', async () => {
    const primary = await startReady();
    const [first] = primary.events('fake.init', { slot: 0 });
    const pid = await primary.pidOf(0);
    process.kill(pid, 'SIGKILL');
    const second = await primary.event('fake.init', { slot: 0 }, 2);
    const file = join(primary.dataDir, 'queue', 'slot-0', `${String(first?.['incarnation'])}-0.mdb`);
    expect(second.text).toBe(file);
    expect(second['incarnation']).not.toBe(first?.['incarnation']);
    expect(primary.events('fake.init', { slot: 1 })).toHaveLength(1);
    // The next one gets the files of both.
    process.kill(second.pid ?? 0, 'SIGKILL');
    const third = await primary.event('fake.init', { slot: 0 }, 3);
    expect(String(third.text).split(' ')).toHaveLength(2);
  });

  test('its totals stay in the metrics', async () => {
    const primary = await startReady();
    const accepted = async () => await primary.metric('postern_messages_accepted_total{listener="mx"}');
    expect(await accepted()).toBe(30);
    process.kill(await primary.pidOf(1), 'SIGKILL');
    await primary.event('worker.ready', { slot: 1 }, 2);
    expect(await accepted()).toBe(50); // 10 and 20 of the living, 20 of the dead
  });
});

describe('early deaths', () => {
  test('the first restart is at once, then each waits longer', async () => {
    const primary = await start({ fake: { 1: { dieBeforeReady: true } } });
    await primary.event('worker.restart', { slot: 1 }, 4);
    expect(primary.events('worker.restart', { slot: 1 }).map(({ delay_ms }) => delay_ms)).toEqual([
      0, 250, 500, 1000,
    ]);
    expect(primary.events('worker.restart', { slot: 0 })).toEqual([]);
    primary.signal('SIGTERM');
    expect((await primary.exited).code).toBe(0);
  });
});

function poison(primary: Primary): string {
  const directory = join(primary.dataDir, 'queue', 'slot-1');
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'POISON-0.mdb');
  writeFileSync(file, 'what is in it');
  return file;
}

async function startWithPoison(
  fake: NonNullable<PrimaryConfig['fake']>[string],
  silenceBoundMs?: number,
): Promise<{ primary: Primary; file: string }> {
  const first = await start({ fake: { 0: { neverReady: true } } });
  const file = poison(first);
  first.signal('SIGKILL');
  await first.exited;
  const primary = await start({ dataDir: first.dataDir, fake: { all: fake } }, silenceBoundMs);
  return { primary, file };
}

describe('F-05 quarantine', () => {
  test('a file that ends three workers that scan it is moved away, and the service goes on', async () => {
    const { primary, file } = await startWithPoison({ dieScanning: 'POISON', dieSignal: 'SIGABRT' });
    const { path } = await primary.event('queue.quarantined', { file });
    await primary.event('service.ready');
    expect(primary.events('worker.died', { blame: 'reading' })).toHaveLength(3);
    expect([existsSync(file), existsSync(String(path))]).toEqual([false, true]);
    expect(await primary.api('/api/v1/status')).toMatchObject({ quarantined: [path] });
    expect(await primary.metric('postern_queue_quarantined_files')).toBe(1);
    await until('slot 1 to stay', async () => (await primary.pids()).get(1));
    expect(primary.events('worker.died')).toHaveLength(3);
    // It is still known after a restart: the operator has not looked at it yet.
    await primary.stop();
    const again = await startReady({ dataDir: primary.dataDir });
    expect(await again.api('/api/v1/status')).toMatchObject({ quarantined: [path] });
  });

  test('never for SIGKILL', async () => {
    const { primary, file } = await startWithPoison({ dieScanning: 'POISON', dieSignal: 'SIGKILL' });
    await primary.event('worker.died', { signal: 'SIGKILL', file }, 5);
    expect(primary.events('queue.quarantined')).toEqual([]);
    expect(existsSync(file)).toBe(true);
  });
});

describe('F-05 other ways in which a file ends its workers', () => {
  test('a hang while it is scanned counts like a crash: the kill is our own', async () => {
    const { primary, file } = await startWithPoison({ dieScanning: 'POISON', hang: true }, 1_500);
    await primary.event('queue.quarantined', { file });
    expect(primary.events('worker.died', { blame: 'reading' })).toHaveLength(3);
    expect(primary.events('worker.silent').length).toBeGreaterThanOrEqual(3);
  });

  test('no commit in it works while the disk takes new files: it is the file', async () => {
    const { primary, file } = await startWithPoison({ cannotCommit: 'POISON' });
    const { path } = await primary.event('queue.quarantined', { file });
    expect(primary.events('worker.died', { blame: 'commit', file })).toHaveLength(3);
    expect(existsSync(String(path))).toBe(true);
  });

  test('no commit works and the disk takes no new files: it is the disk, and every file stays', async () => {
    const { primary, file } = await startWithPoison({ cannotCommit: 'POISON' });
    // The probe has this name; where a folder has it, no file can be made.
    mkdirSync(join(primary.dataDir, 'queue', 'slot-1', `.probe-${primary.pid}`));
    await primary.event('worker.died', { exit_code: 70, blame: 'none' }, 5);
    expect(existsSync(file)).toBe(true);
  });

  test('a worker that cannot use a file has it moved away at once', async () => {
    const { primary, file } = await startWithPoison({ unusable: 'POISON' });
    await primary.event('queue.quarantined', { file });
    expect(primary.events('worker.died')).toEqual([]);
  });
});

describe('salvage of quarantined files', () => {
  test('happens by itself, by the worker of its slot; then nothing is quarantined any more', async () => {
    const { primary, file } = await startWithPoison({ unusable: 'POISON', salvage: 'done' });
    const { path } = await primary.event('queue.quarantined', { file });
    await primary.event('fake.salvage', { slot: 1, text: String(path) });
    await until(
      'it to be released',
      async () => (await primary.api<Status>('/api/v1/status')).quarantined.length === 0,
    );
    expect(await primary.metric('postern_queue_quarantined_files')).toBe(0);
    expect(primary.events('fake.salvage')).toHaveLength(1);
  });

  test('of a file that lies there from an earlier run, too', async () => {
    const { primary, file } = await startWithPoison({ unusable: 'POISON' });
    const { path } = await primary.event('queue.quarantined', { file });
    await primary.event('queue.salvage_failed', { file: String(path), code: 'SPOOL_FORMAT' });
    await primary.stop();
    const again = await startReady({ dataDir: primary.dataDir, fake: { all: { salvage: 'done' } } });
    await again.event('fake.salvage', { slot: 1, text: String(path) });
  });

  test('a file that ends its salvager is tried once in a run', async () => {
    const { primary, file } = await startWithPoison({ unusable: 'POISON', salvage: 'die' });
    const { path } = await primary.event('queue.quarantined', { file });
    await primary.event('queue.salvage_failed', { file: String(path), code: 'POOL_TASK' });
    await primary.event('worker.ready', { slot: 1 }, 2);
    await new Promise((resolve) => setTimeout(resolve, 1_000)); // some heartbeats
    expect(primary.events('fake.salvage')).toHaveLength(1);
    expect(await primary.api('/api/v1/status')).toMatchObject({ quarantined: [path] });
  });
});

describe('what the workers are told of their files and routes', () => {
  test('F-41 files of a crash are handed over as such, those of a kill from outside are not', async () => {
    const primary = await startReady();
    process.kill(await primary.pidOf(0), 'SIGKILL');
    await primary.event('fake.init', { slot: 0, blame: false }, 2);
    process.kill(await primary.pidOf(0), 'SIGSEGV');
    const third = await primary.event('fake.init', { slot: 0 }, 3);
    // The killed one's were read to their end by the second; those of its own go with the blame.
    expect([third['blame'], String(third.text).split(' ').length]).toEqual([true, 2]);
  });

  test('frozen routes are told to all, to a new worker too, and outlive a restart', async () => {
    const primary = await startReady({ routes: { office: {}, store: {} } });
    expect((await primary.fetch('/api/v1/routes/office/freeze', 'POST')).status).toBe(200);
    await primary.event('fake.freeze', { slot: 0, text: 'office' });
    await primary.event('fake.freeze', { slot: 1, text: 'office' });
    expect((await primary.fetch('/api/v1/routes/offcie/freeze', 'POST')).status).toBe(404);
    process.kill(await primary.pidOf(0), 'SIGKILL');
    await primary.event('fake.init', { slot: 0, frozen: 'office' });
    await primary.stop();
    const again = await startReady({ dataDir: primary.dataDir, routes: { office: {}, store: {} } });
    expect(again.events('fake.init', { frozen: 'office' })).toHaveLength(2);
    expect(await again.api('/api/v1/status')).toMatchObject({ frozen: ['office'] });
    expect((await again.fetch('/api/v1/routes/office/thaw', 'POST')).status).toBe(200);
    await again.event('fake.freeze', { slot: 1, text: '' });
  });
});

describe('F-15 a worker that says nothing', () => {
  test('is killed and replaced', async () => {
    const primary = await startReady({}, 2_000);
    const pid = await primary.pidOf(0);
    process.kill(pid, 'SIGSTOP');
    await primary.event('worker.silent', { worker_pid: pid });
    await primary.event('worker.ready', { slot: 0 }, 2);
    expect(primary.events('worker.silent')).toHaveLength(1);
  });

  test('F-16 for some seconds only is named in the log, and lives on', async () => {
    const primary = await startReady();
    const pid = await primary.pidOf(0);
    process.kill(pid, 'SIGSTOP');
    await primary.event('worker.late', { worker_pid: pid, late: true });
    process.kill(pid, 'SIGCONT');
    await primary.event('worker.late', { worker_pid: pid, late: false });
    expect(primary.events('worker.late')).toHaveLength(2);
    expect(await primary.pidOf(0)).toBe(pid);
  });

  test('does not hold up a scrape or a look at the queue', async () => {
    const primary = await startReady({ fake: { 1: { mute: true } } });
    expect(await primary.metric('postern_scrape_workers_missing')).toBe(1);
    expect(await primary.metric('postern_messages_accepted_total{listener="mx"}')).toBe(10);
    expect(await primary.api('/api/v1/queue')).toMatchObject({ total: 1 });
  });
});

describe('what all workers have together', () => {
  test('the admin API merges the shards', async () => {
    const primary = await startReady();
    const page = await primary.api<{ total: number; messages: QueueRow[] }>('/api/v1/queue');
    expect([page.total, page.messages.map(({ slot }) => slot)]).toEqual([2, [0, 1]]); // by id, which is by arrival
    expect(await primary.api('/api/v1/queue/stats')).toMatchObject({ messages: { active: 2 }, bytes: 10 });
    expect((await primary.fetch('/api/v1/queue/0000000000000001/hold', 'POST')).status).toBe(200);
    expect((await primary.fetch('/api/v1/queue/0000000000000009/hold', 'POST')).status).toBe(404);
  });

  test('A-053 networks at their limit are told to every worker, also to a new one', async () => {
    const primary = await startReady({
      fake: { all: { networks: { '192.0.2.1': 3, '192.0.2.0/24': 3, '198.51.100.7': 1 } } },
    });
    await primary.event('fake.over-limit', { text: '192.0.2.1', slot: 0 });
    await primary.event('fake.over-limit', { text: '192.0.2.1', slot: 1 });
    process.kill(await primary.pidOf(0), 'SIGKILL');
    const { pid = 0 } = await primary.event('fake.init', { slot: 0 }, 2);
    await primary.event('fake.over-limit', { text: '192.0.2.1', pid });
  });

  test('the sockets are shared: with one worker dead the others accept', async () => {
    const primary = await startReady({ fake: {} });
    const [victim, survivor] = [await primary.pidOf(0), await primary.pidOf(1)];
    process.kill(victim, 'SIGSTOP'); // it neither accepts nor dies
    const client = await primary.connect();
    expect(client.pid).toBe(survivor);
    client.socket.destroy();
    process.kill(victim, 'SIGKILL');
  });
});
