import { once } from 'node:events';
import { createServer } from 'node:net';

import { pino } from 'pino';
import { describe, expect, it } from 'vitest';

import type { QueueAnswer } from '../../../src/base/messages.js';
import { startAdmin } from '../../../src/primary/admin/server.js';
import {
  detail,
  envelope,
  FakeBackend,
  holdScrapes,
  knownId,
  message,
  stats,
  unknownId,
} from './fake-backend.js';
import {
  call,
  configWith,
  rawConnection,
  readToEnd,
  startHarness,
  temporaryDataDir,
  token,
  type Answered,
  type Harness,
} from './harness.js';

function post(harness: Harness, path: string, body: unknown): Promise<Answered> {
  return call(harness, 'POST', path, { 'content-type': 'application/json' }, JSON.stringify(body));
}

function countBytes(chunk: unknown): number {
  return Buffer.isBuffer(chunk) ? chunk.length : 0;
}

describe('what is open to anybody', () => {
  it('/metrics is the text of the merged exposition', async () => {
    const harness = await startHarness();
    const answer = await call(harness, 'GET', '/metrics', { authorization: '' });
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.text).toBe('postern_scrapes 1\n');
  });

  it('/livez answers however the service feels', async () => {
    const harness = await startHarness();
    harness.backend.readiness = { ok: false, reasons: ['draining'] };
    expect(await call(harness, 'GET', '/livez', { authorization: '' })).toMatchObject({ status: 200 });
  });

  it('/readyz is 200, or 503 with one reason a line', async () => {
    const harness = await startHarness();
    expect(await call(harness, 'GET', '/readyz', { authorization: '' })).toMatchObject({ status: 200, text: 'ready\n' });
    harness.backend.readiness = { ok: false, reasons: ['no worker is ready', 'the disk is full'] };
    expect(await call(harness, 'GET', '/readyz', { authorization: '' })).toMatchObject({
      status: 503,
      text: 'no worker is ready\nthe disk is full\n',
    });
  }); // prettier-ignore

  it('HEAD has the head of GET and no body', async () => {
    const harness = await startHarness();
    const answer = await call(harness, 'HEAD', '/readyz');
    expect(answer).toMatchObject({ status: 200, text: '' });
    expect(answer.headers['content-length']).toBe('6');
  });

  it('many scrapes at once share two merges: the one under way and the one after it', async () => {
    const harness = await startHarness();
    const finish = holdScrapes(harness.backend);
    const first = call(harness, 'GET', '/metrics');
    await expect.poll(() => harness.backend.scrapes).toBe(1);
    const others = Array.from({ length: 20 }, () => call(harness, 'GET', '/metrics'));
    await call(harness, 'GET', '/livez');
    finish('one\n');
    expect((await first).text).toBe('one\n');
    await expect.poll(() => harness.backend.scrapes).toBe(2);
    finish('two\n');
    for (const answer of await Promise.all(others)) expect(answer.text).toMatch(/^(one|two)\n$/);
    expect(harness.backend.scrapes).toBe(2);
  });
});

