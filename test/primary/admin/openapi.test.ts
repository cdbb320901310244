import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';

import { routes } from '../../../src/primary/admin/routes.js';
import { root } from '../../support/postern.js';
import { detail, envelope, knownId, unknownId } from './fake-backend.js';
import { call, startHarness, type Harness } from './harness.js';

const anything = z.record(z.string(), z.unknown());
const media = z.record(z.string(), z.object({ schema: anything }));
const parameter = z.strictObject({
  name: z.string(),
  in: z.enum(['query', 'path']),
  required: z.boolean().optional(),
  description: z.string().optional(),
  schema: anything,
});
const operation = z.strictObject({
  operationId: z.string(),
  summary: z.string(),
  description: z.string().optional(),
  security: z.array(z.unknown()).optional(),
  parameters: z.array(parameter).default([]),
  requestBody: z.strictObject({ required: z.literal(true), content: media }).optional(),
  responses: z.record(z.string(), z.object({ description: z.string(), content: media })),
});
const pathItem = z.strictObject({
  parameters: z.array(parameter).default([]),
  get: operation.optional(),
  post: operation.optional(),
  delete: operation.optional(),
});

const file: unknown = parse(readFileSync(join(root, 'deploy/openapi.yaml'), 'utf8'));
const description = z
  .looseObject({ openapi: z.literal('3.1.0'), paths: z.record(z.string(), pathItem) })
  .parse(withoutReferences(file));

/** Every `$ref` replaced by what it points to; a reference to nothing throws. */
function withoutReferences(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutReferences);
  if (typeof value !== 'object' || value === null) return value;
  const { $ref: reference, ...rest } = { $ref: undefined, ...value };
  if (typeof reference === 'string') return withoutReferences(target(reference));
  return Object.fromEntries(Object.entries(rest).map(([key, inner]) => [key, withoutReferences(inner)]));
}

function target(reference: string): unknown {
  let value = file;
  for (const step of reference.replace('#/', '').split('/')) value = anything.parse(value)[step];
  if (value === undefined) throw new Error(`${reference} points to nothing`);
  return value;
}

function operationOf(method: string, path: string): z.infer<typeof operation> {
  const found = pathItem.parse(description.paths[path] ?? {})[
    method === 'GET' ? 'get' : method === 'POST' ? 'post' : 'delete'
  ];
  if (found === undefined) throw new Error(`${method} ${path} is not described`);
  return found;
}

