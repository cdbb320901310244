/**
 * The calls of the admin API that are about the queue and its routes: what each takes of the request, and what it
 * asks the backend. The table of paths is routes.ts.
 */
import type { QueueAnswer, QueueSelection } from '../../base/messages.js';
import { badRequest, failure, fromQueue, json, orRefusal, type Answer } from './answer.js';
import { bodies, bodyOf, idOf, numberOf, selectionOf } from './parameters.js';
import type { Call } from './routes.js';

type Handler = (call: Call) => Promise<Answer>;

const defaultListLimit = 100;
// One page of the queue is built and sent from memory, by the primary.
const maxListLimit = 1_000;
const maxOffset = 999_999_999;
// 1.9 MB of JSON, which costs a worker a few milliseconds.
const maxIds = 100_000;
// Base64 of it passes from a worker to the primary as one message.
const maxPieceBytes = 512 * 1024;
const maxMessageBytes = Number.MAX_SAFE_INTEGER;

export const listQueue: Handler = async ({ backend, query }) => {
  const filter = selectionOf(query);
  const offset = numberOf(query, 'offset', maxOffset, 0);
  const limit = numberOf(query, 'limit', maxListLimit, defaultListLimit);
  const answer = await backend.queue({ method: 'list', filter, offset, limit });
  return unknownRoute(backend, filter, answer) ?? fromQueue(answer);
};

/** A mistyped name must not look like an empty queue. What a route that has left the config has left behind is shown. */
function unknownRoute(
  backend: Call['backend'],
  { route }: QueueSelection,
  answer: QueueAnswer,
): Answer | undefined {
  if (route === undefined || !answer.ok || answer.value === null || !('total' in answer.value))
    return undefined;
  const { total, complete } = answer.value;
  const names = backend.routes().map(({ name }) => name);
  if (total > 0 || complete !== true || names.includes(route)) return undefined;
  const message = `no mail fits, and there is no route "${route}"; the routes: ${names.join(', ')}`;
  return failure(404, 'NOT_FOUND', message);
}

export const listIds: Handler = async ({ backend, query }) => {
  const filter: QueueSelection = selectionOf(query);
  const after = idOf(query, 'after');
  const limit = numberOf(query, 'limit', maxIds, maxIds);
  const paging = { limit, ...(after === undefined ? {} : { after }) };
  const answer = await backend.queue({ method: 'select', filter, ...paging });
  return unknownRoute(backend, filter, answer) ?? fromQueue(answer);
};

export const queueStats: Handler = async ({ backend }) => fromQueue(await backend.queue({ method: 'stats' }));

export const queueShape: Handler = async ({ backend }) => fromQueue(await backend.queue({ method: 'shape' }));

export const showMessage: Handler = async ({ backend, name }) =>
  fromQueue(await backend.queue({ method: 'show', id: name }));

export function changeOne(method: 'hold' | 'release' | 'retry' | 'delete'): Handler {
  return async ({ backend, name }) =>
    fromQueue(await backend.queue({ method, id: name }), () => json(200, { id: name, done: method }));
}

export const changeMany: Handler = async ({ backend, body }) => {
  const { change, ids } = bodyOf(bodies.change, body);
  const answer = await backend.queue({ method: 'change', change, ids });
  return fromQueue(answer, (value) => {
    const done = value !== null && 'done' in value ? value.done : 0;
    return json(200, { change, asked: ids.length, done }, { change, asked: ids.length, done });
  });
};

export const surveyQueue: Handler = async ({ backend, body }) =>
  fromQueue(await backend.queue({ method: 'survey', ids: bodyOf(bodies.survey, body).ids }));

export const readMessage: Handler = async ({ backend, name, query }) => {
  const offset = numberOf(query, 'offset', maxMessageBytes, 0);
  const limit = numberOf(query, 'limit', maxPieceBytes, maxPieceBytes);
  const answer = await backend.queue({ method: 'read', id: name, offset, limit });
  return fromQueue(answer, (value) => {
    const data = value !== null && 'data' in value ? value.data : '';
    return { status: 200, contentType: 'application/octet-stream', body: Buffer.from(data, 'base64') };
  });
};

export const readEnvelope: Handler = async ({ backend, name }) =>
  fromQueue(await backend.queue({ method: 'envelope', id: name }), (value) =>
    json(200, { id: name, ...value }),
  );

export const beginImport: Handler = async ({ backend, name }) =>
  fromQueue(await backend.queue({ method: 'import-begin', id: name }), () =>
    json(201, { id: name, state: 'begun' }),
  );

export const writeImport: Handler = async ({ backend, name, query, body }) => {
  const offset = numberOf(query, 'offset', maxMessageBytes);
  if (body.length > maxPieceBytes) return badRequest(`a piece has at most ${maxPieceBytes} bytes`);
  const data = body.toString('base64');
  const bytes = offset + body.length;
  return fromQueue(await backend.queue({ method: 'import-write', id: name, offset, data }), () =>
    json(200, { id: name, bytes }),
  );
};

export const commitImport: Handler = async ({ backend, name, body }) => {
  const { bytes, envelope } = bodyOf(bodies.importCommit, body);
  return fromQueue(await backend.queue({ method: 'import-commit', id: name, bytes, envelope }), () =>
    json(200, { id: name, state: 'stored' }, { bytes }),
  );
};

export const dropImport: Handler = async ({ backend, name }) =>
  fromQueue(await backend.queue({ method: 'import-drop', id: name }), () =>
    json(200, { id: name, state: 'dropped' }),
  );

export const salvage: Handler = async ({ backend, body }) => {
  const { file } = bodyOf(bodies.salvage, body);
  return fromQueue(await backend.queue({ method: 'salvage', file }), (value) =>
    json(200, value, { ...value }),
  );
};

export const listRoutes: Handler = async ({ backend }) => json(200, { routes: backend.routes() });

export function setFrozen(frozen: boolean): Handler {
  return async ({ backend, name }) =>
    orRefusal(async () => {
      await backend.setFrozen(name, frozen);
      return json(200, { route: name, frozen });
    });
}
