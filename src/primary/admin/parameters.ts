/**
 * From query strings and bodies to values, or to a sentence that says what is wrong. A parameter that is not known is
 * refused: one that is misspelt must not turn "delete the held ones" into "delete all". Pure.
 */
import { z } from 'zod';

import { isQueueId } from '../../base/ids.js';
import type { QueueSelection, QueueState } from '../../base/messages.js';

/** What was sent is not what the call takes; the message is for people. */
export class ParameterError extends Error {}

const queueStates: readonly QueueState[] = ['active', 'deferred', 'held', 'parked', 'failed'];
export const routeNamePattern = /^[a-z0-9][a-z0-9_-]{0,31}$/i;
// RFC 5321 §4.5.3.1: 256 octets of path; room for UTF-8 and our own leniency.
const maxAddressLength = 1_024;
// What the queue keeps of a reply.
const maxErrorLength = 512;
// Ids of one call: 10 000 fit well into a body and are a second's work for a worker.
const maxIdsPerCall = 10_000;

export const selectionParameters = [
  'state',
  'route',
  'domain',
  'sender',
  'recipient',
  'olderThanMs',
  'youngerThanMs',
  'error',
] as const;

/** @throws ParameterError on a name that is not in `known`, or that comes twice */
export function checkNames(query: URLSearchParams, known: readonly string[]): void {
  for (const name of query.keys()) {
    if (!known.includes(name))
      throw new ParameterError(
        `there is no parameter ${name.slice(0, 40)}; ${known.length === 0 ? 'this call has none' : `there are ${known.join(', ')}`}`,
      );
    if (query.getAll(name).length > 1) throw new ParameterError(`${name} is given twice`);
  }
}

/** @throws ParameterError */
export function selectionOf(query: URLSearchParams): QueueSelection {
  return {
    ...given('state', query, stateOf),
    ...given('route', query, routeName),
    ...given('domain', query, (text) => addressText(text, 'domain').toLowerCase()),
    ...given('sender', query, (text) => addressText(text, 'sender')),
    ...given('recipient', query, (text) => addressText(text, 'recipient')),
    ...given('olderThanMs', query, (text) => wholeNumber('olderThanMs', text, Number.MAX_SAFE_INTEGER)),
    ...given('youngerThanMs', query, (text) => wholeNumber('youngerThanMs', text, Number.MAX_SAFE_INTEGER)),
    ...given('error', query, (text) => boundedText(text, 'error', maxErrorLength)),
  };
}

function given<K extends string, V>(
  name: K,
  query: URLSearchParams,
  parse: (text: string) => V,
): { [key in K]?: V } {
  const value = query.get(name);
  if (value === null) return {};
  const one: { [key in K]?: V } = {};
  one[name] = parse(value);
  return one;
}

function stateOf(text: string): QueueState {
  const state = queueStates.find((known) => known === text);
  if (state === undefined) throw new ParameterError(`state must be one of ${queueStates.join(', ')}`);
  return state;
}

function routeName(text: string): string {
  if (!routeNamePattern.test(text)) throw new ParameterError('route must be the name of a route');
  return text;
}

function addressText(text: string, name: string): string {
  return boundedText(text, name, maxAddressLength);
}

function boundedText(text: string, name: string, max: number): string {
  if (text === '' || text.length > max) throw new ParameterError(`${name} must have 1 to ${max} characters`);
  return text;
}

/** A whole number of the query, or `fallback` where there is none. @throws ParameterError */
export function numberOf(query: URLSearchParams, name: string, max: number, fallback?: number): number {
  const text = query.get(name);
  if (text !== null) return wholeNumber(name, text, max);
  if (fallback === undefined) throw new ParameterError(`${name} is missing`);
  return fallback;
}

function wholeNumber(name: string, text: string, max: number): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value) || value > max)
    throw new ParameterError(`${name} must be a whole number, at most ${max}`);
  return value;
}

/** @throws ParameterError */
export function idOf(query: URLSearchParams, name: string): string | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!isQueueId(text)) throw new ParameterError(`${name} must be a queue id`);
  return text;
}

const queueId = z.string().refine(isQueueId, 'is no queue id');
const ids = z.array(queueId).max(maxIdsPerCall);

/** The bodies of the calls that take JSON; deploy/openapi.yaml says the same. */
export const bodies = {
  change: z.strictObject({ change: z.enum(['hold', 'release', 'retry', 'delete']), ids }),
  survey: z.strictObject({ ids }),
  salvage: z.strictObject({ file: z.string().min(1).max(4_096) }),
  importCommit: z.strictObject({
    bytes: z.number().int().nonnegative(),
    envelope: z.record(z.string(), z.unknown()),
  }),
} as const;

/** @throws ParameterError */
export function bodyOf<T>(schema: z.ZodType<T>, body: Buffer): T {
  const parsed = schema.safeParse(jsonOf(body));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? 'the body' : issue.path.join('.');
  throw new ParameterError(`${where}: ${issue?.message ?? 'wrong'}`);
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new ParameterError('the body is no JSON');
  }
}
