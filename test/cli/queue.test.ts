import { describe, expect, test } from 'vitest';
import type { QueueDetail, QueueRow } from '../../src/base/messages.js';
import { fakeAdmin, postern } from './harness.js';

const deferred: QueueRow = {
  id: '1M81GXG2T3PYZNHK',
  slot: 0,
  state: 'deferred',
  bytes: 4_198,
  arrivedAt: '2026-03-01T12:00:00.000Z',
  nextAttemptAt: '2026-03-01T12:05:00.000Z',
  attempts: 2,
  from: 'alice@example.org',
  recipients: [
    { address: 'bob@example.test', route: 'office', state: 'pending', lastReply: '451 4.3.0 later' },
    { address: 'carol@example.test', route: 'office', state: 'delivered', lastReply: '' },
  ],
};
const bounce: QueueRow = {
  ...deferred,
  id: '1M81GXG2T3PYZNHM',
  state: 'failed',
  bytes: 512,
  nextAttemptAt: null,
  from: '',
  recipients: [
    {
      address: 'eve@example.test',
      route: 'office',
      state: 'failed',
      lastReply: '550 \u001b[2Jno\u202e such user',
    },
  ],
};
const detail: QueueDetail = {
  ...deferred,
  listener: 'mx',
  clientAddress: '192.0.2.7',
  clientName: 'client\u001b[1m.example.org',
  user: '',
  sessionId: 'ABC100000001',
  header: 'Received: from x\r\n\tby y\r\nSubject: \u001b]0;owned\u0007hello',
};
const page = { total: 250, messages: [deferred, bounce] };

describe('postern queue list', () => {
  test('prints columns, each recipient with its last reply below', async () => {
    const admin = await fakeAdmin({ 'GET /api/v1/queue?offset=0&limit=100': { body: page } });
    const { code, stdout } = await postern(['queue', 'list', '-c', admin.configFile], { env: { TZ: 'UTC' } });
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([
      'Queue ID          Size    Arrived              State     Next attempt         Sender',
      '1M81GXG2T3PYZNHK  4.1KiB  2026-03-01 12:00:00  deferred  2026-03-01 12:05:00  alice@example.org',
      '    bob@example.test (office, pending: 451 4.3.0 later)',
      '    carol@example.test (office, delivered)',
      '1M81GXG2T3PYZNHM  512B    2026-03-01 12:00:00  failed    -                    <>',
      '    eve@example.test (office, failed: 550 ?[2Jno? such user)',
      '',
      '2 of 250 messages; --offset 2 shows more',
    ]);
    expect(admin.requests).toEqual([
      { method: 'GET', path: '/api/v1/queue?offset=0&limit=100', authorization: `Bearer ${admin.token}` },
    ]);
  });

  test('passes filters on and prints the answer as it is with --json', async () => {
    const path = '/api/v1/queue?offset=5&limit=2&state=failed';
    const admin = await fakeAdmin({ [`GET ${path}`]: { body: page } });
    const args = ['queue', 'list', '--state', 'failed', '--offset', '5', '--limit', '2', '--json'];
    const { code, stdout } = await postern([...args, '-c', admin.configFile]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(page);
  });

  test('says when there is nothing', async () => {
    const body = { total: 0, messages: [] };
    const admin = await fakeAdmin({ 'GET /api/v1/queue?offset=0&limit=100': { body } });
    expect((await postern(['queue', 'list', '-c', admin.configFile])).stdout).toBe('The queue is empty.');
  });
});

describe('postern queue show', () => {
  test('prints envelope and header without their control characters', async () => {
    const admin = await fakeAdmin({ [`GET /api/v1/queue/${deferred.id}`]: { body: detail } });
    const { code, stdout } = await postern(['queue', 'show', deferred.id, '-c', admin.configFile]);
    expect(code).toBe(0);
    expect(stdout).toContain('client?[1m.example.org [192.0.2.7] on mx');
    expect(stdout).toContain('  Received: from x\n    by y\n  Subject: ?]0;owned?hello');
    // oxlint-disable-next-line no-control-regex
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
  });

  test('goes on after an id that is not there, and exits 1', async () => {
    const admin = await fakeAdmin({ [`GET /api/v1/queue/${deferred.id}`]: { body: detail } });
    const args = ['queue', 'show', bounce.id, deferred.id, '--json', '-c', admin.configFile];
    const { code, stdout, stderr } = await postern(args);
    expect(code).toBe(1);
    expect(stderr).toBe(`postern: ${bounce.id}: no such message`);
    expect(JSON.parse(stdout)).toEqual([detail]);
  });

  test('knows a wrong id without asking', async () => {
    const admin = await fakeAdmin({});
    const { code, stderr } = await postern(['queue', 'show', '../status', '-c', admin.configFile]);
    expect(code).toBe(2);
    expect(stderr).toContain("'../status' is no queue id");
    expect(admin.requests).toEqual([]);
  });
});

describe('postern queue hold, release, retry, delete', () => {
  test.each([
    ['hold', 'POST', '/hold', 'held'],
    ['release', 'POST', '/release', 'released'],
    ['retry', 'POST', '/retry', 'due now'],
    ['delete', 'DELETE', '', 'deleted'],
  ])('%s does so for each id', async (command, method, suffix, done) => {
    const ids = [deferred.id, bounce.id];
    const paths = ids.map((id) => `/api/v1/queue/${id}${suffix}`);
    const admin = await fakeAdmin(
      Object.fromEntries(paths.map((path) => [`${method} ${path}`, { body: { ok: true } }])),
    );
    const yes = command === 'delete' ? ['--yes'] : [];
    const { code, stdout } = await postern(['queue', command, ...ids, ...yes, '-c', admin.configFile]);
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual(ids.map((id) => `${id}: ${done}`));
    expect(admin.requests.map((request) => [request.method, request.path])).toEqual(
      paths.map((path) => [method, path]),
    );
  });

  test('delete asks for --yes where nobody can be asked, and deletes nothing', async () => {
    const admin = await fakeAdmin({});
    const { code, stderr } = await postern(['queue', 'delete', deferred.id, '-c', admin.configFile]);
    expect(code).toBe(2);
    expect(stderr).toContain('delete needs --yes');
    expect(admin.requests).toEqual([]);
  });

  test('a refusal is told for its id', async () => {
    const body = { error: { code: 'SPOOL_CLOSED', message: 'the worker is stopping' } };
    const admin = await fakeAdmin({ [`POST /api/v1/queue/${deferred.id}/hold`]: { status: 503, body } });
    const { code, stderr } = await postern(['queue', 'hold', deferred.id, '-c', admin.configFile]);
    expect(code).toBe(1);
    expect(stderr).toBe(`postern: ${deferred.id}: the worker is stopping`);
  });
});

test('postern queue stats counts by state', async () => {
  const stats = {
    messages: { active: 1, deferred: 2, held: 0, failed: 3 },
    bytes: 3 * 2 ** 20,
    oldestSeconds: 7_200,
    files: 2,
  };
  const admin = await fakeAdmin({ 'GET /api/v1/queue/stats': { body: stats } });
  const { stdout } = await postern(['queue', 'stats', '-c', admin.configFile]);
  expect(stdout.split('\n')).toEqual([
    'queue: 6 messages, 3MiB in 2 files, the oldest 2h old',
    '  active 1, deferred 2, held 0, failed 3',
  ]);
});