describe('the API', () => {
  it('GET /api/v1/status', async () => {
    const harness = await startHarness();
    const answer = await call(harness, 'GET', '/api/v1/status');
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ version: '0.1.0', state: 'ready', queue: stats });
  });

  it('POST /api/v1/reload is 200, or 409 with the keys that need a restart', async () => {
    const harness = await startHarness();
    expect(await call(harness, 'POST', '/api/v1/reload')).toMatchObject({
      status: 200,
      json: { ok: true, changed: ['limits.recipients'], workers: 2 },
    });
    harness.backend.reloadAnswer = { ok: false, code: 'RELOAD_REFUSED', message: 'restart', keys: ['dataDir'] };
    expect(await call(harness, 'POST', '/api/v1/reload')).toMatchObject({
      status: 409,
      json: { error: { code: 'RELOAD_REFUSED', message: 'restart', keys: ['dataDir'] } },
    });
  }); // prettier-ignore

  it('POST /api/v1/stop begins the drain and answers at once', async () => {
    const harness = await startHarness();
    expect(await call(harness, 'POST', '/api/v1/stop')).toMatchObject({ status: 202, json: { state: 'draining' } });
    expect(harness.backend.stops).toBe(1);
    expect(harness.logged).toContainEqual(
      expect.objectContaining({ event: 'admin.call', call: 'POST /api/v1/stop', status: 202 }),
    );
  }); // prettier-ignore

  it.each([
    { query: '', asked: { method: 'list', filter: {}, offset: 0, limit: 100 } },
    { query: '?state=parked', asked: { method: 'list', filter: { state: 'parked' }, offset: 0, limit: 100 } },
    { query: '?offset=7&limit=1000', asked: { method: 'list', filter: {}, offset: 7, limit: 1000 } },
    {
      query:
        '?route=office&domain=Example.ORG&sender=%3C%3E&recipient=%40x.test&olderThanMs=5&youngerThanMs=9&error=4.7.1%20x',
      asked: {
        method: 'list',
        filter: {
          route: 'office', domain: 'example.org', sender: '<>', recipient: '@x.test', olderThanMs: 5, youngerThanMs: 9,
          error: '4.7.1 x',
        }, // prettier-ignore
        offset: 0,
        limit: 100,
      },
    },
  ])('GET /api/v1/queue$query asks for one page', async ({ query, asked }) => {
    const harness = await startHarness();
    expect(await call(harness, 'GET', `/api/v1/queue${query}`)).toMatchObject({
      status: 200,
      json: { total: 1, messages: [{ id: knownId }] },
    });
    expect(harness.backend.calls).toEqual([asked]);
  });

  it.each([
    'state=lost',
    'offset=-1',
    'offset=x',
    'limit=1001',
    'limit=1e2',
    'limit=',
    'offset=99999999999',
    'domain=',
    'error=',
    'route=a%2Fb',
    'olderThanMs=4h',
    'olderThanMs=99999999999999999',
    'stat=held',
    'state=held&state=failed',
    'after=X',
  ])('GET /api/v1/queue?%s is 400 and asks nobody', async (query) => {
    const harness = await startHarness();
    expect(await call(harness, 'GET', `/api/v1/queue?${query}`)).toMatchObject({
      status: 400,
      json: { error: { code: 'BAD_REQUEST' } },
    });
    expect(harness.backend.calls).toEqual([]);
  });

  it('a parameter that is misspelt changes nothing and is named', async () => {
    const harness = await startHarness();
    const answer = await call(harness, 'GET', '/api/v1/queue/ids?stat=held');
    expect(answer).toMatchObject({ status: 400, json: { error: { code: 'BAD_REQUEST' } } });
    expect(answer.text).toContain('there is no parameter stat; there are state, route');
    expect((await call(harness, 'DELETE', `/api/v1/queue/${knownId}?dry=1`)).status).toBe(400);
    expect(harness.backend.calls).toEqual([]);
    expect((await call(harness, 'GET', '/livez?probe=1')).status).toBe(200);
  });

  it('GET /api/v1/queue/ids asks for a page behind an id', async () => {
    const harness = await startHarness();
    const answer = await call(harness, 'GET', `/api/v1/queue/ids?state=held&after=${knownId}&limit=10`);
    expect(answer).toMatchObject({ status: 200, json: { ids: [knownId], total: 1, complete: true } });
    expect(harness.backend.calls).toEqual([
      { method: 'select', filter: { state: 'held' }, after: knownId, limit: 10 },
    ]);
  });

  it.each(['/api/v1/queue', '/api/v1/queue/ids'])('%s of a route that is unknown and has no mail names the routes', async (path) => {
    const harness = await startHarness();
    const { backend } = harness;
    const valueOf = (total: number, complete: boolean): QueueAnswer =>
      ({ ok: true, value: path.endsWith('ids') ? { ids: [], total, complete } : { total, messages: [], complete } });
    backend.queueAnswer = valueOf(0, true);
    const [known = { name: '' }] = backend.routes();
    const answer = await call(harness, 'GET', `${path}?route=nosuch`);
    expect(answer).toMatchObject({ status: 404, json: { error: { code: 'NOT_FOUND' } } });
    expect(answer.text).toContain('there is no route \\"nosuch\\"; the routes: ');
    expect(answer.text).toContain(known.name);
    expect((await call(harness, 'GET', `${path}?route=${known.name}`)).status).toBe(200);
    // Left behind by a route that is gone, or not known yet.
    backend.queueAnswer = valueOf(2, true);
    expect((await call(harness, 'GET', `${path}?route=nosuch`)).status).toBe(200);
    backend.queueAnswer = valueOf(0, false);
    expect((await call(harness, 'GET', `${path}?route=nosuch`)).status).toBe(200);
  }); // prettier-ignore

  it('POST /api/v1/queue/change does it to many and says to how many', async () => {
    const harness = await startHarness();
    const answer = await post(harness, '/api/v1/queue/change', { change: 'hold', ids: [knownId, unknownId] });
    expect(answer).toMatchObject({ status: 200, json: { change: 'hold', asked: 2, done: 1 } });
    expect(harness.backend.calls).toEqual([{ method: 'change', change: 'hold', ids: [knownId, unknownId] }]);
    expect(harness.logged).toContainEqual(
      expect.objectContaining({ event: 'admin.call', call: 'POST /api/v1/queue/change', change: 'hold', asked: 2, done: 1 }),
    );
  }); // prettier-ignore

  it.each([
    { why: 'no JSON', body: '{' },
    { why: 'nothing', body: '' },
    { why: 'JSON that is not UTF-8', body: Buffer.from('{"ids":["\xff"]}', 'latin1') },
    { why: 'a list', body: '[]' },
    { why: 'no ids', body: '{"change":"hold"}' },
    { why: 'a change that is none', body: '{"change":"burn","ids":[]}' },
    { why: 'an id that is none', body: '{"change":"hold","ids":["../x"]}' },
    { why: 'more than was asked for', body: '{"change":"hold","ids":[],"all":true}' },
    { why: 'more ids than one call takes', body: JSON.stringify({ change: 'hold', ids: Array(10_001).fill(knownId) }) },
    { why: 'nesting without end', body: '['.repeat(500_000) },
    { why: 'a prototype', body: '{"__proto__":{"ids":[]},"change":"hold"}' },
  ])('a body with $why is 400 and asks nobody', async ({ body }) => {
    const harness = await startHarness();
    const answer = await call(harness, 'POST', '/api/v1/queue/change', { 'content-type': 'application/json' }, body);
    expect(answer).toMatchObject({ status: 400, json: { error: { code: 'BAD_REQUEST' } } });
    expect(harness.backend.calls).toEqual([]);
  }); // prettier-ignore

  it('a body of another type is 415: a form of a page cannot send JSON', async () => {
    const harness = await startHarness();
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', '']) {
      const headers = type === '' ? {} : { 'content-type': type };
      const answer = await call(harness, 'POST', '/api/v1/queue/survey', headers, '{"ids":[]}');
      expect(answer).toMatchObject({ status: 415, json: { error: { code: 'BODY_TYPE' } } });
    }
    const charset = { 'content-type': 'Application/JSON; charset=utf-8' };
    expect((await call(harness, 'POST', '/api/v1/queue/survey', charset, '{"ids":[]}')).status).toBe(200);
  });

  it('the message is given as it is stored, piece by piece', async () => {
    const harness = await startHarness();
    const whole = await call(harness, 'GET', `/api/v1/queue/${knownId}/message`);
    expect(whole).toMatchObject({ status: 200, bytes: message });
    expect(whole.headers['content-type']).toBe('application/octet-stream');
    const part = await call(harness, 'GET', `/api/v1/queue/${knownId}/message?offset=3&limit=5`);
    expect(part.bytes).toEqual(message.subarray(3, 8));
    expect((await call(harness, 'GET', `/api/v1/queue/${knownId}/message?offset=999`)).bytes).toHaveLength(0);
    expect((await call(harness, 'GET', `/api/v1/queue/${knownId}/message?limit=524289`)).status).toBe(400);
    expect((await call(harness, 'GET', `/api/v1/queue/${knownId}/envelope`)).json).toEqual({
      id: knownId,
      bytes: message.length,
      envelope,
    });
  });

  it('an import is begun, written, committed or dropped', async () => {
    const harness = await startHarness();
    const path = `/api/v1/queue/import/${unknownId}`;
    expect(await call(harness, 'POST', path)).toMatchObject({ status: 201, json: { state: 'begun' } });
    const octets = { 'content-type': 'application/octet-stream' };
    const data = Buffer.from([0, 255, 13, 10]);
    const written = await call(harness, 'POST', `${path}/data?offset=7`, octets, data);
    expect(written).toMatchObject({ status: 200, json: { id: unknownId, bytes: 11 } });
    const committed = await post(harness, `${path}/commit`, { bytes: 11, envelope });
    expect(committed).toMatchObject({ status: 200, json: { state: 'stored' } });
    expect(await call(harness, 'DELETE', path)).toMatchObject({ status: 200, json: { state: 'dropped' } });
    expect(harness.backend.calls).toEqual([
      { method: 'import-begin', id: unknownId },
      { method: 'import-write', id: unknownId, offset: 7, data: 'AP8NCg==' },
      { method: 'import-commit', id: unknownId, bytes: 11, envelope },
      { method: 'import-drop', id: unknownId },
    ]);
    expect(harness.logged.filter(({ event }) => event === 'admin.call')).toHaveLength(1);
  });

  it.each([
    { path: 'data', query: '', status: 400, why: 'no offset' },
    { path: 'data', query: '?offset=-1', status: 400, why: 'no number' },
    { path: 'data', query: '?offset=0', bytes: 524_289, status: 400, why: 'more than a piece' },
    { path: 'data', query: '?offset=0', bytes: 1_048_577, status: 413, why: 'more than any body' },
  ])('a piece of an import with $why is $status', async ({ path, query, bytes = 10, status }) => {
    const harness = await startHarness();
    const octets = { 'content-type': 'application/octet-stream' };
    const target = `/api/v1/queue/import/${unknownId}/${path}${query}`;
    expect((await call(harness, 'POST', target, octets, Buffer.alloc(bytes))).status).toBe(status);
    expect(harness.backend.calls).toEqual([]);
  });

  it('an import of what is there already is 409', async () => {
    const harness = await startHarness();
    expect(await call(harness, 'POST', `/api/v1/queue/import/${knownId}`)).toMatchObject({
      status: 409,
      json: { error: { code: 'EXISTS' } },
    });
  });

  it('routes are listed, frozen and thawed by name', async () => {
    const harness = await startHarness();
    expect((await call(harness, 'GET', '/api/v1/routes')).json).toEqual({
      routes: [
        { name: 'disk', frozen: false },
        { name: 'office', frozen: true },
      ],
    });
    expect(await call(harness, 'POST', '/api/v1/routes/disk/freeze')).toMatchObject({ status: 200, json: { route: 'disk', frozen: true } });
    expect(await call(harness, 'POST', '/api/v1/routes/office/thaw')).toMatchObject({ status: 200, json: { route: 'office', frozen: false } });
    expect(await call(harness, 'POST', '/api/v1/routes/nowhere/freeze')).toMatchObject({ status: 404, json: { error: { code: 'NOT_FOUND' } } });
    expect((await call(harness, 'POST', '/api/v1/routes/a%2Fb/freeze')).status).toBe(404);
    expect(harness.backend.frozen).toEqual([['disk', true], ['office', false]]);
    expect(harness.logged).toContainEqual(expect.objectContaining({ event: 'admin.call', route: 'disk', status: 200 }));
  }); // prettier-ignore

  it('GET /api/v1/queue/stats is not a message called stats', async () => {
    const harness = await startHarness();
    expect((await call(harness, 'GET', '/api/v1/queue/stats')).json).toEqual(stats);
    expect(harness.backend.calls).toEqual([{ method: 'stats' }]);
  });

  it('GET /api/v1/queue/ID is the message with its header', async () => {
    const harness = await startHarness();
    expect((await call(harness, 'GET', `/api/v1/queue/${knownId}`)).json).toEqual(detail);
  });

  it.each([
    ['POST', 'hold', `/api/v1/queue/${knownId}/hold`],
    ['POST', 'release', `/api/v1/queue/${knownId}/release`],
    ['POST', 'retry', `/api/v1/queue/${knownId}/retry`],
    ['DELETE', 'delete', `/api/v1/queue/${knownId}`],
  ])('%s … %s does it and says so', async (method, done, path) => {
    const harness = await startHarness();
    expect(await call(harness, method, path)).toMatchObject({ status: 200, json: { id: knownId, done } });
    expect(harness.backend.calls).toEqual([{ method: done, id: knownId }]);
    expect(harness.logged).toContainEqual(expect.objectContaining({ event: 'admin.call', qid: knownId, status: 200 }));
  }); // prettier-ignore

  it.each([
    { code: 'NOT_FOUND', status: 404 },
    { code: 'SPOOL_CLOSED', status: 503 },
    { code: 'SPOOL_CORRUPT', status: 409 },
    { code: 'LEASED', status: 409 },
  ])('a worker that answers $code becomes $status', async ({ code, status }) => {
    const harness = await startHarness();
    harness.backend.queueAnswer = { ok: false, code, message: 'because' };
    expect(await call(harness, 'POST', `/api/v1/queue/${knownId}/hold`)).toMatchObject({
      status,
      json: { error: { code, message: 'because' } },
    });
  });

  it('an id that nobody holds is 404', async () => {
    const harness = await startHarness();
    expect(await call(harness, 'DELETE', `/api/v1/queue/${unknownId}`)).toMatchObject({
      status: 404,
      json: { error: { code: 'NOT_FOUND' } },
    });
  });

  it('a backend that fails is 500 for the caller and the reason for the log', async () => {
    const harness = await startHarness();
    harness.backend.onStatus = () => Promise.reject(new Error('the secret reason'));
    const answer = await call(harness, 'GET', '/api/v1/status');
    expect(answer).toMatchObject({ status: 500, json: { error: { code: 'INTERNAL' } } });
    expect(answer.text).not.toContain('secret');
    expect(harness.logged).toContainEqual(expect.objectContaining({ event: 'admin.failed', msg: 'the secret reason' }));
    expect((await call(harness, 'GET', '/livez')).status).toBe(200);
  }); // prettier-ignore
});

