/**
 * The admin HTTP as a table: method, path, whether it needs the token, and what it asks the backend. Knows no sockets;
 * server.ts calls it. deploy/openapi.yaml describes the same rows, and a test compares the two.
 */
import { errorCodes } from '../../base/errors.js';
import { isQueueId } from '../../base/ids.js';
import type { QueueAnswer, QueueCall, QueueState } from '../../base/messages.js';
import { expositionContentType } from '../../metrics/exposition.js';
import type { AdminBackend } from '../admin-backend.js';

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

interface Call {
  readonly backend: AdminBackend;
  /** backend.metrics(), one at a time however many ask. */
  metrics(): Promise<string>;
  /** The value of `{id}` in the path, a well-formed queue id; '' where the path has none. */
  readonly id: string;
  readonly query: URLSearchParams;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly open: boolean;
  /** Logged at info: it changes something. */
  readonly changes: boolean;
  handle(call: Call): Promise<Answer> | Answer;
}

const queueStates: readonly QueueState[] = ['active', 'deferred', 'held', 'failed'];
const defaultListLimit = 100;
// One page of the queue is built and sent from memory, by the primary.
const maxListLimit = 1000;

function json(status: number, value: unknown): Answer {
  return { status, contentType: 'application/json; charset=utf-8', body: `${JSON.stringify(value)}\n` };
}

function text(status: number, body: string): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${body}\n` };
}

/** `code` is stable, for programs; `message` a sentence for people. `more` joins them in the error object. */
export function failure(
  status: number,
  code: string,
  message: string,
  more: Record<string, unknown> = {},
): Answer {
  return json(status, { error: { code, message, ...more } });
}

const retryableCodes = new Set(
  Object.entries(errorCodes)
    .filter(([, { retryable }]) => retryable)
    .map(([code]) => code),
);

/** What a worker refused: not there, not now, or not in this state. */
function queueFailure(answer: Extract<QueueAnswer, { ok: false }>): Answer {
  const status = answer.code === 'NOT_FOUND' ? 404 : retryableCodes.has(answer.code) ? 503 : 409;
  return failure(status, answer.code, answer.message);
}

async function askQueue(backend: AdminBackend, call: QueueCall): Promise<Answer> {
  const answer = await backend.queue(call);
  return answer.ok ? json(200, answer.value) : queueFailure(answer);
}

/** A whole number of the query, or the default; undefined when it is something else. */
function wholeNumber(given: string | null, fallback: number, max: number): number | undefined {
  if (given === null) return fallback;
  if (!/^\d{1,9}$/.test(given)) return undefined;
  const value = Number(given);
  return value <= max ? value : undefined;
}

async function listQueue({ backend, query }: Call): Promise<Answer> {
  const wanted = query.get('state');
  const state = queueStates.find((known) => known === wanted);
  if (wanted !== null && state === undefined)
    return failure(400, 'BAD_REQUEST', `state must be one of ${queueStates.join(', ')}`);
  const offset = wholeNumber(query.get('offset'), 0, 999_999_999);
  if (offset === undefined) return failure(400, 'BAD_REQUEST', 'offset must be a whole number');
  const limit = wholeNumber(query.get('limit'), defaultListLimit, maxListLimit);
  if (limit === undefined)
    return failure(400, 'BAD_REQUEST', `limit must be a whole number, at most ${maxListLimit}`);
  return askQueue(backend, { method: 'list', filter: state === undefined ? {} : { state }, offset, limit });
}

function change(method: 'hold' | 'release' | 'retry' | 'delete'): Route['handle'] {
  return async ({ backend, id }) => {
    const answer = await backend.queue({ method, id });
    return answer.ok ? json(200, { id, done: method }) : queueFailure(answer);
  };
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

/** Literal paths before those with `{id}`. */
export const routes: readonly Route[] = [
  {
    method: 'GET', path: '/metrics', open: true, changes: false,
    handle: async (call) => ({ status: 200, contentType: expositionContentType, body: await call.metrics() }),
  },
  { method: 'GET', path: '/livez', open: true, changes: false, handle: () => text(200, 'alive') },
  { method: 'GET', path: '/readyz', open: true, changes: false, handle: ready },
  {
    method: 'GET', path: '/api/v1/status', open: false, changes: false,
    handle: async ({ backend }) => json(200, await backend.status()),
  },
  { method: 'POST', path: '/api/v1/reload', open: false, changes: true, handle: reload },
  {
    method: 'POST', path: '/api/v1/stop', open: false, changes: true,
    handle: ({ backend }) => {
      backend.stop();
      return json(202, { state: 'draining' });
    },
  },
  { method: 'GET', path: '/api/v1/queue', open: false, changes: false, handle: listQueue },
  {
    method: 'GET', path: '/api/v1/queue/stats', open: false, changes: false,
    handle: ({ backend }) => askQueue(backend, { method: 'stats' }),
  },
  {
    method: 'GET', path: '/api/v1/queue/{id}', open: false, changes: false,
    handle: ({ backend, id }) => askQueue(backend, { method: 'show', id }),
  },
  { method: 'DELETE', path: '/api/v1/queue/{id}', open: false, changes: true, handle: change('delete') },
  { method: 'POST', path: '/api/v1/queue/{id}/hold', open: false, changes: true, handle: change('hold') },
  { method: 'POST', path: '/api/v1/queue/{id}/release', open: false, changes: true, handle: change('release') },
  { method: 'POST', path: '/api/v1/queue/{id}/retry', open: false, changes: true, handle: change('retry') },
]; // prettier-ignore

export type Match =
  | { readonly kind: 'route'; readonly route: Route; readonly id: string }
  | { readonly kind: 'other-method'; readonly allow: string }
  | { readonly kind: 'none' };

/** HEAD is GET without the body (RFC 9110 §9.3.2). */
export function matchRoute(method: string, path: string): Match {
  const allowed: string[] = [];
  for (const route of routes) {
    const id = idIn(path, route.path);
    if (id === undefined) continue;
    if (route.method === (method === 'HEAD' ? 'GET' : method)) return { kind: 'route', route, id };
    allowed.push(...(route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]));
  }
  return allowed.length === 0 ? { kind: 'none' } : { kind: 'other-method', allow: allowed.join(', ') };
}

/** The `{id}` of a path that fits the pattern, '' where the pattern has none, undefined where it does not fit. */
function idIn(path: string, pattern: string): string | undefined {
  const hole = pattern.indexOf('{id}');
  if (hole < 0) return path === pattern ? '' : undefined;
  const before = pattern.slice(0, hole);
  const after = pattern.slice(hole + '{id}'.length);
  if (!path.startsWith(before) || !path.endsWith(after)) return undefined;
  const id = path.slice(hole, path.length - after.length);
  return isQueueId(id) ? id : undefined;
}
