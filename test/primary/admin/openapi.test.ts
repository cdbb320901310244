import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';

import { routes } from '../../../src/primary/admin/routes.js';
import { root } from '../../support/postern.js';
import { detail, knownId, unknownId } from './fake-backend.js';
import { call, startHarness, type Harness } from './harness.js';

const anything = z.record(z.string(), z.unknown());
const media = z.record(z.string(), z.object({ schema: anything }));
const operation = z.object({
  operationId: z.string(),
  summary: z.string(),
  security: z.array(z.unknown()).optional(),
  responses: z.record(z.string(), z.object({ description: z.string(), content: media })),
});
const pathItem = z.object({
  parameters: z.array(z.unknown()).optional(),
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

  it('has one operation id each', () => {
    const ids = routes.map((route) => operationOf(route.method, route.path).operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

interface Case {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly query?: string;
  readonly id?: string;
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly prepare?: (harness: Harness) => void;
}

const notNow = (harness: Harness): void => {
  harness.backend.queueAnswer = { ok: false, code: 'SPOOL_CLOSED', message: 'closing' };
};

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
]; // prettier-ignore

describe('what the server answers is what the file says', () => {
  it.each(cases)('$method $path $status', async ({ method, path, query = '', id = knownId, status, headers, prepare }) => {
    const harness = await startHarness();
    prepare?.(harness);
    const answer = await call(harness, method, path.replace('{id}', id) + query, headers);
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