describe('what is not there', () => {
  it.each(['/', '/metrics/', '/api/v1/queue/', '/api/v1/queue/short', `/api/v1/queue/${knownId}/burn`, '/api/v2/status',
    `/api/v1/queue/${knownId}%2Fhold`, '/api/v1/queue/../status', '//livez'])('GET %s is 404', async (path) => {
    const harness = await startHarness();
    expect(await call(harness, 'GET', path)).toMatchObject({ status: 404, json: { error: { code: 'NOT_FOUND' } } });
    expect(harness.backend.calls).toEqual([]);
  }); // prettier-ignore

  it.each([
    ['POST', '/metrics', 'GET, HEAD'],
    ['GET', '/api/v1/reload', 'POST'],
    ['PUT', `/api/v1/queue/${knownId}`, 'GET, HEAD, DELETE'],
    ['GET', `/api/v1/queue/${knownId}/hold`, 'POST'],
    ['TRACE', '/api/v1/status', 'GET, HEAD'],
  ])('%s %s is 405 and says what is allowed', async (method, path, allow) => {
    const harness = await startHarness();
    const answer = await call(harness, method, path);
    expect(answer).toMatchObject({ status: 405, json: { error: { code: 'METHOD_NOT_ALLOWED' } } });
    expect(answer.headers['allow']).toBe(allow);
  });

  it('a target that is no path is 400', async () => {
    const harness = await startHarness();
    const socket = await rawConnection(harness);
    socket.write('OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    expect(await readToEnd(socket)).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('an absolute target is a path, and its authority counts instead of Host', async () => {
    const harness = await startHarness();
    for (const [target, status] of [['http://localhost/livez', 200], ['http://evil.example/livez', 403]]) {
      const socket = await rawConnection(harness);
      socket.write(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
      expect(await readToEnd(socket)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    }
  }); // prettier-ignore
});

describe('who may call', () => {
  it.each([
    ['no header', {}],
    ['an empty header', { authorization: '' }],
    ['another token', { authorization: 'Bearer test-token-0123456780' }],
    ['a prefix of the token', { authorization: `Bearer ${token.slice(0, -1)}` }],
    ['the token with something behind it', { authorization: `Bearer ${token} x` }],
    ['another scheme', { authorization: `Basic ${token}` }],
  ])('%s is 401 with a challenge', async (_why, headers) => {
    const harness = await startHarness();
    const answer = await call(harness, 'POST', '/api/v1/stop', { authorization: '', ...headers });
    expect(answer).toMatchObject({ status: 401, json: { error: { code: 'UNAUTHORIZED' } } });
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer /);
    expect(harness.backend.stops).toBe(0);
  });

  it('without the token even a path that does not exist is 401', async () => {
    const harness = await startHarness();
    expect((await call(harness, 'GET', '/api/v1/nothing', { authorization: '' })).status).toBe(401);
    expect((await call(harness, 'PATCH', '/api/v1/status', { authorization: '' })).status).toBe(401);
  });

  it('the scheme is case-insensitive', async () => {
    const harness = await startHarness();
    expect((await call(harness, 'GET', '/api/v1/status', { authorization: `bearer ${token}` })).status).toBe(200);
  }); // prettier-ignore

  it.each(['evil.example', 'evil.example:2580', '127.0.0.1.evil.example', 'mx1.example.org', '192.0.2.1', '[2001:db8::1]', 'a b'])(
    'Host %j is refused on loopback, also with the token (DNS rebinding)',
    async (host) => {
      const harness = await startHarness();
      const answer = await call(harness, 'POST', '/api/v1/stop', { host });
      expect(answer).toMatchObject({ status: 403, json: { error: { code: 'HOST_REFUSED' } } });
      expect((await call(harness, 'GET', '/metrics', { host })).status).toBe(403);
      expect(harness.backend.stops).toBe(0);
    },
  ); // prettier-ignore

  it.each(['localhost', 'LOCALHOST:2580', '127.0.0.1', '127.0.0.1:2580', '[::1]:2580', '127.0.0.53'])(
    'Host %j is one of loopback’s own',
    async (host) => {
      const harness = await startHarness();
      expect((await call(harness, 'GET', '/api/v1/status', { host })).status).toBe(200);
    },
  );

  it('no Host at all (a health check over HTTP/1.0) is no browser', async () => {
    const harness = await startHarness();
    const socket = await rawConnection(harness);
    socket.write('GET /livez HTTP/1.0\r\n\r\n');
    expect(await readToEnd(socket)).toMatch(/^HTTP\/1\.1 200 /);
  });

  it.each([
    'http://evil.example',
    'null',
    'https://localhost:2580',
    'http://localhost',
    'http://localhost:8080',
  ])('Origin %s is another site', async (origin) => {
    const harness = await startHarness();
    const answer = await call(harness, 'POST', '/api/v1/reload', { host: 'localhost:2580', origin });
    expect(answer).toMatchObject({ status: 403, json: { error: { code: 'ORIGIN_REFUSED' } } });
  });

  it('Origin of the page’s own host and port is let in', async () => {
    const harness = await startHarness();
    const headers = { host: 'localhost:2580', origin: 'http://localhost:2580' };
    expect((await call(harness, 'POST', '/api/v1/reload', headers)).status).toBe(200);
  });

  it('no answer invites another site to read it', async () => {
    const harness = await startHarness();
    const answer = await call(harness, 'GET', '/metrics');
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    expect(answer.headers).toMatchObject({
      'cross-origin-resource-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
    });
  });
});

describe('bounds', () => {
  it('a body that no call needs is 413 and the connection closes', async () => {
    const harness = await startHarness();
    const answer = await call(harness, 'POST', '/api/v1/stop', {}, 'x'.repeat(5000));
    expect(answer).toMatchObject({ status: 413, json: { error: { code: 'BODY_TOO_LARGE' } } });
    expect(answer.headers['connection']).toBe('close');
    expect(harness.backend.stops).toBe(0);
  });

  it('a body that never ends is refused when it is too large, not when it is over', async () => {
    const harness = await startHarness();
    const socket = await rawConnection(harness);
    const head = `POST /api/v1/stop HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n`;
    socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
    const chunk = `1000\r\n${'x'.repeat(0x1000)}\r\n`;
    const stream = setInterval(() => socket.write(chunk), 20);
    const text = await readToEnd(socket);
    clearInterval(stream);
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
    expect(harness.backend.stops).toBe(0);
  });

  it('a refusal without a body keeps the connection', async () => {
    const harness = await startHarness();
    const socket = await rawConnection(harness);
    for (const path of ['/nothing', '/api/v1/status']) socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    expect((await readToEnd(socket)).match(/^HTTP\/1\.1 \d+/gm)).toEqual(['HTTP/1.1 404', 'HTTP/1.1 401', 'HTTP/1.1 200']);
  }); // prettier-ignore

  it('a small body is read away and the connection is used again', async () => {
    const harness = await startHarness();
    const socket = await rawConnection(harness);
    const head = `Host: localhost\r\nAuthorization: Bearer ${token}\r\n`;
    socket.write(`POST /api/v1/stop HTTP/1.1\r\n${head}Content-Length: 2\r\n\r\n{}`);
    socket.write(`GET /livez HTTP/1.1\r\n${head}Connection: close\r\n\r\n`);
    expect((await readToEnd(socket)).match(/^HTTP\/1\.1 20[02] /gm)).toHaveLength(2);
    expect(harness.backend.stops).toBe(1);
  });

  it('headers beyond 8 KiB are 431', async () => {
    const harness = await startHarness();
    const socket = await rawConnection(harness);
    socket.write(`GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(9000)}\r\n\r\n`);
    expect(await readToEnd(socket)).toMatch(/^HTTP\/1\.1 431 /);
  });

  it('a client that drips its head is cut', async () => {
    const harness = await startHarness();
    const socket = await rawConnection(harness);
    socket.write('GET /livez HTTP/1.1\r\nHo');
    const drip = setInterval(() => socket.write('s'), 200);
    const text = await readToEnd(socket);
    clearInterval(drip);
    expect(text).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('connections beyond the bound are closed, the others go on', async () => {
    const harness = await startHarness();
    const kept = await Promise.all(Array.from({ length: 100 }, () => rawConnection(harness)));
    const extra = await rawConnection(harness);
    await once(extra, 'close');
    const [first] = kept;
    first?.write('GET /livez HTTP/1.0\r\n\r\n');
    expect(first === undefined ? '' : await readToEnd(first)).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('a client that reads its answer drop by drop is cut', async () => {
    const harness = await startHarness({}, { answerTimeoutMs: 500 });
    const wholeBytes = 50_000_000;
    harness.backend.onScrape = () => Promise.resolve('x'.repeat(wholeBytes));
    const socket = await rawConnection(harness);
    const closed = once(socket, 'close');
    let readBytes = 0;
    const drip = setInterval(() => (readBytes += countBytes(socket.read(1000))), 20);
    socket.pause();
    socket.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await expect.poll(() => readBytes, { timeout: 10_000 }).toBeGreaterThan(20_000);
    clearInterval(drip);
    socket.on('data', (chunk) => (readBytes += chunk.length)).resume();
    await closed;
    expect(readBytes).toBeLessThan(wholeBytes);
  });

  it('what is not HTTP is told so and closed', async () => {
    const harness = await startHarness();
    const socket = await rawConnection(harness);
    socket.write('EHLO client.example.org\r\n\r\n');
    expect(await readToEnd(socket)).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe('start and close', () => {
  it('a port in use is LISTEN_FAILED and says what to do', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const config = configWith(await temporaryDataDir(), { port });
    const starting = startAdmin({ config, log: pino({ level: 'silent' }), backend: new FakeBackend() });
    await expect(starting).rejects.toMatchObject({ code: 'LISTEN_FAILED', message: expect.stringContaining('admin.port') });
    other.close();
  }); // prettier-ignore

  it('close lets a call under way end and takes no new one', async () => {
    const harness = await startHarness();
    const finish = holdScrapes(harness.backend);
    const scrape = call(harness, 'GET', '/metrics');
    await expect.poll(() => harness.backend.scrapes).toBe(1);
    const closed = harness.admin.close();
    await expect(call(harness, 'GET', '/livez')).rejects.toThrow(/ECONNREFUSED/);
    finish('last\n');
    expect((await scrape).text).toBe('last\n');
    await closed;
  });

  it('close cuts a call that does not end', async () => {
    const harness = await startHarness();
    harness.backend.onScrape = () => new Promise(() => {});
    const scrape = call(harness, 'GET', '/metrics');
    await expect.poll(() => harness.backend.scrapes).toBe(1);
    await Promise.all([harness.admin.close(), expect(scrape).rejects.toThrow(/socket hang up|ECONNRESET/)]);
  });
});
