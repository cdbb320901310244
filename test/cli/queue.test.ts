import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { QueueDetail, QueueRow } from '../../src/base/messages.js';
import { posternMain } from '../support/postern.js';
import { run } from '../support/program.js';
import { fakeAdmin, postern, temporaryFolder } from './harness.js';

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
  moreRecipients: 3,
};
const bounce: QueueRow = {
  ...deferred,
  moreRecipients: 0,
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
  ret: 'HDRS',
  envelopeId: 'QQ\u001b1',
  dsn: [{ address: 'carol@example.test', notify: [], originalRecipient: 'rfc822;c@x' }],
  parked: 'it ended three workers',
  attemptLog: [
    { route: 'office', at: '2026-03-01T12:00:05.000Z', hop: '192.0.2.9:25', reply: '451 4.3.0 \u001blater' },
  ],
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
      '    and 3 recipients more',
      '1M81GXG2T3PYZNHM  512B    2026-03-01 12:00:00  failed    -                    <>',
      '    eve@example.test (office, failed: 550 ?[2Jno? such user)',
      '',
      '2 of 250 messages; --offset 2 shows more',
    ]);
    expect(admin.requests).toEqual([
      { method: 'GET', path: '/api/v1/queue?offset=0&limit=100', authorization: `Bearer ${admin.token}` },
    ]);
  });

  test('says of what would be tried, were its route not frozen, that it is frozen', async () => {
    const frozen = [deferred, { ...deferred, state: 'active' }].map((row) => ({
      ...row,
      nextAttemptAt: null,
    }));
    const admin = await fakeAdmin({
      'GET /api/v1/queue?offset=0&limit=100': { body: { total: 2, messages: frozen } },
      [`GET /api/v1/queue/${deferred.id}`]: { body: { ...detail, nextAttemptAt: null } },
    });
    const { stdout } = await postern(['queue', 'list', '-c', admin.configFile]);
    expect(stdout).toMatch(/ deferred +frozen +alice@/);
    expect(stdout).toMatch(/ active +frozen +alice@/);
    const shown = await postern(['queue', 'show', deferred.id, '-c', admin.configFile]);
    expect(shown.stdout).toMatch(/next attempt +frozen$/m);
  });

  test('passes filters on and prints the answer as it is with --json', async () => {
    const filters =
      'state=failed&route=office&domain=x.test&sender=%3C%3E&recipient=%40y.test&olderThanMs=9000000&youngerThanMs=172800000&error=4.7.1';
    const path = `/api/v1/queue?${filters}&offset=5&limit=2`;
    const admin = await fakeAdmin({ [`GET ${path}`]: { body: page } });
    const named = [
      '--state',
      'failed',
      '--route',
      'office',
      '--domain',
      'x.test',
      '--sender',
      '<>',
      '--recipient',
      '@y.test',
      '--older',
      '2h30m',
      '--younger',
      '2d',
      '--error',
      '4.7.1',
    ];
    const args = ['queue', 'list', ...named, '--offset', '5', '--limit', '2', '--json'];
    const { code, stdout } = await postern([...args, '-c', admin.configFile]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(page);
  });

  test('says when there is nothing', async () => {
    const body = { total: 0, messages: [] };
    const admin = await fakeAdmin({ 'GET /api/v1/queue?offset=0&limit=100': { body } });
    expect((await postern(['queue', 'list', '-c', admin.configFile])).stdout).toBe('The queue is empty.');
  });

  test('says when a part of the queue is not in it, and when nothing fits', async () => {
    const admin = await fakeAdmin({
      'GET /api/v1/queue?offset=0&limit=100': { body: { ...page, complete: false } },
      'GET /api/v1/queue?state=held&offset=0&limit=100': { body: { total: 0, messages: [] } },
    });
    const partial = await postern(['queue', 'list', '-c', admin.configFile]);
    expect(partial.stdout.split('\n').at(-1)).toMatch(/^A part of the queue is not in this/);
    const none = await postern(['queue', 'list', '--state', 'held', '-c', admin.configFile]);
    expect(none.stdout).toBe('No message fits.');
  });

  test('--ids prints the ids of all that fit, however many pages, once the whole queue is read', async () => {
    const full = Array.from({ length: 100_000 }, (_, n) => `00000000000${String(n).padStart(5, '0')}`);
    let asked = 0;
    const first = '/api/v1/queue/ids?route=office&limit=100000';
    const admin = await fakeAdmin({
      [`GET ${first}`]: () => ({ body: { ids: full, total: 100_001, complete: ++asked > 1 } }),
      [`GET ${first}&after=${full.at(-1) ?? ''}`]: {
        body: { ids: [deferred.id], total: 100_001, complete: true },
      },
    });
    const { code, stdout } = await postern([
      'queue',
      'list',
      '--ids',
      '--route',
      'office',
      '-c',
      admin.configFile,
    ]);
    expect(code).toBe(0);
    expect(asked).toBe(2);
    const lines = stdout.split('\n');
    expect([lines.length, lines[0], lines.at(-1)]).toEqual([100_001, full[0], deferred.id]);
  });

  test.each([
    { args: ['--ids', '--limit', '5'], says: '--ids prints all' },
    { args: ['--older', '4'], says: 'expected a duration like 90s' },
    { args: ['--older', 'soon'], says: 'expected a duration like 90s' },
    { args: ['--error', ''], says: 'must not be empty' },
    { args: ['--state', 'lost'], says: 'Allowed choices are active, deferred, held, parked, failed' },
  ])('$args is wrong usage', async ({ args, says }) => {
    const admin = await fakeAdmin({});
    const { code, stderr } = await postern(['queue', 'list', ...args, '-c', admin.configFile]);
    expect({ code, says: stderr.includes(says) }).toEqual({ code: 2, says: true });
    expect(admin.requests).toEqual([]);
  });
});

