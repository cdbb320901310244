import { setImmediate as nextTurn } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { QueueAnswer, QueueCall, QueueDetail } from '../../src/base/messages.js';
import type { NewEnvelope, Spool } from '../../src/queue/spool.js';
import { QueueCalls } from '../../src/worker/queue-calls.js';
import { toRouteLoads } from '../../src/worker/queue-rows.js';
import { leaseOne, patternBytes, result, SpoolBench, store } from '../queue/harness.js';

let bench: SpoolBench;
let spool: Spool;
let calls: QueueCalls;
const salvaged: string[] = [];

beforeEach(async () => {
  bench = await SpoolBench.make();
  ({ spool } = await bench.open());
  calls = callsOver(spool);
});

afterEach(async () => {
  calls.close();
  await bench.end();
});

/** Until then the relay tries nothing. */
let restsUntilMs = 0;

function callsOver(of: Spool, slot = 3): QueueCalls {
  return new QueueCalls({
    spool: of,
    slot,
    triedAtMs: (_destination, dueAtMs) => Math.max(dueAtMs, restsUntilMs),
    hopsResting: () => new Map([['office', 2], ['well', 0], ['idle', 1]]), // prettier-ignore
    salvage: (file) => {
      salvaged.push(file);
      return Promise.resolve({ file, salvaged: 1, known: 0, unreadable: 0, damagedPlaces: 0 });
    },
  });
}

type Value = Extract<QueueAnswer, { ok: true }>['value'];

async function value(call: QueueCall, of = calls): Promise<Value> {
  const answer = await of.answer(call);
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
  return answer.value;
}

const message = Buffer.from('Subject: hello\r\nX-Long: a\r\n\tb\r\n\r\nbody\r\n');
const to = (...addresses: string[]): Partial<NewEnvelope> => ({
  recipients: addresses.map((address) => ({ address, route: 'office' })),
});

describe('many messages', () => {
  test('are selected in order of their ids, in pages', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) ids.push(await store(spool, message));
    expect(await value({ method: 'select', filter: {} })).toEqual({ ids, total: 5 });
    expect(await value({ method: 'select', filter: {}, limit: 2 })).toEqual({ ids: ids.slice(0, 2), total: 5 });
    expect(await value({ method: 'select', filter: {}, after: ids[1] ?? '', limit: 2 })).toEqual({ ids: ids.slice(2, 4), total: 5 });
    expect(await value({ method: 'select', filter: {}, after: ids[4] ?? '' })).toEqual({ ids: [], total: 5 });
    expect(await value({ method: 'select', filter: { domain: 'elsewhere.test' } })).toEqual({ ids: [], total: 0 });
  }); // prettier-ignore

  test('have rows, those that are gone left out; of many recipients the first are named', async () => {
    const few = await store(spool, message);
    const many = await store(spool, message, to(...Array.from({ length: 50 }, (_, n) => `r${n}@example.test`)));
    const rows = await value({ method: 'rows', ids: [few, '0000000000000000', many] });
    expect(rows).toMatchObject({ total: 2, messages: [{ id: few, slot: 3 }, { id: many, moreRecipients: 30 }] });
    expect(rows !== null && 'messages' in rows && Array.isArray(rows.messages) ? rows.messages.map(({ recipients }) => recipients.length) : []).toEqual([1, 20]);
    expect(await value({ method: 'list', filter: {}, offset: 1, limit: 5 })).toMatchObject({ total: 2, messages: [{ id: many }] });
  }); // prettier-ignore

  test('that wait for a hop that rests are said to be tried when it may be asked again, not in the past', async () => {
    const id = await store(spool, message);
    restsUntilMs = Date.parse('2100-01-01T00:00:00Z');
    try {
      expect(await value({ method: 'rows', ids: [id] })).toMatchObject({
        messages: [{ nextAttemptAt: '2100-01-01T00:00:00.000Z' }],
      });
    } finally {
      restsUntilMs = 0;
    }
  });

  test('that wait for a frozen route have no next attempt', async () => {
    const id = await store(spool, message);
    restsUntilMs = Infinity;
    try {
      expect(await value({ method: 'show', id })).toMatchObject({ state: 'active', nextAttemptAt: null });
    } finally {
      restsUntilMs = 0;
    }
  });

  test('are surveyed: how many, how large, which domains', async () => {
    const ids = [await store(spool, message, to('a@One.test', 'b@two.test')), await store(spool, message, to('c@one.test'))];
    expect(await value({ method: 'survey', ids: [...ids, '0000000000000000'] })).toEqual({
      found: 2,
      bytes: 2 * message.length,
      domains: ['one.test', 'two.test'],
    });
  }); // prettier-ignore

  test('are changed together, on disk before it is said, and counted', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 300; n++) ids.push(await store(spool, message));
    const before = spool.stats().commits;
    expect(await value({ method: 'change', change: 'hold', ids: [...ids, '0000000000000000'] })).toEqual({ done: 300 });
    expect(spool.stats().messages.held).toBe(300);
    // They share commits.
    expect(spool.stats().commits - before).toBeLessThan(150);
    expect(await value({ method: 'change', change: 'delete', ids: ids.slice(0, 100) })).toEqual({ done: 100 });
    expect(spool.stats().messages.held).toBe(200);
  }); // prettier-ignore

  test('leave the event loop to others', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 2_000; n++) ids.push(`0000000000000${String(n).padStart(3, '0').slice(-3)}`);
    let turns = 0;
    let isDone = false;
    const rows = calls.answer({ method: 'rows', ids }).then(() => (isDone = true));
    while (!isDone) {
      turns++;
      await nextTurn();
    }
    await rows;
    expect(turns).toBeGreaterThan(2);
  });
});

