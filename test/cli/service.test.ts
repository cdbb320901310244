import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Status } from '../../src/base/messages.js';
import { configText, fakeAdmin, postern, temporaryFolder } from './harness.js';

const status: Status = {
  version: '1.2.3',
  hostname: 'mx.example.test',
  state: 'ready',
  upSeconds: 90,
  pid: 4_711,
  slots: 3,
  workers: [
    {
      slot: 0,
      pid: 4_712,
      state: 'ready',
      upSeconds: 90,
      restarts: 0,
      connections: 12,
      refusing: 'the disk is full',
    },
    { slot: 1, pid: 4_713, state: 'starting', upSeconds: 1, restarts: 3, connections: 0 },
  ],
  queue: {
    messages: { active: 0, deferred: 1, held: 0, parked: 2, failed: 0 },
    bytes: 1_024,
    oldestSeconds: 60,
    files: 2,
    routes: [
      { route: 'gone', waiting: 2, hopsResting: 0, missing: true },
      { route: 'lab', waiting: 1, hopsResting: 0 },
      { route: 'office', waiting: 2, hopsResting: 0 },
      { route: 'outbound', waiting: 1, hopsResting: 2 },
    ],
    complete: false,
  },
  quarantined: ['/var/lib/postern/queue/quarantine/a.mdb'],
  salvaged: ['/var/lib/postern/queue/quarantine/b.mdb.salvaged'],
  frozen: ['office'],
};

describe('postern status', () => {
  test('shows server, workers and what troubles them, queue, frozen routes and what is quarantined', async () => {
    const admin = await fakeAdmin({ 'GET /api/v1/status': { body: status } });
    const { code, stdout } = await postern(['status', '-c', admin.configFile]);
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([
      'mx.example.test: running, but refuses all mail (see below), up 1.5m, version 1.2.3, pid 4711',
      '',
      'worker  pid   state     up    restarts  connections',
      '0       4712  ready     1.5m  0         12',
      '1       4713  starting  1s    3         0',
      '',
      'queue: 3 messages, 1KiB in 2 files, the oldest 1m old',
      '  active 0, deferred 1, held 0, parked 2, failed 0',
      'route gone is no longer in the config: 2 messages to hand over wait for it to come back, and what is too old fails',
      'route outbound: 2 next hops are down, 1 message to hand over; `postern queue list --route outbound` shows the replies',
      'A part of the queue is not counted here: a worker is missing, or still reads its files. Look again in a moment.',
      'frozen route: office; 2 messages to hand over wait until `postern queue thaw office`',
      'worker 0 refuses mail: the disk is full',
      'worker 1 is starting again, after 3 restarts; the log says why (worker.died, worker.unable)',
      'worker 2 takes no mail; the log says why (worker.died, worker.unable)',
      'quarantined: /var/lib/postern/queue/quarantine/a.mdb',
      'Quarantined files hold mail that waits; `postern queue salvage` stores what is whole in them.',
      'salvaged: /var/lib/postern/queue/quarantine/b.mdb.salvaged',
      'Salvaged files were damaged; what was whole in them is in the queue. Remove them when nobody looks for the rest (log event queue.salvaged).',
    ]);
  });

  test('a worker that only starts is not said to have died', async () => {
    const workers = status.workers.map((worker) => ({ ...worker, state: 'starting', restarts: 0 }));
    const admin = await fakeAdmin({ 'GET /api/v1/status': { body: { ...status, workers, slots: 2 } } });
    const { stdout } = await postern(['status', '-c', admin.configFile]);
    expect(stdout).toContain('worker 0 is starting\nworker 1 is starting\n');
    expect(stdout).not.toContain('worker.died');
  });

  test('says it once when all workers refuse mail', async () => {
    const workers = status.workers.map((worker) => ({ ...worker, refusing: 'the disk is full' }));
    const admin = await fakeAdmin({ 'GET /api/v1/status': { body: { ...status, workers } } });
    const { stdout } = await postern(['status', '-c', admin.configFile]);
    expect(stdout.split('\n').filter((line) => line.includes('refus'))).toEqual([
      'mx.example.test: running, but refuses all mail (see below), up 1.5m, version 1.2.3, pid 4711',
      'refusing mail: the disk is full',
    ]);
  });

  test('does not say that no mail waits for a hop that is down while mail is held', async () => {
    const queue = { ...status.queue, routes: [{ route: 'sink', waiting: 0, hopsResting: 1 }] };
    const admin = await fakeAdmin({
      'GET /api/v1/status': { body: { ...status, queue } },
      'GET /api/v1/queue/stats': { body: { ...queue, messages: { ...queue.messages, parked: 0 } } },
    });
    expect((await postern(['status', '-c', admin.configFile])).stdout).toContain(
      'route sink: 1 next hop is down, no mail waits but what may be held or parked;',
    );
    expect((await postern(['queue', 'stats', '-c', admin.configFile])).stdout).toContain(
      'route sink: 1 next hop is down, no mail waits;',
    );
  });

  test('prints the answer as it is with --json', async () => {
    const admin = await fakeAdmin({ 'GET /api/v1/status': { body: status } });
    expect(JSON.parse((await postern(['status', '--json', '-c', admin.configFile])).stdout)).toEqual(status);
  });
});

