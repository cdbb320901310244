/** Reloads on the built primary over workers without mail: promise 8 as far as processes go. */
import { rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';

import type { Status } from '../../src/base/messages.js';
import { until } from '../support/processes.js';
import { Primary, type Line, type PrimaryConfig } from '../support/primary.js';

const started: Primary[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map(async (primary) => primary.dispose()));
});

async function startReady(config: PrimaryConfig = {}): Promise<Primary> {
  const primary = await Primary.startReady(config);
  started.push(primary);
  return primary;
}

async function open(primary: Primary): Promise<Socket> {
  return (await primary.connect()).socket;
}

/** Picks the later lines of the same process. */
function pidOf({ pid = 0 }: Line): { pid: number } {
  return { pid };
}

/** One new client after another; rejects when one is refused, or closed before its greeting. */
async function knock(primary: Primary, greeted: Socket[], until: AbortSignal): Promise<void> {
  while (!until.aborted) {
    greeted.push(await open(primary));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const changed: PrimaryConfig = { hostname: 'second.example.test' };

describe('F-35 a reload', () => {
  test('puts new workers with the new config into all slots', async () => {
    const primary = await startReady({ workers: 3 });
    const before = await primary.pids();
    primary.change(changed);
    expect(await primary.api('/api/v1/reload', 'POST')).toEqual({
      ok: true,
      changed: ['hostname'],
      reread: ['/etc/postern/users.yaml'],
      changedFiles: [],
      workers: 3,
    });
    const after = await primary.pids();
    expect(await primary.slots()).toEqual([0, 1, 2]);
    for (const [slot, pid] of after) expect(before.get(slot)).not.toBe(pid);
    expect(primary.events('fake.init', { config: 'second.example.test' })).toHaveLength(3);
    expect(await primary.api('/api/v1/status')).toMatchObject({ hostname: 'second.example.test' });
    expect(primary.events('worker.restart')).toEqual([]);
  });

  test('says which of the files that the config names differ from what they were', async () => {
    const primary = await startReady({ workers: 1 });
    const usersFile = join(primary.directory, 'users.yaml');
    writeFileSync(usersFile, 'one');
    primary.change({ auth: { usersFile } });
    // Another file than before is a changed key.
    const answers = [await primary.api('/api/v1/reload', 'POST')];
    answers.push(await primary.api('/api/v1/reload', 'POST'));
    writeFileSync(usersFile, 'two');
    answers.push(await primary.api('/api/v1/reload', 'POST'));
    answers.push(await primary.api('/api/v1/reload', 'POST'));
    rmSync(usersFile);
    answers.push(await primary.api('/api/v1/reload', 'POST'));
    expect(answers).toMatchObject(
      [[], [], [usersFile], [], []].map((changedFiles) => ({ ok: true, changedFiles })),
    );
    expect(primary.events('reload.done').map((line) => line['changedFiles'])).toContainEqual([usersFile]);
  });

  test('SIGHUP does the same, also when nothing but a certificate changed', async () => {
    const primary = await startReady();
    primary.signal('SIGHUP');
    await primary.event('reload.done');
    expect(primary.events('fake.init')).toHaveLength(4);
  });

  test('drains a worker only after its successor in the slot accepts mail, one slot after another', async () => {
    const primary = await startReady();
    const old = await primary.pids();
    await primary.api('/api/v1/reload', 'POST');
    await primary.event('worker.drained', {}, 2);
    for (const [slot, pid] of old) {
      const ready = primary.events('worker.ready', { slot })[1];
      const drain = primary.events('fake.drain', { pid })[0];
      const drained = primary.events('worker.drained', { worker_pid: pid })[0];
      const times = [ready, drain, drained].map((line) => Date.parse(line?.time ?? ''));
      expect(times.toSorted((a, b) => a - b)).toEqual(times);
    }
    const [first, second] = primary.events('worker.ready').slice(2);
    expect([first?.slot, second?.slot]).toEqual([0, 1]);
    expect(primary.events('fake.drain').map(({ text }) => text)).toEqual(['reload 600000', 'reload 600000']);
    expect(primary.events('worker.drained').map(({ worker_pid }) => worker_pid)).toEqual([...old.values()]);
  });

  test('refuses no connection and cuts no transaction, also with a single worker', async () => {
    const primary = await startReady({ workers: 1 });
    const session = await open(primary);
    let closed = false;
    session.on('close', () => (closed = true));
    const greeted: Socket[] = [];
    const reloads = new AbortController();
    const knocking = knock(primary, greeted, reloads.signal);
    for (let i = 0; i < 3; i++)
      expect(await primary.api('/api/v1/reload', 'POST')).toMatchObject({ ok: true });
    reloads.abort();
    await knocking;
    expect(greeted.length).toBeGreaterThan(10);
    expect(closed).toBe(false);
    const { workers } = await primary.api<Status>('/api/v1/status');
    expect(workers.map(({ state }) => state)).toContain('draining');
    for (const socket of [session, ...greeted]) socket.destroy();
    await until('the old workers are gone', () => primary.events('worker.drained').length === 3);
  });

  test('the files of a drained worker go to its successor', async () => {
    const primary = await startReady({ workers: 1 });
    const [old] = primary.events('fake.init');
    await primary.api('/api/v1/reload', 'POST');
    await primary.event('worker.drained');
    const successor = await primary.event('fake.init', {}, 2);
    expect(successor.text).toBe('');
    const adopted = await primary.event('fake.adopt', pidOf(successor), 2);
    expect(adopted.text).toContain(String(old?.['incarnation']));
  });

  test('a worker that dies afterwards comes back with the new config, whatever the file says by then', async () => {
    const primary = await startReady();
    primary.change(changed);
    await primary.api('/api/v1/reload', 'POST');
    primary.change({ hostname: 'edited-but-not-reloaded.example.test' });
    process.kill(await primary.pidOf(0), 'SIGKILL');
    await primary.event('worker.restart', { slot: 0 });
    const init = await primary.event('fake.init', { slot: 0 }, 3);
    expect(init['config']).toBe('second.example.test');
  });

  test('a new admin token is in force at once, the old one no more', async () => {
    const primary = await startReady();
    primary.change({ admin: { address: '127.0.0.1', port: primary.adminPort, token: 'another-token' } });
    expect(await primary.api('/api/v1/reload', 'POST')).toMatchObject({ ok: true, changed: ['admin.token'] });
    expect((await primary.fetch('/api/v1/status')).status).toBe(401);
    expect((await primary.fetch('/api/v1/status', 'GET', 'another-token')).status).toBe(200);
  });

  test('asked for twice at once it is done twice, one after the other', async () => {
    const primary = await startReady();
    const answers = await Promise.all([1, 2, 3].map(async () => primary.api('/api/v1/reload', 'POST')));
    expect(answers).toMatchObject(Array.from({ length: 3 }, () => ({ ok: true, changed: [], workers: 2 })));
    expect(primary.events('reload.started')).toHaveLength(2);
  });
});

describe('a reload that is refused', () => {
  test('names the keys that only a restart can change, and changes nothing', async () => {
    const primary = await startReady();
    const before = await primary.pids();
    primary.change({ dataDir: '/elsewhere', workers: 5, ...changed });
    const answer = await primary.fetch('/api/v1/reload', 'POST');
    expect([answer.status, await answer.json()]).toMatchObject([
      409,
      { error: { code: 'RELOAD_REFUSED', keys: ['dataDir', 'workers'] } },
    ]);
    expect(await primary.pids()).toEqual(before);
    expect((await primary.event('reload.refused'))['keys']).toEqual(['dataDir', 'workers']);
  });

  test('waits for nobody while the service is still starting', async () => {
    const primary = await Primary.start({ fake: { 1: { neverReady: true } } });
    started.push(primary);
    await primary.event('worker.ready', { slot: 0 });
    expect((await primary.fetch('/api/v1/reload', 'POST')).status).toBe(409);
    primary.signal('SIGTERM');
    expect((await primary.exited).code).toBe(0);
  });

  test('F-38 logs every fault of a wrong config and keeps the old one', async () => {
    const primary = await startReady();
    const before = await primary.pids();
    primary.change({
      faults: [
        { place: 'postern.yaml:3:1', path: 'hostnam', text: 'unknown key' },
        { place: 'postern.yaml:9:5', path: 'tls.key', text: 'no such file' },
      ],
    });
    primary.signal('SIGHUP');
    await primary.event('reload.refused', { code: 'CONFIG_INVALID' });
    expect(primary.events('config.fault').map(({ msg }) => msg)).toEqual([
      'postern.yaml:3:1: hostnam: unknown key',
      'postern.yaml:9:5: tls.key: no such file',
    ]);
    expect(await primary.pids()).toEqual(before);
  });

  test('is given up when a new worker cannot run, and slots that were replaced go back', async () => {
    const primary = await startReady();
    const message = 'the certificate does not fit its key';
    primary.change({ ...changed, fake: { 1: { unable: { code: 'TLS_UNUSABLE', message } } } });
    const answer = await primary.fetch('/api/v1/reload', 'POST');
    expect([answer.status, await answer.json()]).toMatchObject([409, { error: { code: 'TLS_UNUSABLE' } }]);
    const inits = primary.events('fake.init').slice(2);
    expect(inits.map(({ slot, config }) => [slot, config])).toEqual([
      [0, 'second.example.test'],
      [1, 'second.example.test'],
      [0, 'first.example.test'],
    ]);
    expect(await primary.slots()).toEqual([0, 1]);
    expect((await primary.fetch('/readyz')).status).toBe(200);
    // Nothing died: it said why it cannot start, and the reload says the rest.
    await primary.event('worker.ended', { slot: 1, code: 'TLS_UNUSABLE' });
    expect(primary.events('worker.died')).toEqual([]);
    // The next one works.
    primary.change(changed);
    expect(await primary.api('/api/v1/reload', 'POST')).toMatchObject({ ok: true, changed: ['hostname'] });
  });

  test('a stop during a reload ends old and new workers', async () => {
    const primary = await startReady();
    primary.change({ fake: { all: { neverReady: true } } });
    primary.signal('SIGHUP');
    await primary.event('fake.init', {}, 3);
    primary.signal('SIGTERM');
    expect((await primary.exited).code).toBe(0);
  });
});
