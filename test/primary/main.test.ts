/** The built primary over workers without mail: starts, signals, refusals to start. */
import { mkdirSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';

import { isRunning, until } from '../support/processes.js';
import { Primary, type PrimaryConfig } from '../support/primary.js';

const started: Primary[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map(async (primary) => primary.dispose()));
});

async function start(config: PrimaryConfig = {}): Promise<Primary> {
  const primary = await Primary.start(config);
  started.push(primary);
  return primary;
}

async function startReady(config: PrimaryConfig = {}): Promise<Primary> {
  const primary = await start(config);
  await primary.event('service.ready');
  return primary;
}

function queueFiles(dataDir: string): string[] {
  const queue = join(dataDir, 'queue');
  const names = readdirSync(queue, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.mdb')).map((name) => join(queue, name));
}

describe('start', () => {
  test('is ready once every slot accepts mail, and says so on /readyz', async () => {
    const primary = await startReady({ workers: 3 });
    expect(await primary.slots()).toEqual([0, 1, 2]);
    expect((await primary.fetch('/readyz')).status).toBe(200);
  });

  test('whose workers all refuse mail says why, in its line and on /readyz; one that takes it is enough', async () => {
    const refusing = 'MAIL gets 452: less free disk than limits.diskReserve (1 GiB)';
    const primary = await start({ fake: { all: { refusing } } });
    const line = await primary.event('service.ready');
    expect(line).toMatchObject({ level: 'error', refusing: [refusing] });
    expect(line['msg']).toBe(`the listeners are open, and new mail is refused: ${refusing}`);
    expect((await primary.fetch('/readyz')).status).toBe(503);
    const other = await startReady({ fake: { 0: { refusing } } });
    expect(other.events('service.ready')).toMatchObject([{ level: 'info', msg: 'mail is accepted' }]);
  });

  test('is not ready while a slot has no worker yet', async () => {
    const primary = await start({ fake: { 1: { neverReady: true } } });
    await primary.event('worker.ready', { slot: 0 });
    const answer = await primary.fetch('/readyz');
    expect([answer.status, await answer.text()]).toEqual([503, 'the service is starting\n']);
    primary.signal('SIGTERM');
    await primary.event('service.stopping');
    expect((await primary.exited).code).toBe(0);
  });

  test('a worker that cannot run stops the start with its reason and exit code 1', async () => {
    const message = 'cannot listen on 127.0.0.1:25: another program has the port';
    const primary = await start({ fake: { 1: { unable: { code: 'LISTEN_FAILED', message } } } });
    expect((await primary.exited).code).toBe(1);
    expect(primary.stderr).toBe(`postern: ${message}`);
    expect(primary.events('start.failed')).toMatchObject([{ code: 'LISTEN_FAILED', msg: message }]);
  });

  test('an admin port in use is one clear message and exit code 1', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = taken.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const primary = await start({ admin: { address: '127.0.0.1', port, token: 'a-token-for-tests' } });
    expect((await primary.exited).code).toBe(1);
    expect(primary.stderr).toMatch(
      new RegExp(`^postern: the admin HTTP cannot listen on 127.0.0.1:${port}: `),
    );
    taken.close();
  });

  test('a data directory that cannot be used is one clear message and exit code 1', async () => {
    const primary = await start({ dataDir: '/proc/nowhere/data' });
    expect((await primary.exited).code).toBe(1);
    expect(primary.stderr).toMatch(
      /^postern: the data directory \/proc\/nowhere\/data cannot be used: set dataDir/,
    );
  });

  test('F-14 a second instance on one data directory is refused and leaves the first alone', async () => {
    const first = await startReady();
    const second = await start({ dataDir: first.dataDir });
    expect((await second.exited).code).toBe(1);
    expect(second.stderr).toContain(`another instance (process ${first.pid}) runs on the data directory`);
    expect(second.events('start.failed')).toMatchObject([{ code: 'DATA_DIR_LOCKED' }]);
    expect((await first.fetch('/readyz')).status).toBe(200);
  });

  test('F-02 after kill -9 of everything the next start needs no hand', async () => {
    const first = await startReady();
    const pids = [...(await first.pids()).values()];
    for (const pid of [first.pid, ...pids]) process.kill(pid, 'SIGKILL');
    await first.exited;
    const second = await startReady({ dataDir: first.dataDir });
    expect(await second.pids()).toHaveProperty('size', 2);
  });

  test('the queue files of slots that no longer exist are adopted by those that do', async () => {
    const first = await startReady({ workers: 4 });
    await first.stop();
    const left = queueFiles(first.dataDir);
    expect(left).toHaveLength(4);
    const second = await startReady({ dataDir: first.dataDir, workers: 2 });
    const adopted = second.events('fake.init').flatMap(({ text }) => String(text).split(' '));
    expect(adopted.filter((name) => name !== '').toSorted()).toEqual(left.toSorted());
  });
});

