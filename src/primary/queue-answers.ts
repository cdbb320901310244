/** Merges what the workers answer about their shards into one answer for the whole service. Pure. */
import type {
  QueueAnswer,
  QueueCall,
  QueueRow,
  QueueShape,
  QueueStats,
  QueueSurvey,
  QueueValue,
  RouteLoad,
} from '../base/messages.js';

export type IdsValue = { ids: string[]; total: number };
export type Refusal = Extract<QueueAnswer, { ok: false }>;

// Rows of a shape: what one screenful of a postmaster's attention cannot take is one row more.
const maxShapeRows = 500;
// As one worker's survey.
const maxSurveyDomains = 1_000;

/** A call that is about one message, which one worker has. */
export type CallForOne = Extract<QueueCall, { id: string }>;

/** @param missing workers that did not answer */
export function mergeForOne(call: CallForOne, answers: readonly QueueAnswer[], missing: number): QueueAnswer {
  return answers.find(({ ok }) => ok) ?? refusalOf(call.id, answers, missing);
}

/** NOT_FOUND is said only when every worker said it. */
function refusalOf(id: string, answers: readonly QueueAnswer[], missing: number): Refusal {
  const other = answers.find((answer): answer is Refusal => !answer.ok && answer.code !== 'NOT_FOUND');
  if (other !== undefined) return other;
  if (missing === 0) return { ok: false, code: 'NOT_FOUND', message: `no message ${id} in the queue` };
  const message = `${missing} of the workers did not answer, and the others do not have ${id}; try again`;
  return { ok: false, code: 'POOL_TIMEOUT', message };
}

/** The first refusal, or one that says who is silent. */
export function wholeRefusal(answers: readonly QueueAnswer[], missing: number): Refusal | undefined {
  const refusal = firstRefusal(answers);
  if (refusal !== undefined || missing === 0) return refusal;
  const message = `${missing} of the workers did not answer in time; try again`;
  return { ok: false, code: 'POOL_TIMEOUT', message };
}

export function firstRefusal(answers: readonly QueueAnswer[]): Refusal | undefined {
  return answers.find((answer) => !answer.ok);
}

export function mergeStats(answers: readonly QueueAnswer[]): QueueStats {
  const merged = emptyStats();
  const loads: RouteLoad[] = [];
  for (const { messages, bytes, oldestSeconds, files, routes = [] } of valuesWith(answers, 'oldestSeconds')) {
    merged.messages.active += messages.active;
    merged.messages.deferred += messages.deferred;
    merged.messages.held += messages.held;
    merged.messages.parked += messages.parked;
    merged.messages.failed += messages.failed;
    merged.bytes += bytes;
    merged.oldestSeconds = Math.max(merged.oldestSeconds, oldestSeconds);
    merged.files += files;
    loads.push(...routes);
  }
  return { ...merged, routes: mergeLoads(loads) };
}

/** Each worker has found out about the same hops by itself: the one that knows of most is right. */
function mergeLoads(loads: readonly RouteLoad[]): RouteLoad[] {
  const merged = new Map<string, RouteLoad>();
  for (const load of loads) {
    const { route, waiting, hopsResting } = load;
    const before = merged.get(route) ?? { waiting: 0, hopsResting: 0 };
    // During a reload old workers still have what the new config has not: the word of either counts.
    merged.set(route, {
      ...before,
      ...load,
      waiting: before.waiting + waiting,
      hopsResting: Math.max(before.hopsResting, hopsResting),
    });
  }
  return [...merged.values()].sort((a, b) => compare(a.route, b.route));
}

export function emptyStats(): QueueStats {
  const messages = { active: 0, deferred: 0, held: 0, parked: 0, failed: 0 };
  return { messages, bytes: 0, oldestSeconds: 0, files: 0, routes: [] };
}

/** Ascending, and no more than `limit`: each worker gave its first. */
export function mergeIds(answers: readonly QueueAnswer[], limit: number): IdsValue {
  const shards = valuesWith(answers, 'ids');
  const total = shards.reduce((sum, shard) => sum + shard.total, 0);
  // A message that is being moved between two workers' files can be in both.
  const ids = [...new Set(shards.flatMap((shard) => shard.ids))].sort();
  return { ids: ids.slice(0, limit), total };
}

/** In the order of `ids`; what has gone meanwhile is left out. */
export function mergeRows(answers: readonly QueueAnswer[], ids: readonly string[]): QueueRow[] {
  const rows = new Map<string, QueueRow>();
  for (const { messages } of valuesWith(answers, 'messages'))
    if (Array.isArray(messages)) for (const row of messages) rows.set(row.id, row);
  return ids.flatMap((id) => rows.get(id) ?? []);
}

export function mergeSurveys(answers: readonly QueueAnswer[]): QueueSurvey {
  const surveys = valuesWith(answers, 'domains');
  return {
    found: surveys.reduce((sum, { found }) => sum + found, 0),
    bytes: surveys.reduce((sum, { bytes }) => sum + bytes, 0),
    domains: [...new Set(surveys.flatMap(({ domains }) => domains))].sort().slice(0, maxSurveyDomains),
  };
}

export function sumDone(answers: readonly QueueAnswer[]): { done: number } {
  return { done: valuesWith(answers, 'done').reduce((sum, { done }) => sum + done, 0) };
}

/** Most messages first; what is beyond the bound, and what the workers left out themselves, in the row named ''. */
export function mergeShapes(answers: readonly QueueAnswer[]): QueueShape {
  const shapes = valuesWith(answers, 'ageMinutes');
  const ageMinutes = shapes[0]?.ageMinutes ?? [];
  const byDomain = new Map<string, number[]>();
  for (const { domain, counts } of shapes.flatMap(({ rows }) => rows)) addCounts(byDomain, domain, counts);
  const rest = byDomain.get('');
  byDomain.delete('');
  const rows = [...byDomain].map(([domain, counts]) => ({ domain, counts }));
  rows.sort((a, b) => sumOf(b.counts) - sumOf(a.counts) || compare(a.domain, b.domain));
  const others = rows.slice(maxShapeRows).map(({ counts }) => counts);
  if (rest !== undefined) others.push(rest);
  const shown = rows.slice(0, maxShapeRows);
  if (others.length > 0) shown.push({ domain: '', counts: sumColumns(others) });
  return { ageMinutes: [...ageMinutes], rows: shown };
}

function addCounts(byDomain: Map<string, number[]>, domain: string, counts: readonly number[]): void {
  const known = byDomain.get(domain);
  byDomain.set(domain, known === undefined ? [...counts] : sumColumns([known, counts]));
}

function sumColumns(rows: readonly (readonly number[])[]): number[] {
  const [first = []] = rows;
  return first.map((_, column) => rows.reduce((sum, counts) => sum + (counts[column] ?? 0), 0));
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

type NonNullValue = Exclude<QueueValue, null>;
type ValueWith<K extends PropertyKey> = Extract<NonNullValue, { [key in K]: unknown }>;

/** The values of the answers that are no refusals. A worker that answers with something else is a bug of ours. */
function valuesWith<K extends 'oldestSeconds' | 'ids' | 'messages' | 'domains' | 'done' | 'ageMinutes'>(
  answers: readonly QueueAnswer[],
  key: K,
): ValueWith<K>[] {
  return answers.flatMap((answer) => {
    if (!answer.ok) return [];
    if (answer.value !== null && hasKey(answer.value, key)) return [answer.value];
    throw new TypeError(`a worker's answer has no ${key}`);
  });
}

function hasKey<K extends PropertyKey>(value: NonNullValue, key: K): value is ValueWith<K> {
  return key in value;
}
