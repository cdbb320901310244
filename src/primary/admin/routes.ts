/**
 * The admin HTTP as a table: method, path, what of a request it takes, whether it needs the token, and what it asks
 * the backend. Knows no sockets; server.ts calls it. deploy/openapi.yaml describes the same rows, and a test compares
 * the two.
 */
import { isQueueId } from '../../base/ids.js';
import { expositionContentType } from '../../metrics/exposition.js';
import type { AdminBackend } from '../admin-backend.js';
import { failure, json, text, type Answer } from './answer.js';
import { routeNamePattern, selectionParameters } from './parameters.js';
import * as queue from './queue-routes.js';

export interface Call {
  readonly backend: AdminBackend;
  /** backend.metrics(), one at a time however many ask. */
  metrics(): Promise<string>;
  /** The value of `{id}` or `{route}` in the path, well-formed; '' where the path has neither. */
  readonly name: string;
  readonly query: URLSearchParams;
  /** Empty where the route takes none. */
  readonly body: Buffer;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  /** Names of its query parameters; no others are accepted. */
  readonly query: readonly string[];
  readonly body: 'none' | 'application/json' | 'application/octet-stream';
  readonly maxBodyBytes: number;
  /** For anybody who can reach the port; else the token is needed. */
  readonly open: boolean;
  /** Logged at info: it changes something. */
  readonly changes: boolean;
  /** @throws ParameterError */
  handle(call: Call): Promise<Answer> | Answer;
}

// Room for a client that sends an empty JSON object all the same.
const noBodyBytes = 4_096;
const mebibyte = 1_048_576;
// The envelope of a message with 100 000 recipients (limits.recipients at most), as JSON.
const envelopeBytes = 32 * mebibyte;

type Row = Pick<Route, 'method' | 'path' | 'handle'> & Partial<Route>;

function row(given: Row): Route {
  const maxBodyBytes = given.body === undefined ? noBodyBytes : mebibyte;
  return {
    query: [], body: 'none', maxBodyBytes, open: false, changes: given.method !== 'GET', ...given,
  }; // prettier-ignore
}

async function reload({ backend }: Call): Promise<Answer> {
  const answer = await backend.reload();
  if (answer.ok) return json(200, answer);
  return failure(409, answer.code, answer.message, { keys: answer.keys });
}

function ready({ backend }: Call): Answer {
  const readiness = backend.ready();
  return readiness.ok ? text(200, 'ready') : text(503, readiness.reasons.join('\n'));
}

function stop({ backend }: Call): Answer {
  backend.stop();
  return json(202, { state: 'draining' });
}

async function metrics(call: Call): Promise<Answer> {
  return { status: 200, contentType: expositionContentType, body: await call.metrics() };
}

// prettier-ignore
export const routes: readonly Route[] = [
  row({ method: 'GET', path: '/metrics', open: true, handle: metrics }),
  row({ method: 'GET', path: '/livez', open: true, handle: () => text(200, 'alive') }),
  row({ method: 'GET', path: '/readyz', open: true, handle: ready }),
  row({ method: 'GET', path: '/api/v1/status', handle: async ({ backend }) => json(200, await backend.status()) }),
  row({ method: 'POST', path: '/api/v1/reload', handle: reload }),
  row({ method: 'POST', path: '/api/v1/stop', handle: stop }),

  row({ method: 'GET', path: '/api/v1/queue', query: [...selectionParameters, 'offset', 'limit'], handle: queue.listQueue }),
  row({ method: 'GET', path: '/api/v1/queue/ids', query: [...selectionParameters, 'after', 'limit'], handle: queue.listIds }),
  row({ method: 'GET', path: '/api/v1/queue/stats', handle: queue.queueStats }),
  row({ method: 'GET', path: '/api/v1/queue/shape', handle: queue.queueShape }),
  row({ method: 'POST', path: '/api/v1/queue/survey', body: 'application/json', changes: false, handle: queue.surveyQueue }),
  row({ method: 'POST', path: '/api/v1/queue/change', body: 'application/json', handle: queue.changeMany }),
  row({ method: 'POST', path: '/api/v1/queue/salvage', body: 'application/json', handle: queue.salvage }),

  row({ method: 'GET', path: '/api/v1/queue/{id}', handle: queue.showMessage }),
  row({ method: 'DELETE', path: '/api/v1/queue/{id}', handle: queue.changeOne('delete') }),
  row({ method: 'POST', path: '/api/v1/queue/{id}/hold', handle: queue.changeOne('hold') }),
  row({ method: 'POST', path: '/api/v1/queue/{id}/release', handle: queue.changeOne('release') }),
  row({ method: 'POST', path: '/api/v1/queue/{id}/retry', handle: queue.changeOne('retry') }),
  row({ method: 'GET', path: '/api/v1/queue/{id}/envelope', handle: queue.readEnvelope }),
  row({ method: 'GET', path: '/api/v1/queue/{id}/message', query: ['offset', 'limit'], handle: queue.readMessage }),

  // Of an import one line is logged, when it is stored.
  row({ method: 'POST', path: '/api/v1/queue/import/{id}', changes: false, handle: queue.beginImport }),
  row({ method: 'DELETE', path: '/api/v1/queue/import/{id}', changes: false, handle: queue.dropImport }),
  row({ method: 'POST', path: '/api/v1/queue/import/{id}/data', query: ['offset'], body: 'application/octet-stream', changes: false, handle: queue.writeImport }),
  row({ method: 'POST', path: '/api/v1/queue/import/{id}/commit', body: 'application/json', maxBodyBytes: envelopeBytes, handle: queue.commitImport }),

  row({ method: 'GET', path: '/api/v1/routes', handle: queue.listRoutes }),
  row({ method: 'POST', path: '/api/v1/routes/{route}/freeze', handle: queue.setFrozen(true) }),
  row({ method: 'POST', path: '/api/v1/routes/{route}/thaw', handle: queue.setFrozen(false) }),
];

export type Match =
  | { readonly kind: 'route'; readonly route: Route; readonly name: string }
  | { readonly kind: 'other-method'; readonly allow: string }
  | { readonly kind: 'none' };

/** HEAD is GET without the body (RFC 9110 §9.3.2). */
export function matchRoute(method: string, path: string): Match {
  const allowed: string[] = [];
  for (const route of routes) {
    const name = nameIn(path, route.path);
    if (name === undefined) continue;
    if (route.method === (method === 'HEAD' ? 'GET' : method)) return { kind: 'route', route, name };
    allowed.push(...(route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]));
  }
  return allowed.length === 0 ? { kind: 'none' } : { kind: 'other-method', allow: allowed.join(', ') };
}

const holes: Readonly<Record<string, (name: string) => boolean>> = {
  '{id}': isQueueId,
  '{route}': (name) => routeNamePattern.test(name),
};

/** What stands at the hole of a path that fits the pattern, '' where it has none, undefined where it does not fit. */
function nameIn(path: string, pattern: string): string | undefined {
  const hole = Object.keys(holes).find((known) => pattern.includes(known));
  if (hole === undefined) return path === pattern ? '' : undefined;
  const [before = '', after = ''] = pattern.split(hole);
  if (!path.startsWith(before) || !path.endsWith(after)) return undefined;
  const name = path.slice(before.length, path.length - after.length);
  return holes[hole]?.(name) === true ? name : undefined;
}