describe('deploy/openapi.yaml', () => {
  it('describes the paths and methods that the router has, and no others', () => {
    const described = Object.entries(description.paths).flatMap(([path, item]) =>
      Object.keys(item)
        .filter((key) => key !== 'parameters')
        .map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(described.sort()).toEqual(routes.map((route) => `${route.method} ${route.path}`).sort());
  });

  it('says of each call whether it needs the token', () => {
    for (const route of routes) {
      const { security } = operationOf(route.method, route.path);
      expect({ path: route.path, open: security?.length === 0 }).toEqual({ path: route.path, open: route.open });
    }
  }); // prettier-ignore

  it('names the query parameters that the router takes, and no others', () => {
    for (const route of routes) {
      const named = operationOf(route.method, route.path).parameters;
      const inPath = new Set(named.map((each) => each.in));
      expect({ path: route.path, query: named.map(({ name }) => name) }).toEqual({ path: route.path, query: route.query });
      expect([...inPath].filter((place) => place !== 'query')).toEqual([]);
    }
  }); // prettier-ignore

  it('declares the part of each path that varies', () => {
    for (const [path, item] of Object.entries(description.paths)) {
      const holes = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const declared = item.parameters.map((each) => ({
        name: each.name,
        in: each.in,
        required: each.required,
      }));
      expect({ path, declared }).toEqual({
        path,
        declared: holes.map((name) => ({ name, in: 'path', required: true })),
      });
    }
  });

  it('says of each call which body it takes, and that other bodies are refused', () => {
    for (const route of routes) {
      const { requestBody, responses } = operationOf(route.method, route.path);
      const types = Object.keys(requestBody?.content ?? {});
      expect({ path: route.path, types }).toEqual({ path: route.path, types: route.body === 'none' ? [] : [route.body] });
      const refusals = ['413', '415'].filter((status) => status in responses);
      expect({ path: route.path, refusals }).toEqual({ path: route.path, refusals: route.body === 'none' ? [] : ['413', '415'] });
    }
  }); // prettier-ignore

  it('says of each call under /api/ that wrong parameters and tokens are refused', () => {
    for (const route of routes.filter(({ open }) => !open)) {
      const { responses } = operationOf(route.method, route.path);
      const refusals = ['400', '401', '403'].filter((status) => status in responses);
      expect({ path: route.path, refusals }).toEqual({ path: route.path, refusals: ['400', '401', '403'] });
    }
  });

  it('has one operation id each', () => {
    const ids = routes.map((route) => operationOf(route.method, route.path).operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

/** What stands in query strings, good and bad by turns: the file and the server must agree about each. */
const samples: Readonly<Record<string, readonly string[]>> = {
  state: ['active', 'parked', 'lost', ''],
  route: ['office', 'a/b', '-x', '', 'x'.repeat(33)],
  domain: ['example.org', '', 'x'.repeat(1_025)],
  sender: ['<>', '@example.org', '', 'x'.repeat(1_025)],
  recipient: ['a@example.org', '', 'x'.repeat(1_025)],
  error: ['4.7.1', '', 'x'.repeat(513)],
  olderThanMs: ['0', '14400000', '-1', '4h', '1.5', '', '9007199254740992'],
  youngerThanMs: ['0', '90000', '-1', '4h', ''],
  offset: ['0', '7', '-1', 'x', '', '9007199254740992'],
  limit: ['0', '1000', '1001', '100001', '524289', '1e2', ''],
  after: [knownId, 'x', ''],
};

describe('a query parameter is good for the server exactly when it is by the file', () => {
  const rows = routes.flatMap((route) =>
    operationOf(route.method, route.path).parameters.map(({ name, schema }) => ({ route, name, schema })),
  );
  it.each(rows)('$route.method $route.path $name', async ({ route, name, schema }) => {
    const harness = await startHarness();
    const checked = z.fromJSONSchema(schema);
    const values = samples[name] ?? [];
    expect(values.length).toBeGreaterThan(0);
    for (const value of values) {
      const typed = schema['type'] === 'integer' && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
      const query = `?${name}=${encodeURIComponent(value)}`;
      const path = route.path.replace('{id}', knownId) + query;
      const body = route.body === 'none' ? undefined : 'x';
      const headers = body === undefined ? {} : { 'content-type': route.body };
      const { status } = await call(harness, route.method, path, headers, body);
      expect({ value, refused: status === 400 }).toEqual({
        value,
        refused: !checked.safeParse(typed).success,
      });
    }
  });
});

/** A good body for each call that takes JSON; every field is also left out, and one put in that is not known. */
const goodBodies: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  '/api/v1/queue/survey': { ids: [knownId] },
  '/api/v1/queue/change': { change: 'release', ids: [knownId, unknownId] },
  '/api/v1/queue/salvage': { file: '/data/queue/quarantine/slot-0-x-1.mdb' },
  '/api/v1/queue/import/{id}/commit': { bytes: 3, envelope },
};

describe('a body is good for the server exactly when it is by the file', () => {
  const rows = routes.filter(({ body }) => body === 'application/json');
  it.each(rows)('$method $path', async ({ method, path }) => {
    const harness = await startHarness();
    const good = goodBodies[path] ?? {};
    const schema = operationOf(method, path).requestBody?.content['application/json']?.schema ?? {};
    const bodies = [
      good,
      { ...good, more: 1 },
      ...Object.keys(good).map((field) => ({ ...good, [field]: undefined })),
      ...Object.keys(good).map((field) => ({ ...good, [field]: null })),
    ];
    const judged = bodies.map((body) => z.fromJSONSchema(schema).safeParse(JSON.parse(JSON.stringify(body))).success);
    expect(judged).toEqual(bodies.map((body) => body === good));
    for (const body of bodies) {
      const target = path.replace('{id}', unknownId);
      const headers = { 'content-type': 'application/json' };
      const { status } = await call(harness, method, target, headers, JSON.stringify(body));
      expect({ body, status }).toEqual({ body, status: body === good ? 200 : 400 });
    }
  }); // prettier-ignore
});

interface Case {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly query?: string;
  readonly id?: string;
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly prepare?: (harness: Harness) => void;
}

const notNow = (harness: Harness): void => {
  harness.backend.queueAnswer = { ok: false, code: 'SPOOL_CLOSED', message: 'closing' };
};

const refuse = (code: string) => (harness: Harness): void => {
  harness.backend.queueAnswer = { ok: false, code, message: 'because' };
}; // prettier-ignore

const json = { 'content-type': 'application/json' };
const octets = { 'content-type': 'application/octet-stream' };

const cases: Case[] = [
  { method: 'GET', path: '/metrics', status: 200 },
  { method: 'GET', path: '/metrics', status: 403, headers: { host: 'evil.example' } },
  { method: 'GET', path: '/livez', status: 200 },
  { method: 'GET', path: '/readyz', status: 200 },
  {
    method: 'GET', path: '/readyz', status: 503,
    prepare: ({ backend }) => (backend.readiness = { ok: false, reasons: ['no'] }),
  },
  { method: 'GET', path: '/api/v1/status', status: 200 },
  { method: 'GET', path: '/api/v1/status', status: 401, headers: { authorization: 'Bearer no' } },
  { method: 'POST', path: '/api/v1/reload', status: 200 },
  {
    method: 'POST', path: '/api/v1/reload', status: 409,
    prepare: ({ backend }) => (backend.reloadAnswer = { ok: false, code: 'RELOAD_REFUSED', message: 'x', keys: ['dataDir'] }),
  },
  { method: 'POST', path: '/api/v1/stop', status: 202 },
  { method: 'GET', path: '/api/v1/queue', status: 200 },
  { method: 'GET', path: '/api/v1/queue', query: '?limit=x', status: 400 },
  { method: 'GET', path: '/api/v1/queue', status: 503, prepare: notNow },
  { method: 'GET', path: '/api/v1/queue/stats', status: 200 },
  { method: 'GET', path: '/api/v1/queue/{id}', status: 200 },
  { method: 'GET', path: '/api/v1/queue/{id}', id: unknownId, status: 404 },
  { method: 'DELETE', path: '/api/v1/queue/{id}', status: 200 },
  { method: 'POST', path: '/api/v1/queue/{id}/hold', status: 200 },
  { method: 'POST', path: '/api/v1/queue/{id}/release', id: unknownId, status: 404 },
  { method: 'POST', path: '/api/v1/queue/{id}/retry', status: 503, prepare: notNow },
  {
    method: 'POST', path: '/api/v1/queue/{id}/retry', status: 409,
    prepare: ({ backend }) => (backend.queueAnswer = { ok: false, code: 'LEASED', message: 'under way' }),
  },
  { method: 'GET', path: '/api/v1/queue/ids', status: 200 },
  { method: 'GET', path: '/api/v1/queue/ids', query: '?after=x', status: 400 },
  { method: 'GET', path: '/api/v1/queue/ids', status: 503, prepare: refuse('POOL_TIMEOUT') },
  { method: 'GET', path: '/api/v1/queue/shape', status: 200 },
  { method: 'GET', path: '/api/v1/queue/shape', status: 503, prepare: notNow },
  { method: 'POST', path: '/api/v1/queue/survey', headers: json, body: `{"ids":["${knownId}"]}`, status: 200 },
  { method: 'POST', path: '/api/v1/queue/survey', headers: json, body: '{}', status: 400 },
  { method: 'POST', path: '/api/v1/queue/survey', headers: octets, body: '{"ids":[]}', status: 415 },
  { method: 'POST', path: '/api/v1/queue/survey', headers: json, body: ' '.repeat(1_048_577), status: 413 },
  { method: 'POST', path: '/api/v1/queue/change', headers: json, body: `{"change":"retry","ids":["${knownId}"]}`, status: 200 },
  { method: 'POST', path: '/api/v1/queue/change', headers: json, body: '{"change":"retry","ids":[]}', status: 409, prepare: refuse('SPOOL_CORRUPT') },
  { method: 'POST', path: '/api/v1/queue/change', headers: json, body: '{"change":"retry","ids":[]}', status: 503, prepare: notNow },
  { method: 'POST', path: '/api/v1/queue/salvage', headers: json, body: '{"file":"/a.mdb"}', status: 200 },
  { method: 'POST', path: '/api/v1/queue/salvage', headers: json, body: '{"file":"/a.mdb"}', status: 404, prepare: refuse('NOT_FOUND') },
  { method: 'POST', path: '/api/v1/queue/salvage', headers: json, body: '{"file":"/a.mdb"}', status: 409, prepare: refuse('SPOOL_FORMAT') },
  { method: 'GET', path: '/api/v1/queue/{id}/envelope', status: 200 },
  { method: 'GET', path: '/api/v1/queue/{id}/envelope', id: unknownId, status: 404 },
  { method: 'GET', path: '/api/v1/queue/{id}/message', query: '?offset=2&limit=4', status: 200 },
  { method: 'GET', path: '/api/v1/queue/{id}/message', status: 409, prepare: refuse('SPOOL_CORRUPT') },
  { method: 'POST', path: '/api/v1/queue/import/{id}', id: unknownId, status: 201 },
  { method: 'POST', path: '/api/v1/queue/import/{id}', status: 409 },
  { method: 'POST', path: '/api/v1/queue/import/{id}', id: unknownId, status: 503, prepare: refuse('POOL_FULL') },
  { method: 'DELETE', path: '/api/v1/queue/import/{id}', status: 200 },
  { method: 'DELETE', path: '/api/v1/queue/import/{id}', status: 404, prepare: refuse('NOT_FOUND') },
  { method: 'POST', path: '/api/v1/queue/import/{id}/data', query: '?offset=0', headers: octets, body: 'x', status: 200 },
  { method: 'POST', path: '/api/v1/queue/import/{id}/data', query: '?offset=0', headers: octets, body: 'x', status: 409, prepare: refuse('BAD_IMPORT') },
  { method: 'POST', path: '/api/v1/queue/import/{id}/data', query: '?offset=0', headers: octets, body: 'x', status: 404, prepare: refuse('NOT_FOUND') },
  { method: 'POST', path: '/api/v1/queue/import/{id}/commit', headers: json, body: '{"bytes":1,"envelope":{}}', status: 200 },
  { method: 'POST', path: '/api/v1/queue/import/{id}/commit', headers: json, body: '{"bytes":1}', status: 400 },
  { method: 'POST', path: '/api/v1/queue/import/{id}/commit', headers: json, body: '{"bytes":1,"envelope":{}}', status: 409, prepare: refuse('BAD_IMPORT') },
  { method: 'GET', path: '/api/v1/routes', status: 200 },
  { method: 'POST', path: '/api/v1/routes/{route}/freeze', status: 200 },
  { method: 'POST', path: '/api/v1/routes/{route}/thaw', query: '?x=1', status: 400 },
  {
    method: 'POST', path: '/api/v1/routes/{route}/thaw', status: 404,
    prepare: ({ backend }) => (backend.routes = () => []),
  },
  { method: 'POST', path: '/api/v1/stop', query: '?now', status: 400 },
]; // prettier-ignore

describe('what the server answers is what the file says', () => {
  it.each(cases)('$method $path $status', async ({ method, path, query = '', id = knownId, status, headers, body, prepare }) => {
    const harness = await startHarness();
    prepare?.(harness);
    const target = path.replace('{id}', id).replace('{route}', 'office') + query;
    const answer = await call(harness, method, target, headers, body);
    expect(answer.status).toBe(status);
    const described = operationOf(method, path).responses[String(status)];
    const type = String(answer.headers['content-type']).split(';')[0] ?? '';
    const schema = described?.content[type]?.schema;
    expect(schema, `${status} ${type} is described`).toBeDefined();
    if (type === 'application/json') z.fromJSONSchema(schema ?? {}).parse(answer.json);
  }); // prettier-ignore

  it('the check can fail: a message without its route does not fit', () => {
    const schema = operationOf('GET', '/api/v1/queue/{id}').responses['200']?.content['application/json']?.schema;
    const broken = { ...detail, recipients: [{ address: 'a@b', state: 'pending', lastReply: '' }] };
    expect(z.fromJSONSchema(schema ?? {}).safeParse(detail).success).toBe(true);
    expect(z.fromJSONSchema(schema ?? {}).safeParse(broken).success).toBe(false);
    expect(z.fromJSONSchema(schema ?? {}).safeParse({ ...detail, more: 1 }).success).toBe(false);
  }); // prettier-ignore
});