describe('stop', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('F-33 %s drains every worker and exits 0', async (signal) => {
    const primary = await startReady();
    const { socket } = await primary.connect();
    const told: unknown[] = [];
    socket.on('data', (line) => told.push(line));
    primary.signal(signal);
    await once(socket, 'close');
    expect(told).toEqual(['421\r\n']);
    expect((await primary.exited).code).toBe(0);
    expect(primary.events('fake.drain').map(({ text }) => text)).toEqual(['stop 25000', 'stop 25000']);
    expect(primary.events('worker.drained')).toHaveLength(2);
    expect(primary.events('worker.died')).toEqual([]);
  });

  test('F-34 a second signal gives the workers less time, and ends those that do not obey', async () => {
    const primary = await startReady({ fake: { 0: { ignoreDrain: true } } });
    primary.signal('SIGTERM');
    await primary.event('fake.drain', { slot: 0 });
    primary.signal('SIGTERM');
    await primary.event('fake.drain', { slot: 0, text: 'stop 2000' });
    expect((await primary.exited).code).toBe(0);
    expect(primary.events('worker.died')).toMatchObject([{ slot: 0, signal: 'SIGKILL' }]);
  });

  test('F-37 a bug in the primary drains the workers and exits 1', async () => {
    const primary = await startReady();
    primary.change({ bug: true });
    primary.signal('SIGHUP');
    expect((await primary.exited).code).toBe(1);
    expect(primary.events('primary.crashed')).toHaveLength(1);
    expect(primary.events('worker.died')).toEqual([]);
  });

  test('the admin API stops the service', async () => {
    const primary = await startReady();
    expect((await primary.fetch('/api/v1/stop', 'POST')).status).toBe(202);
    expect((await primary.exited).code).toBe(0);
  });

  test('the data directory is free for the next instance', async () => {
    const first = await startReady();
    await first.stop();
    expect(readdirSync(first.dataDir)).toEqual(['queue']);
    const second = await startReady({ dataDir: first.dataDir });
    expect(second.events('start.failed')).toEqual([]);
  });

  test('F-03 workers do not outlive a primary that was killed', async () => {
    const primary = await startReady();
    const pids = [...(await primary.pids()).values()];
    primary.signal('SIGKILL');
    await primary.exited;
    await until('the workers are gone', () => !pids.some(isRunning));
  });
});

test('a data directory whose path is longer than a socket’s name may be is locked all the same', async () => {
  const parent = await start({ dataDir: '/proc/nowhere/data' }); // for its temporary directory
  const long = join(parent.directory, ...Array.from({ length: 12 }, () => 'a-long-name-of-a-folder'));
  mkdirSync(long, { recursive: true });
  const first = await startReady({ dataDir: long });
  const second = await start({ dataDir: long });
  expect((await second.exited).code).toBe(1);
  expect(second.stderr).toContain(`(process ${first.pid})`);
});
