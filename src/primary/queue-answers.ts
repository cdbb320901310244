/** Merges what the workers answer about their shards into one answer for the whole service. Pure. */
import type { QueueAnswer, QueueCall, QueueRow, QueueStats } from '../base/messages.js';

type ListValue = { total: number; messages: QueueRow[] };

/** What each worker is asked: the page is cut after the merge, so that each gives all that could be on it. */
export function callForWorker(call: QueueCall): QueueCall {
  return call.method === 'list' ? { ...call, offset: 0, limit: call.offset + call.limit } : call;
}

/** @param missing workers that did not answer */
export function mergeQueueAnswers(
  call: QueueCall,
  answers: readonly QueueAnswer[],
  missing: number,
): QueueAnswer {
  if (call.method !== 'list' && call.method !== 'stats')
    return answers.find(({ ok }) => ok) ?? refusalOf(call.id, answers, missing);
  const refusal = firstRefusal(answers);
  if (refusal !== undefined) return refusal;
  const value =
    call.method === 'list' ? mergeLists(call, answers.map(listOf)) : mergeStats(answers.map(statsOf));
  return { ok: true, value };
}

function mergeStats(stats: readonly QueueStats[]): QueueStats {
  const merged: QueueStats = emptyStats();
  for (const { messages, bytes, oldestSeconds, files } of stats) {
    merged.messages.active += messages.active;
    merged.messages.deferred += messages.deferred;
    merged.messages.held += messages.held;
    merged.messages.failed += messages.failed;
    merged.bytes += bytes;
    merged.oldestSeconds = Math.max(merged.oldestSeconds, oldestSeconds);
    merged.files += files;
  }
  return merged;
}

function emptyStats(): QueueStats {
  const messages = { active: 0, deferred: 0, held: 0, failed: 0 };
  return { messages, bytes: 0, oldestSeconds: 0, files: 0 };
}

/** Sorted by arrival; ISO times of one form sort as text, ids decide within a millisecond. */
function mergeLists(call: { offset: number; limit: number }, lists: readonly ListValue[]): ListValue {
  const total = lists.reduce((sum, list) => sum + list.total, 0);
  const messages = lists.flatMap((list) => list.messages);
  messages.sort((a, b) => compare(a.arrivedAt, b.arrivedAt) || compare(a.id, b.id));
  return { total, messages: messages.slice(call.offset, call.offset + call.limit) };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

type Refusal = Extract<QueueAnswer, { ok: false }>;

function firstRefusal(answers: readonly QueueAnswer[]): Refusal | undefined {
  return answers.find((answer) => !answer.ok);
}

/** NOT_FOUND is said only when every worker said it. */
function refusalOf(id: string, answers: readonly QueueAnswer[], missing: number): Refusal {
  const other = answers.find((answer): answer is Refusal => !answer.ok && answer.code !== 'NOT_FOUND');
  if (other !== undefined) return other;
  if (missing === 0) return { ok: false, code: 'NOT_FOUND', message: `no message ${id} in the queue` };
  const message = `${missing} of the workers did not answer, and the others do not have ${id}; try again`;
  return { ok: false, code: 'POOL_TIMEOUT', message };
}

function listOf(answer: QueueAnswer): ListValue {
  if (answer.ok && answer.value !== null && 'total' in answer.value) return answer.value;
  throw new TypeError('a worker answered list with something else');
}

function statsOf(answer: QueueAnswer): QueueStats {
  if (answer.ok && answer.value !== null && 'oldestSeconds' in answer.value) return answer.value;
  throw new TypeError('a worker answered stats with something else');
}
