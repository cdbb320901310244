import { describe, expect, test } from 'vitest';

import type { QueueAnswer, QueueRow } from '../../src/base/messages.js';
import {
  firstRefusal,
  mergeForOne,
  mergeIds,
  mergeRows,
  mergeShapes,
  mergeStats,
  mergeSurveys,
  sumDone,
  wholeRefusal,
} from '../../src/primary/queue-answers.js';

const row = (id: string): QueueRow => ({
  id,
  slot: 0,
  state: 'active',
  bytes: 10,
  arrivedAt: new Date(0).toISOString(),
  nextAttemptAt: null,
  attempts: 1,
  from: 'a@example.test',
  recipients: [],
});
const value = (answer: Extract<QueueAnswer, { ok: true }>['value']): QueueAnswer => ({
  ok: true,
  value: answer,
});
const ids = (total: number, ...list: string[]): QueueAnswer => value({ ids: list, total });
const refused = (code: string): QueueAnswer => ({ ok: false, code, message: code });

describe('ids of all shards', () => {
  const shards = [ids(7, 'A', 'C', 'E'), ids(2, 'B', 'D')];

  test.each([
    { limit: 10, expected: ['A', 'B', 'C', 'D', 'E'], why: 'ascending' },
    { limit: 2, expected: ['A', 'B'], why: 'no more than the page' },
  ])('$why', ({ limit, expected }) => {
    expect(mergeIds(shards, limit)).toEqual({ ids: expected, total: 9 });
  });

  test('one that moves between two workers is there once', () => {
    expect(mergeIds([ids(1, 'A'), ids(1, 'A')], 10).ids).toEqual(['A']);
  });
});

test('rows come in the order asked for, and what has gone is left out', () => {
  const shards = [
    value({ total: 1, messages: [row('C')] }),
    value({ total: 2, messages: [row('A'), row('D')] }),
  ];
  expect(mergeRows(shards, ['A', 'B', 'C', 'D']).map(({ id }) => id)).toEqual(['A', 'C', 'D']);
});

const stats = (active: number, oldestSeconds: number): QueueAnswer =>
  value({
    messages: { active, deferred: 1, held: 0, parked: 3, failed: 2 },
    bytes: 100,
    oldestSeconds,
    files: 3,
    routes: [
      { route: 'office', waiting: active, hopsResting: oldestSeconds > 10 ? 2 : 1 },
      { route: `only-${active}`, waiting: 1, hopsResting: 0 },
    ],
  });

test('stats add up, the oldest message is the oldest of all', () => {
  expect(mergeStats([stats(1, 60), stats(4, 5)])).toEqual({
    messages: { active: 5, deferred: 2, held: 0, parked: 6, failed: 4 },
    bytes: 200,
    oldestSeconds: 60,
    files: 6,
    // Each worker finds out about the same hops for itself.
    routes: [
      { route: 'office', waiting: 5, hopsResting: 2 },
      { route: 'only-1', waiting: 1, hopsResting: 0 },
      { route: 'only-4', waiting: 1, hopsResting: 0 },
    ],
  });
});

const survey = (found: number, ...domains: string[]): QueueAnswer =>
  value({ found, bytes: found * 10, domains });

test('a survey adds up, each domain once', () => {
  expect(mergeSurveys([survey(2, 'a.test', 'c.test'), survey(3, 'b.test', 'c.test')])).toEqual({
    found: 5,
    bytes: 50,
    domains: ['a.test', 'b.test', 'c.test'],
  });
});

test('changes done are summed', () => {
  expect(sumDone([value({ done: 3 }), value({ done: 0 }), value({ done: 4 })])).toEqual({ done: 7 });
});

const shape = (...rows: [string, ...number[]][]): QueueAnswer =>
  value({ ageMinutes: [5, 10], rows: rows.map(([domain, ...counts]) => ({ domain, counts })) });

describe('a shape', () => {
  test('adds the columns of each domain, most messages first, the rest last', () => {
    const shards = [shape(['a.test', 1, 0, 0], ['', 9, 9, 9]), shape(['b.test', 0, 2, 2], ['a.test', 1, 1, 0], ['', 1, 0, 0])];
    expect(mergeShapes(shards)).toEqual({
      ageMinutes: [5, 10],
      rows: [
        { domain: 'b.test', counts: [0, 2, 2] },
        { domain: 'a.test', counts: [2, 1, 0] },
        { domain: '', counts: [10, 9, 9] },
      ],
    });
  }); // prettier-ignore

  test('rows beyond the bound are one', () => {
    const domains = Array.from({ length: 502 }, (_, n): [string, ...number[]] => [
      `d${n}.test`,
      600 - n,
      0,
      0,
    ]);
    const { rows } = mergeShapes([shape(...domains)]);
    expect(rows).toHaveLength(501);
    expect(rows.at(-1)).toEqual({ domain: '', counts: [100 + 99, 0, 0] });
  });

  test('of no worker at all is empty', () => {
    expect(mergeShapes([])).toEqual({ ageMinutes: [], rows: [] });
  });
});

test('a worker that answers with something else is a bug, not an empty page', () => {
  expect(() => mergeIds([value(null)], 10)).toThrow(TypeError);
  expect(() => mergeStats([value({ done: 1 })])).toThrow(TypeError);
});

describe('a figure of the whole queue', () => {
  test('is refused when a worker refused it', () => {
    expect(wholeRefusal([value({ done: 1 }), refused('SPOOL_COMMIT')], 0)).toMatchObject({
      code: 'SPOOL_COMMIT',
    });
    expect(firstRefusal([value({ done: 1 })])).toBeUndefined();
  });

  test('is refused when a worker is silent: a part would be taken for the whole', () => {
    expect(wholeRefusal([value({ done: 1 })], 1)).toMatchObject({ ok: false, code: 'POOL_TIMEOUT' });
    expect(wholeRefusal([value({ done: 1 })], 0)).toBeUndefined();
  });
});

describe('a call for one message', () => {
  const call = { method: 'hold', id: 'X' } as const;
  const done = value(null);
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
    expect(mergeForOne(call, answers, missing)).toMatchObject(expected);
  });
});