describe('postern queue show', () => {
  test('prints envelope and header without their control characters', async () => {
    const admin = await fakeAdmin({ [`GET /api/v1/queue/${deferred.id}`]: { body: detail } });
    const { code, stdout } = await postern(['queue', 'show', deferred.id, '-c', admin.configFile]);
    expect(code).toBe(0);
    expect(stdout).toContain('client?[1m.example.org [192.0.2.7] on mx');
    expect(stdout).toMatch(/\n {2}parked +it ended three workers\n/);
    expect(stdout).toMatch(/\n {2}ret +HDRS\n {2}envid +QQ\?1\n/);
    expect(stdout).toContain(
      '    carol@example.test (office, delivered)\n      notify NEVER, orcpt rfc822;c@x\n',
    );
    expect(stdout).toMatch(
      /\n {2}last attempts\n {4}2026-03-01 \d\d:00:05 {2}office {2}192\.0\.2\.9:25 {2}451 4\.3\.0 \?later\n/,
    );
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

  test('--body prints the message itself, piece by piece', async () => {
    const path = `/api/v1/queue/${deferred.id}/message`;
    const admin = await fakeAdmin({
      [`GET ${path}?offset=0&limit=524288`]: { body: Buffer.from('Subject: x\r\n') },
      [`GET ${path}?offset=12&limit=524288`]: { body: Buffer.from('\r\nbody') },
      [`GET ${path}?offset=18&limit=524288`]: { body: Buffer.alloc(0) },
    });
    const { code, stdout } = await postern(['queue', 'show', deferred.id, '--body', '-c', admin.configFile]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'Subject: x\n\nbody' });
    expect(
      await postern(['queue', 'show', deferred.id, bounce.id, '--body', '-c', admin.configFile]),
    ).toMatchObject({ code: 2 });
  });

  test('knows a wrong id without asking', async () => {
    const admin = await fakeAdmin({});
    const { code, stderr } = await postern(['queue', 'show', '../status', '-c', admin.configFile]);
    expect(code).toBe(2);
    expect(stderr).toContain("'../status' is no queue id");
    expect(admin.requests).toEqual([]);
  });
});

const manyIds = Array.from({ length: 1_500 }, (_, n) => `000000000000${String(n).padStart(4, '0')}`);

describe('postern queue hold, release, retry, delete', () => {
  test.each([
    ['hold', 'POST', '/hold', 'held'],
    ['release', 'POST', '/release', 'released'],
    ['retry', 'POST', '/retry', 'due now'],
    ['delete', 'DELETE', '', 'deleted'],
  ])('%s does so for each of a few ids', async (command, method, suffix, done) => {
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

  test('a refusal is told for its id, and the others are done', async () => {
    const body = { error: { code: 'SPOOL_CLOSED', message: 'the worker is stopping' } };
    const admin = await fakeAdmin({
      [`POST /api/v1/queue/${deferred.id}/hold`]: { status: 503, body },
      [`POST /api/v1/queue/${bounce.id}/hold`]: { body: {} },
    });
    const args = ['queue', 'hold', '-', manyIds[0] ?? '', '-c', admin.configFile];
    expect(await postern(args)).toMatchObject({ code: 2 }); // - stands alone
    const answer = await postern(['queue', 'hold', deferred.id, bounce.id, manyIds[0] ?? '', '--json', '-c', admin.configFile]);
    expect(answer.code).toBe(1);
    expect(answer.stderr).toBe(`postern: ${deferred.id}: the worker is stopping\npostern: ${manyIds[0] ?? ''}: no such message`);
    expect(JSON.parse(answer.stdout)).toEqual({ change: 'hold', asked: 3, done: 1, missing: 1 });
  });

  const selected = '/api/v1/queue/ids?route=office&limit=100000';
  const survey = { found: 1_234, bytes: 5 * 2 ** 20, domains: ['a.test', 'b.test', 'c.test'] };
  const bulk = (found = survey): Parameters<typeof fakeAdmin>[0] => ({
    [`GET ${selected}`]: { body: { ids: manyIds, total: 1_500, complete: true } },
    'POST /api/v1/queue/survey': { body: found },
    'POST /api/v1/queue/change': { body: { change: 'hold', asked: 1_000, done: 600 } },
  });

  test('many are counted first, and where nobody can be asked nothing is done', async () => {
    const admin = await fakeAdmin(bulk());
    const { code, stderr } = await postern(['queue', 'hold', '--route', 'office', '-c', admin.configFile]);
    expect(code).toBe(2);
    expect(stderr).toBe(
      'postern: This would hold 1 234 messages of 3 domains (5MiB). Not in the queue: 266 ids. Nothing was done: nobody can be asked here, so it needs --yes',
    );
    expect(admin.sent.map(({ call }) => call)).toEqual(['POST /api/v1/queue/survey']);
  });

  test('--dry-run says only that, for one domain by name', async () => {
    const admin = await fakeAdmin(bulk({ found: 1_500, bytes: 9, domains: ['x.test'] }));
    const answer = await postern(['queue', 'delete', '--route', 'office', '--dry-run', '-c', admin.configFile]);
    expect(answer).toMatchObject({ code: 0, stdout: 'This would delete 1 500 messages of x.test (9B) for good.' });
    expect(admin.sent.map(({ call }) => call)).toEqual(['POST /api/v1/queue/survey']);
  });

  test('of many to release, those that were not held are told apart from those released', async () => {
    const admin = await fakeAdmin(bulk());
    const answer = await postern(['queue', 'release', '--route', 'office', '--yes', '-c', admin.configFile]);
    expect(answer).toMatchObject({ code: 0, stdout: '1 200 messages released; 300 messages not held, or gone from the queue' });
  });

  test('--yes does it in batches and counts what was gone', async () => {
    const admin = await fakeAdmin(bulk());
    const answer = await postern(['queue', 'hold', '--route', 'office', '--yes', '-c', admin.configFile]);
    expect(answer).toMatchObject({ code: 0, stdout: '1 200 messages held; 300 messages left the queue before', stderr: '' });
    expect(admin.sent.map(({ body }) => JSON.parse(body))).toEqual([
      { change: 'hold', ids: manyIds.slice(0, 1_000) },
      { change: 'hold', ids: manyIds.slice(1_000) },
    ]);
  });

  test.each([
    { what: 'ids, one a line', input: `${manyIds[0] ?? ''}\r\n\n ${manyIds[1] ?? ''}\n` },
    { what: 'a page of `queue list --json`', input: JSON.stringify({ total: 2, messages: [{ id: manyIds[0] }, { id: manyIds[1] }] }) },
    { what: 'ids of `queue list --ids --json`', input: JSON.stringify({ ids: manyIds.slice(0, 2) }) },
    { what: 'a list of rows, one of them twice', input: JSON.stringify([{ id: manyIds[0] }, { id: manyIds[1] }, { id: manyIds[0] }]) },
  ])('- takes $what from stdin', async ({ input }) => {
    const paths = manyIds.slice(0, 2).map((id) => `POST /api/v1/queue/${id}/retry`);
    const admin = await fakeAdmin(Object.fromEntries(paths.map((path) => [path, { body: {} }])));
    expect(await postern(['queue', 'retry', '-', '-c', admin.configFile], { input })).toMatchObject({ code: 0, stderr: '' });
    expect(admin.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(paths);
  });

  test.each([
    { why: 'nothing is named', args: ['hold'], input: '', says: 'which messages?' },
    { why: 'ids and filters', args: ['hold', deferred.id, '--route', 'office'], input: '', says: 'not both' },
    { why: 'all and filters', args: ['delete', '--all', '--state', 'held'], input: '', says: 'takes no filters' },
    { why: 'a line that is no id', args: ['hold', '-'], input: 'hello\n', says: "'hello' is no queue id" },
    { why: 'JSON without a list', args: ['hold', '-'], input: '{"a":1}', says: 'no list of messages' },
    { why: 'half a JSON', args: ['hold', '-'], input: '{"messages":[', says: 'neither ids nor JSON' },
    { why: 'a delete without --yes', args: ['delete', deferred.id], input: '', says: 'it needs --yes' },
  ])('$why is wrong usage and changes nothing', async ({ args, input, says }) => {
    const admin = await fakeAdmin({ 'POST /api/v1/queue/survey': { body: { found: 1, bytes: 1, domains: ['x.test'] } } });
    const { code, stderr } = await postern(['queue', ...args, '-c', admin.configFile], { input });
    expect({ code, said: stderr.includes(says) ? says : stderr }).toEqual({ code: 2, said: says });
    expect(admin.requests.filter(({ path }) => path !== '/api/v1/queue/survey')).toEqual([]);
  });

  test('nothing that fits is no failure', async () => {
    const admin = await fakeAdmin({ [`GET ${selected}`]: { body: { ids: [], total: 0, complete: true } } });
    const answer = await postern(['queue', 'delete', '--route', 'office', '-c', admin.configFile]);
    expect(answer).toMatchObject({ code: 0, stdout: 'No message fits.' });
  });
}); // prettier-ignore

test('postern queue export that the disk does not take says so in one line, and leaves nothing behind', async () => {
  const { id } = deferred;
  const admin = await fakeAdmin({
    'GET /api/v1/queue/ids?limit=100000': { body: { ids: [id], total: 1, complete: true } },
    'GET /api/v1/status': { body: { hostname: 'mx.example.test' } },
    [`GET /api/v1/queue/${id}/envelope`]: { body: { bytes: 4_096, envelope: {} } },
    [`GET /api/v1/queue/${id}/message?offset=0&limit=524288`]: { body: Buffer.alloc(4_096) },
  });
  const folder = temporaryFolder();
  const file = join(folder, 'queue.export');
  // A file of one block may not grow: what the kernel then says differs from a full disk only by its name.
  const limited = ['-c', 'ulimit -f 1; exec "$@"', 'sh', process.execPath, posternMain];
  const answer = await run('sh', [...limited, 'queue', 'export', '--to', file, '-c', admin.configFile]);
  expect(answer.code).toBe(1);
  expect(answer.stderr).toBe(
    `postern: ${file}.part cannot be written: EFBIG: file too large, write. It was removed, and the queue is as it was; name another file`,
  );
  expect(readdirSync(folder)).toEqual([]);
});

describe('postern queue freeze and thaw', () => {
  test('do so by name', async () => {
    const admin = await fakeAdmin({
      'POST /api/v1/routes/office/freeze': { body: { route: 'office', frozen: true } },
      'POST /api/v1/routes/mx/freeze': { body: { route: 'mx', frozen: true } },
      'POST /api/v1/routes/office/thaw': { body: { route: 'office', frozen: false } },
    });
    const frozen = await postern(['queue', 'freeze', 'office', 'mx', '-c', admin.configFile]);
    expect(frozen).toMatchObject({ code: 0, stdout: 'office: frozen\nmx: frozen' });
    const thawed = await postern(['queue', 'thaw', 'office', '--json', '-c', admin.configFile]);
    expect(JSON.parse(thawed.stdout)).toEqual([{ route: 'office', frozen: false }]);
    expect(await postern(['queue', 'thaw', '../stop', '-c', admin.configFile])).toMatchObject({ code: 1 });
    expect(admin.requests.at(-1)?.path).toBe('/api/v1/routes/..%2Fstop/thaw');
  });
});

test('postern queue shape prints a table as qshape does', async () => {
  const rows = [
    { domain: 'one.test', counts: [1_000, 0, 2] },
    { domain: 't\u001b.test', counts: [0, 3, 0] },
    { domain: '', counts: [1, 1, 1] },
  ];
  const admin = await fakeAdmin({ 'GET /api/v1/queue/shape': { body: { ageMinutes: [5, 10], rows } } });
  const { stdout } = await postern(['queue', 'shape', '-c', admin.configFile]);
  expect(stdout.split('\n')).toEqual([
    '             T     5  10  10+',
    '   TOTAL  1008  1001   4    3',
    'one.test  1002  1000   0    2',
    ' t?.test     3     0   3    0',
    '(others)     3     1   1    1',
  ]);
});

const report = (file: string): object => ({
  file: `${file}.salvaged`,
  salvaged: 3,
  known: 1,
  unreadable: 2,
  damagedPlaces: 1,
});

describe('postern queue salvage', () => {
  const files = ['/q/quarantine/a.mdb', '/q/quarantine/b.mdb'];

  test('without names lists what is there, and does it after a question', async () => {
    const admin = await fakeAdmin({ 'GET /api/v1/status': { body: { quarantined: files } } });
    const { code, stderr } = await postern(['queue', 'salvage', '-c', admin.configFile]);
    expect(code).toBe(2);
    expect(stderr).toBe(
      'postern: This would salvage 2 files:\n  /q/quarantine/a.mdb\n  /q/quarantine/b.mdb\nNothing was done: nobody can be asked here, so it needs --yes',
    );
    expect(admin.sent).toEqual([]);
  });

  test('by name prints the report of each', async () => {
    const admin = await fakeAdmin({
      'GET /api/v1/status': { body: { quarantined: files } },
      'POST /api/v1/queue/salvage': { body: report('/q/quarantine/b.mdb') },
    });
    const { code, stdout } = await postern(['queue', 'salvage', 'b.mdb', '-c', admin.configFile]);
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([
      'salvaged  known  unreadable  file now',
      // Nothing is left to count of what was whole in a damaged place.
      '3         1      at least 2  /q/quarantine/b.mdb.salvaged',
    ]);
    expect(admin.sent.map(({ body }) => JSON.parse(body))).toEqual([{ file: files[1] }]);
    expect(await postern(['queue', 'salvage', '/etc/passwd', '-c', admin.configFile])).toMatchObject({
      code: 2,
    });
  });

  test('one that fails does not keep the others from it', async () => {
    let asked = 0;
    const body = { error: { code: 'SPOOL_FORMAT', message: 'it is no queue file' } };
    const admin = await fakeAdmin({
      'GET /api/v1/status': { body: { quarantined: files } },
      'POST /api/v1/queue/salvage': () => (++asked === 1 ? { status: 409, body } : { body: report('b') }),
    });
    const { code, stdout, stderr } = await postern([
      'queue',
      'salvage',
      '--yes',
      '--json',
      '-c',
      admin.configFile,
    ]);
    expect(code).toBe(1);
    expect(stderr).toBe('postern: /q/quarantine/a.mdb: it is no queue file');
    expect(JSON.parse(stdout)).toEqual([report('b')]);
  });
});

test('postern queue stats counts by state', async () => {
  const stats = {
    messages: { active: 1, deferred: 2, held: 0, parked: 1, failed: 3 },
    bytes: 3 * 2 ** 20,
    oldestSeconds: 7_200,
    files: 2,
  };
  const admin = await fakeAdmin({ 'GET /api/v1/queue/stats': { body: stats } });
  const { stdout } = await postern(['queue', 'stats', '-c', admin.configFile]);
  expect(stdout.split('\n')).toEqual([
    'queue: 7 messages, 3MiB in 2 files, the oldest 2h old',
    '  active 1, deferred 2, held 0, parked 1, failed 3',
  ]);
});

describe('postern queue import', () => {
  test('of a file that cannot be read says only that', async () => {
    const admin = await fakeAdmin({});
    const { code, stderr } = await postern(['queue', 'import', '/nonexistent/queue.jsonl', '-c', admin.configFile]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/^postern: \/nonexistent\/queue\.jsonl cannot be read: ENOENT: [^.]*queue\.jsonl'$/);
  }); // prettier-ignore
});
