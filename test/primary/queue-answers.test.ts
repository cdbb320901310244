import { describe, expect, test } from 'vitest';

import type { QueueAnswer, QueueCall, QueueRow } from '../../src/base/messages.js';
import { callForWorker, mergeQueueAnswers } from '../../src/primary/queue-answers.js';

const row = (id: string, second: number): QueueRow => ({
  id,
  slot: 0,
  state: 'active',
  bytes: 10,
  arrivedAt: new Date(second * 1000).toISOString(),
  nextAttemptAt: null,
  attempts: 1,
  from: 'a@example.test',
  recipients: [],
});
const list = (...messages: QueueRow[]): QueueAnswer => ({
  ok: true,
  value: { total: messages.length, messages },
});
const refused = (code: string): QueueAnswer => ({ ok: false, code, message: code });
const idsOf = (answer: QueueAnswer) =>
  answer.ok && answer.value !== null && 'messages' in answer.value && Array.isArray(answer.value.messages)
    ? answer.value.messages.map(({ id }) => id)
    : answer;

describe('a page of the whole queue', () => {
  const shards = [list(row('A', 3), row('B', 1)), list(row('C', 2), row('D', 1))];

  test.each([
    { offset: 0, limit: 10, ids: ['B', 'D', 'C', 'A'], why: 'sorted by arrival, then id' },
    { offset: 1, limit: 2, ids: ['D', 'C'], why: 'cut after the merge' },
    { offset: 9, limit: 2, ids: [], why: 'empty behind the end' },
  ])('$why', ({ offset, limit, ids }) => {
    const answer = mergeQueueAnswers({ method: 'list', offset, limit }, shards, 0);
    expect(idsOf(answer)).toEqual(ids);
    expect(answer).toMatchObject({ value: { total: 4 } });
  });

  test('each worker is asked for all that could be on the page', () => {
    const call: QueueCall = { method: 'list', state: 'held', offset: 30, limit: 10 };
    expect(callForWorker(call)).toEqual({ method: 'list', state: 'held', offset: 0, limit: 40 });
    expect(callForWorker({ method: 'show', id: 'X' })).toEqual({ method: 'show', id: 'X' });
  });
});

const stats = (active: number, oldestSeconds: number): QueueAnswer => ({
  ok: true,
  value: { messages: { active, deferred: 1, held: 0, failed: 2 }, bytes: 100, oldestSeconds, files: 3 },
});

test('stats add up, the oldest message is the oldest of all', () => {
  expect(mergeQueueAnswers({ method: 'stats' }, [stats(1, 60), stats(4, 5)], 1)).toEqual({
    ok: true,
    value: {
      messages: { active: 5, deferred: 2, held: 0, failed: 4 },
      bytes: 200,
      oldestSeconds: 60,
      files: 6,
    },
  });
});

describe('a call for one message', () => {
  const call: QueueCall = { method: 'hold', id: 'X' };
  const done: QueueAnswer = { ok: true, value: null };
  test.each([
    {
      answers: [refused('NOT_FOUND'), done],
      missing: 0,
      expected: done,
      why: 'the worker that has it answers',
    },
    { answers: [done], missing: 1, expected: done, why: 'whoever else is silent' },
    {
      answers: [refused('NOT_FOUND'), refused('SPOOL_COMMIT')],
      missing: 0,
      expected: { code: 'SPOOL_COMMIT' },
      why: 'a failure is more than not found',
    },
    {
      answers: [refused('NOT_FOUND'), refused('NOT_FOUND')],
      missing: 0,
      expected: { code: 'NOT_FOUND' },
      why: 'not found when all say so',
    },
    {
      answers: [refused('NOT_FOUND')],
      missing: 1,
      expected: { code: 'POOL_TIMEOUT' },
      why: 'not said while somebody who may have it is silent',
    },
  ])('$why', ({ answers, missing, expected }) => {
    expect(mergeQueueAnswers(call, answers, missing)).toMatchObject(expected);
  });
});