describe('postern reload', () => {
  test('names what changed', async () => {
    const body = {
      ok: true,
      changed: ['limits.recipients', 'tls'],
      reread: [],
      changedFiles: [],
      workers: 4,
    };
    const admin = await fakeAdmin({ 'POST /api/v1/reload': { body } });
    const answer = await postern(['reload', '-c', admin.configFile]);
    expect(answer).toMatchObject({
      code: 0,
      stdout: 'reloaded, 4 workers replaced; changed: limits.recipients, tls',
    });
  });

  test('names the files that differ: after `users add` or a renewal', async () => {
    const changedFiles = ['/etc/postern/users.yaml', '/etc/ssl/7.pem'];
    const body = {
      ok: true,
      changed: [],
      reread: [...changedFiles, '/etc/ssl/8.pem'],
      changedFiles,
      workers: 1,
    };
    const admin = await fakeAdmin({ 'POST /api/v1/reload': { body } });
    expect((await postern(['reload', '-c', admin.configFile])).stdout).toBe(
      'reloaded, 1 worker replaced; no key of the config differs; changed files: /etc/postern/users.yaml, /etc/ssl/7.pem',
    );
  });

  test('names the files that were read again and are as they were', async () => {
    const reread = ['/etc/postern/users.yaml', ...Array.from({ length: 8 }, (_, n) => `/etc/ssl/${n}.pem`)];
    const body = { ok: true, changed: [], reread, changedFiles: [], workers: 2 };
    const admin = await fakeAdmin({ 'POST /api/v1/reload': { body } });
    expect((await postern(['reload', '-c', admin.configFile])).stdout).toBe(
      'reloaded, 2 workers replaced; no key of the config differs; no file differs, read again: /etc/postern/users.yaml, ' +
        '/etc/ssl/0.pem, /etc/ssl/1.pem, /etc/ssl/2.pem, /etc/ssl/3.pem, /etc/ssl/4.pem and 3 others',
    );
  });

  test('tells a refusal with its keys and exits 1', async () => {
    const message = 'only a restart can change dataDir';
    const body = { error: { code: 'RELOAD_REFUSED', message, keys: ['dataDir'] } };
    const admin = await fakeAdmin({ 'POST /api/v1/reload': { status: 409, body } });
    const answer = await postern(['reload', '-c', admin.configFile]);
    expect(answer).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `postern: the reload was refused: ${message}`,
    });
    const json = await postern(['reload', '--json', '-c', admin.configFile]);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toEqual({
      ok: false,
      code: 'RELOAD_REFUSED',
      message,
      keys: ['dataDir'],
    });
  });
});