describe('one message', () => {
  test('is shown with what DSN asked for, its attempts and its header', async () => {
    const id = await store(spool, message, {
      ret: 'FULL',
      envelopeId: 'QQ1',
      recipients: [{ address: 'rcpt@example.test', route: 'office', notify: [], originalRecipient: 'rfc822;x@y' }],
    });
    const lease = await leaseOne(spool);
    const attempt = { route: 'office', atMs: 1_790_000_000_000, hop: '192.0.2.9:25', reply: '451 4.3.0 later' };
    await spool.settle(lease, [{ ...result('pending'), lastReply: '451 4.3.0 later' }], Date.now() + 60_000, { attempt });
    const detail: Partial<QueueDetail> = {
      id,
      slot: 3,
      state: 'deferred',
      attempts: 1,
      ret: 'FULL',
      envelopeId: 'QQ1',
      dsn: [{ address: 'rcpt@example.test', notify: [], originalRecipient: 'rfc822;x@y' }],
      parked: '',
      attemptLog: [{ route: 'office', at: new Date(1_790_000_000_000).toISOString(), hop: '192.0.2.9:25', reply: '451 4.3.0 later' }],
      header: 'Subject: hello\r\nX-Long: a\r\n\tb\r\n',
    };
    expect(await value({ method: 'show', id })).toMatchObject(detail);
  }); // prettier-ignore

  test.each(['show', 'hold', 'release', 'retry', 'delete', 'envelope'] as const)('that is not here: %s says so', async (method) => {
    expect(await calls.answer({ method, id: '0000000000000000' })).toMatchObject({ ok: false, code: 'NOT_FOUND' });
  }); // prettier-ignore

  test('is held, released, deleted', async () => {
    const id = await store(spool, message);
    await value({ method: 'hold', id });
    expect(spool.show(id).state).toBe('held');
    await value({ method: 'release', id });
    expect(spool.show(id).state).toBe('active');
    await value({ method: 'delete', id });
    expect(spool.stats().messages).toMatchObject({ active: 0 });
  });

  test('that is not held is not released, and not counted as such; one that failed is for retry', async () => {
    const [held, active, failed] = [await store(spool, message), await store(spool, message), await store(spool, message)];
    await value({ method: 'hold', id: held });
    for (const lease of await spool.lease('office', Date.now(), 2))
      await spool.settle(lease, [result(lease.message.id === failed ? 'failed' : 'pending')], Date.now() + 3_600_000);
    expect(await calls.answer({ method: 'release', id: active })).toMatchObject({ ok: false, code: 'NOT_HELD', message: 'not held: it is deferred, and goes by itself' });
    expect(await calls.answer({ method: 'release', id: failed })).toMatchObject({ code: 'NOT_HELD', message: expect.stringContaining('`postern queue retry`') });
    expect(await value({ method: 'change', change: 'release', ids: [held, active, failed] })).toEqual({ done: 1 });
    expect(spool.show(held).state).toBe('active');
  }); // prettier-ignore

  test('is read in pieces of the size asked for, at most 512 KiB', async () => {
    const body = patternBytes(1_300_000);
    const id = await store(spool, body);
    const pieces: Buffer[] = [];
    for (let offset = 0; ;) {
      const read = await value({ method: 'read', id, offset, limit: 10_000_000 });
      const piece = Buffer.from(read !== null && 'data' in read ? read.data : '', 'base64');
      if (piece.length === 0) break;
      pieces.push(piece);
      offset += piece.length;
    }
    expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThanOrEqual(512 * 1024);
    expect(Buffer.concat(pieces).equals(body)).toBe(true);
    expect(await value({ method: 'read', id, offset: 7, limit: 3 })).toEqual({ data: body.subarray(7, 10).toString('base64') });
  }); // prettier-ignore
});

describe('from one shard to another', () => {
  test.each([
    { what: 'a small message', bytes: 40 },
    { what: 'an empty one', bytes: 0 },
    { what: 'a large one', bytes: 1_300_000 },
  ])('$what arrives as it was, with its history', async ({ bytes }) => {
    const body = patternBytes(bytes);
    const id = await store(spool, body, { envelopeId: 'QQ1' });
    const lease = await leaseOne(spool);
    await spool.settle(lease, [{ ...result('pending'), lastReply: '451 later' }], Date.now() + 3_600_000);
    const exported = await value({ method: 'envelope', id });
    if (exported === null || !('envelope' in exported)) throw new Error('no envelope');
    // As it travels.
    const envelope: unknown = JSON.parse(JSON.stringify(exported.envelope));
    expect(exported.bytes).toBe(bytes);

    const other = await SpoolBench.make();
    try {
      const { spool: target } = await other.open();
      const there = callsOver(target);
      await importWhole(there, id, body, envelope);
      const { id: _, ...before } = spool.show(id);
      expect(target.show(id)).toEqual({ id, ...before });
      expect(
        await target.read(id, 0, bytes + 1).then((read) => read.equals(body.subarray(0, read.length))),
      ).toBe(true);
      expect(await there.answer({ method: 'import-begin', id })).toMatchObject({ ok: false, code: 'EXISTS' });
      there.close();
    } finally {
      await other.end();
    }
  });

  test('an import that was left half-way can be begun again at once', async () => {
    const body = patternBytes(900_000);
    const id = await store(spool, body);
    const exported = await value({ method: 'envelope', id });
    if (exported === null || !('envelope' in exported)) throw new Error('no envelope');
    await value({ method: 'delete', id });
    await value({ method: 'import-begin', id });
    await value({
      method: 'import-write',
      id,
      offset: 0,
      data: body.subarray(0, 500_000).toString('base64'),
    });
    await importWhole(calls, id, body, exported.envelope);
    expect(spool.show(id).bytes).toBe(body.length);
    expect(spool.stats().messages).toMatchObject({ active: 1 });
  });

  test('an import that is dropped leaves nothing', async () => {
    const id = await store(spool, message);
    await value({ method: 'delete', id });
    await value({ method: 'import-begin', id });
    await value({ method: 'import-write', id, offset: 0, data: patternBytes(300_000).toString('base64') });
    await value({ method: 'import-drop', id });
    expect(await calls.answer({ method: 'import-commit', id, bytes: 0, envelope: {} })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await value({ method: 'select', filter: {} })).toEqual({ ids: [], total: 0 });
  }); // prettier-ignore
});

async function importWhole(to: QueueCalls, id: string, body: Buffer, envelope: unknown): Promise<void> {
  await value({ method: 'import-begin', id }, to);
  for (let offset = 0; offset < body.length; offset += 500_000) {
    const data = body.subarray(offset, offset + 500_000).toString('base64');
    await value({ method: 'import-write', id, offset, data }, to);
  }
  await value({ method: 'import-commit', id, bytes: body.length, envelope }, to);
}

test('the shape and the figures are plain values', async () => {
  await store(spool, message, to('a@one.test'));
  const shape = await value({ method: 'shape' });
  expect(shape).toMatchObject({ rows: [{ domain: 'one.test' }] });
  expect(JSON.parse(JSON.stringify(shape))).toEqual(shape);
  expect(await value({ method: 'stats' })).toMatchObject({
    messages: { active: 1, parked: 0 },
    bytes: message.length,
    routes: [
      { route: 'idle', waiting: 0, hopsResting: 1 },
      { route: 'office', waiting: 1, hopsResting: 2 },
    ],
  });
});

test('what waits for an mx route is counted over its destinations, and held mail is not', () => {
  const due = new Map([
    ['mx/a.test', { earliestAtMs: 1, count: 2 }],
    ['mx/b.test', { earliestAtMs: 1, count: 1 }],
    ['office', { earliestAtMs: Infinity, count: 0 }],
  ]);
  const resting = new Map([['mx', 0], ['office', 0]]); // prettier-ignore
  expect(toRouteLoads(due, resting)).toEqual([{ route: 'mx', waiting: 3, hopsResting: 0 }]);
});

test('a route that has mail and is not in the config is told as missing', () => {
  const due = new Map([['gone', { earliestAtMs: 1, count: 2 }]]);
  expect(toRouteLoads(due, new Map([['office', 0]]))).toEqual([
    { route: 'gone', waiting: 2, hopsResting: 0, missing: true },
  ]);
});

test('salvage is handed on', async () => {
  expect(await value({ method: 'salvage', file: '/q/a.mdb' })).toMatchObject({ salvaged: 1 });
  expect(salvaged).toEqual(['/q/a.mdb']);
});

const stats = (): never => {
  throw new TypeError('a bug');
};

test('a bug of ours is an answer, not a dead worker', async () => {
  // A Spool's methods are its class's: only what is asked here is replaced.
  const broken = callsOver(Object.assign(Object.create(spool), { stats }));
  expect(await broken.answer({ method: 'stats' })).toEqual({ ok: false, code: 'INTERNAL', message: 'a bug' });
});