describe('postern stop', () => {
  test('waits until the server has gone', async () => {
    const admin = await fakeAdmin({ 'POST /api/v1/stop': { status: 202, body: { state: 'draining' } } });
    let stopped = false;
    const answer = postern(['stop', '-c', admin.configFile]).then((outcome) => ({ outcome, stopped }));
    await until(() => admin.requests.length > 0);
    setTimeout(() => {
      stopped = true;
      admin.close();
    }, 300);
    expect(await answer).toMatchObject({ outcome: { code: 0, stdout: 'stopped' }, stopped: true });
  });

  test('does not wait when told so', async () => {
    const admin = await fakeAdmin({ 'POST /api/v1/stop': { status: 202, body: { state: 'draining' } } });
    expect(await postern(['stop', '--no-wait', '-c', admin.configFile])).toMatchObject({ code: 0 });
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe('a server that cannot be asked', () => {
  test('does not run', async () => {
    const admin = await fakeAdmin({});
    admin.close();
    const { code, stderr } = await postern(['status', '-c', admin.configFile]);
    expect(code).toBe(1);
    expect(stderr).toContain('no Postern runs on the admin address 127.0.0.1:');
    expect(stderr).toContain(`postern start --config ${admin.configFile}`);
  });

  test('does not run, and never did: there is no token either', async () => {
    const admin = await fakeAdmin({});
    admin.close();
    rmSync(join(admin.dataDir, 'admin.token'));
    const { code, stderr } = await postern(['status', '-c', admin.configFile]);
    expect(code).toBe(1);
    expect(stderr).toContain('no Postern runs');
  });

  test('has its token elsewhere', async () => {
    const admin = await fakeAdmin({ 'GET /api/v1/status': { body: status } });
    rmSync(join(admin.dataDir, 'admin.token'));
    const { code, stderr } = await postern(['status', '-c', admin.configFile]);
    expect(code).toBe(1);
    expect(stderr).toContain(`${admin.dataDir}/admin.token cannot be read: there is none`);
    expect(stderr).toContain('only a restart can change `dataDir`');
  });

  test.skipIf(process.getuid?.() === 0)('has a token that another user may not read', async () => {
    const admin = await fakeAdmin({ 'GET /api/v1/status': { body: status } });
    chmodSync(join(admin.dataDir, 'admin.token'), 0);
    const { code, stderr } = await postern(['status', '-c', admin.configFile]);
    expect(code).toBe(1);
    expect(stderr).toContain('only the user that runs the server may read it');
  });

  test('has another token', async () => {
    const admin = await fakeAdmin({ 'GET /api/v1/status': { body: status } });
    writeFileSync(join(admin.dataDir, 'admin.token'), 'y'.repeat(43));
    const { code, stderr } = await postern(['status', '-c', admin.configFile]);
    expect(code).toBe(1);
    expect(stderr).toContain(
      `The token came from ${admin.dataDir}/admin.token: it must be the running server's`,
    );
    expect(stderr).toContain('only a restart can change `dataDir`');
  });

  test('has not taken up the token of the config yet', async () => {
    const admin = await fakeAdmin({ 'GET /api/v1/status': { body: status } });
    const env = { POSTERN_ADMIN_TOKEN: 'z'.repeat(16) };
    const { code, stderr } = await postern(['status', '-c', admin.configFile], { env });
    expect(code).toBe(1);
    expect(stderr).toContain('SIGHUP');
  });

  test('is no Postern', async () => {
    const folder = temporaryFolder();
    const server = createServer((_, response) => response.end('<html>hello</html>'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      const file = join(folder, 'a.yaml');
      writeFileSync(file, configText(port, folder));
      const env = { POSTERN_ADMIN_TOKEN: 'z'.repeat(16) };
      const { code, stderr } = await postern(['status', '-c', file], { env });
      expect(code).toBe(1);
      expect(stderr).toContain(`what answers on 127.0.0.1:${port} is no Postern (HTTP 200)`);
    } finally {
      server.close();
    }
  });

  test('listens on a port that cannot be known', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'a.yaml');
    writeFileSync(file, configText(0, folder));
    const { code, stderr } = await postern(['status', '-c', file]);
    expect(code).toBe(2);
    expect(stderr).toContain('admin.port');
  });
});
