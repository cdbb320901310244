import { describe, expect, test } from 'vitest';

import type { QueueAnswer, QueueCall, QueueRow } from '../../src/base/messages.js';
import { QueueDesk, type Fleet, type ShardWorker } from '../../src/primary/queue-desk.js';

type Perform = (call: QueueCall) => QueueAnswer | undefined;

/** A worker that answers as told; undefined: it is silent. */
class FakeWorker implements ShardWorker {
  state: ShardWorker['state'] = 'ready';
  refusing = '';
  isReading = false;
  isGone = false;
  readonly calls: QueueCall[] = [];
  readonly #perform: Perform;

  constructor(perform: Perform) {
    this.#perform = perform;
  }

  call(call: QueueCall): QueueAnswer | undefined {
    this.calls.push(call);
    return this.#perform(call);
  }
}

/** A shard of rows in a Map, as queue-calls answers for it. */
function shard(...ids: string[]): FakeWorker {
  return new FakeWorker((call) => {
    // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- what these tests ask; the rest is an error below
    switch (call.method) {
      case 'select':
        return { ok: true, value: { ids: ids.slice(0, call.limit), total: ids.length } };
      case 'rows':
        return {
          ok: true,
          value: { total: 0, messages: ids.filter((id) => call.ids.includes(id)).map(row) },
        };
      case 'survey': {
        const found = ids.filter((id) => call.ids.includes(id)).length;
        return { ok: true, value: { found, bytes: found, domains: [] } };
      }
      case 'change':
        return { ok: true, value: { done: ids.filter((id) => call.ids.includes(id)).length } };
      case 'stats': {
        const messages = { active: ids.length, deferred: 0, held: 0, parked: 0, failed: 0 };
        return { ok: true, value: { messages, bytes: 1, oldestSeconds: 1, files: 1 } };
      }
      case 'import-begin':
      case 'import-write':
      case 'import-commit':
      case 'import-drop':
        return { ok: true, value: null };
      case 'hold':
        return ids.includes(call.id)
          ? { ok: true, value: null }
          : { ok: false, code: 'NOT_FOUND', message: '' };
      default:
        return { ok: false, code: 'INTERNAL', message: `not in this fake: ${call.method}` };
    }
  });
}

const silent = (): FakeWorker => new FakeWorker(() => undefined);

const row = (id: string): QueueRow => ({
  id,
  slot: 0,
  state: 'active',
  bytes: 1,
  arrivedAt: new Date(0).toISOString(),
  nextAttemptAt: null,
  attempts: 1,
  from: '',
  recipients: [],
});

function deskOver(...workers: FakeWorker[]): QueueDesk<FakeWorker> {
  return deskOf({ workers });
}

function deskOf({
  workers,
  isHandingOver = false,
}: {
  workers: FakeWorker[];
  isHandingOver?: boolean;
}): QueueDesk<FakeWorker> {
  const fleet: Fleet<FakeWorker> = {
    slots: workers.map((worker) => ({ isReady: worker.state === 'ready', current: worker })),
    workers,
    serving: workers,
    isHandingOver,
  };
  return new QueueDesk({
    fleet,
    ask: (asked, call) => {
      const answers = new Map<FakeWorker, QueueAnswer>();
      for (const worker of asked) {
        const answer = worker.call(call);
        if (answer !== undefined) answers.set(worker, answer);
      }
      return Promise.resolve(answers);
    },
  });
}

const list = (offset: number, limit: number): { method: 'list'; filter: object; offset: number; limit: number } => ({
  method: 'list',
  filter: {},
  offset,
  limit,
}); // prettier-ignore

describe('a page of the whole queue', () => {
  test.each([
    { offset: 0, limit: 10, ids: ['A', 'B', 'C', 'D'], why: 'in order of arrival, which is that of ids' },
    { offset: 1, limit: 2, ids: ['B', 'C'], why: 'cut after the merge' },
    { offset: 9, limit: 2, ids: [], why: 'empty behind the end' },
  ])('$why', async ({ offset, limit, ids }) => {
    const answer = await deskOver(shard('A', 'D'), shard('B', 'C')).ask(list(offset, limit));
    expect(answer).toMatchObject({ ok: true, value: { total: 4, complete: true, messages: ids.map((id) => ({ id })) } });
  }); // prettier-ignore

  test('no worker is asked for rows that are not on it', async () => {
    const ids = Array.from({ length: 500 }, (_, n) => String(n).padStart(4, '0'));
    const worker = shard(...ids);
    await deskOver(worker).ask(list(400, 10));
    expect(worker.calls).toEqual([
      { method: 'select', filter: {}, limit: 410 },
      { method: 'rows', ids: ids.slice(400, 410) },
    ]);
  });

  test('without a silent worker is a page, and says that it is not all', async () => {
    const answer = await deskOver(shard('A'), silent()).ask(list(0, 10));
    expect(answer).toMatchObject({ ok: true, value: { total: 1, complete: false, messages: [{ id: 'A' }] } });
  });

  test('while a worker reads its files is not all', async () => {
    const reading = shard('A');
    reading.isReading = true;
    expect(await deskOver(reading).ask(list(0, 10))).toMatchObject({ value: { complete: false } });
    reading.isReading = false;
    expect(await deskOver(reading).ask(list(0, 10))).toMatchObject({ value: { complete: true } });
  });

  test('and its figures: without a silent worker, or while one reads, they say that they are not all', async () => {
    const reading = shard('B');
    expect(await deskOver(shard('A'), reading).ask({ method: 'stats' })).toMatchObject({ value: { messages: { active: 2 }, complete: true } });
    expect(await deskOver(shard('A'), silent()).ask({ method: 'stats' })).toMatchObject({ value: { messages: { active: 1 }, complete: false } });
    reading.isReading = true;
    expect(await deskOver(shard('A'), reading).ask({ method: 'stats' })).toMatchObject({ value: { complete: false } });
  }); // prettier-ignore

  test('while a slot has no worker is not all', async () => {
    const starting = shard('A');
    starting.state = 'starting';
    expect(await deskOver(starting).ask({ method: 'select', filter: {} })).toMatchObject({ value: { complete: false } });
  }); // prettier-ignore
});

describe('what must be of all workers or nothing', () => {
  test.each<{ call: Parameters<QueueDesk<FakeWorker>['ask']>[0] }>([
    { call: { method: 'change', change: 'hold', ids: ['A'] } },
    { call: { method: 'survey', ids: ['A'] } },
    { call: { method: 'import-begin', id: 'X' } },
  ])('$call.method is refused when one is silent', async ({ call }) => {
    expect(await deskOver(shard('A'), silent()).ask(call)).toMatchObject({ ok: false, code: 'POOL_TIMEOUT' });
  });

  test('a change is summed', async () => {
    const answer = await deskOver(shard('A', 'B'), shard('C')).ask({ method: 'change', change: 'hold', ids: ['A', 'C', 'Z'] });
    expect(answer).toEqual({ ok: true, value: { done: 2 } });
  }); // prettier-ignore
});

describe('a call for one message', () => {
  test('is not found when every file has been read and nobody has it', async () => {
    expect(await deskOver(shard('A'), shard('B')).ask({ method: 'hold', id: 'Z' })).toMatchObject({ code: 'NOT_FOUND' });
  }); // prettier-ignore

  test('is to be tried again while files are being read: it may be in one of them', async () => {
    const reading = shard('B');
    reading.isReading = true;
    const desk = deskOver(shard('A'), reading);
    expect(await desk.ask({ method: 'hold', id: 'Z' })).toMatchObject({ code: 'SPOOL_CLOSED' });
    expect(await desk.ask({ method: 'hold', id: 'A' })).toMatchObject({ ok: true });
  });
});

test('while the files of a dead worker have no new owner the queue is not whole', async () => {
  const desk = deskOf({ workers: [shard('A')], isHandingOver: true });
  expect(await desk.ask(list(0, 10))).toMatchObject({ value: { complete: false } });
  expect(await desk.ask({ method: 'hold', id: 'Z' })).toMatchObject({ code: 'SPOOL_CLOSED' });
});

const methodsOf = (worker: FakeWorker): string[] => worker.calls.map(({ method }) => method);

describe('an import', () => {
  const begin = { method: 'import-begin', id: 'X' } as const;
  const write = { method: 'import-write', id: 'X', offset: 0, data: '' } as const;
  const commit = { method: 'import-commit', id: 'X', bytes: 0, envelope: {} } as const;

  test('is at one worker from its begin to its commit', async () => {
    const workers = [shard(), shard()];
    const desk = deskOver(...workers);
    for (const call of [begin, write, write, commit])
      expect(await desk.ask(call)).toMatchObject({ ok: true });
    expect(workers.map(methodsOf).sort((a, b) => b.length - a.length)).toEqual([
      ['survey', 'import-begin', 'import-write', 'import-write', 'import-commit'],
      ['survey'],
    ]);
    expect(await desk.ask(write)).toMatchObject({ ok: false, code: 'NOT_FOUND' });
  });

  test('takes the workers in turn', async () => {
    const workers = [shard(), shard()];
    const desk = deskOver(...workers);
    for (const id of ['K', 'L', 'M', 'N']) await desk.ask({ method: 'import-begin', id });
    expect(workers.map((worker) => methodsOf(worker).filter((method) => method === 'import-begin').length)).toEqual([2, 2]);
  }); // prettier-ignore

  test('of what is in the queue already is EXISTS, whichever worker has it', async () => {
    const workers = [shard('X'), shard()];
    expect(await deskOver(...workers).ask(begin)).toMatchObject({ ok: false, code: 'EXISTS' });
    expect(workers.flatMap(methodsOf)).toEqual(['survey', 'survey']);
  });

  test('is not begun while files are being read: it may be in one of them', async () => {
    const reading = shard();
    reading.isReading = true;
    expect(await deskOver(reading).ask(begin)).toMatchObject({ ok: false, code: 'SPOOL_CLOSED' });
    expect(reading.calls).toEqual([]);
  });

  test('goes to no worker that refuses mail', async () => {
    const full = shard();
    full.refusing = 'the disk is full';
    const other = shard();
    const desk = deskOver(full, other);
    for (const id of ['K', 'L', 'M']) await desk.ask({ method: 'import-begin', id });
    expect(methodsOf(full)).not.toContain('import-begin');
    other.refusing = 'the disk is full';
    expect(await desk.ask(begin)).toMatchObject({ ok: false, code: 'SPOOL_CLOSED' });
  });

  test('that its worker took along when it died is to be begun again', async () => {
    const worker = shard();
    const desk = deskOver(worker);
    await desk.ask(begin);
    worker.isGone = true;
    expect(await desk.ask(write)).toMatchObject({ ok: false, code: 'NOT_FOUND' });
  });

  test('whose commit was not answered in time begins again where it may still succeed, and nowhere else', async () => {
    const [late, other] = [shard(), shard()];
    const desk = deskOver(other, late);
    const answer = late.call.bind(late);
    late.call = (call) => {
      const answered = answer(call);
      return call.method === 'import-commit' ? undefined : answered;
    };
    expect(await desk.ask(begin)).toMatchObject({ ok: true });
    expect(await desk.ask(commit)).toMatchObject({ ok: false, code: 'POOL_TIMEOUT' });
    expect(await desk.ask(begin)).toMatchObject({ ok: true });
    expect(methodsOf(late).filter((method) => method === 'import-begin')).toHaveLength(2);
    expect(methodsOf(other)).not.toContain('import-begin');
  });

  test('that nobody went on with is forgotten when there are very many', async () => {
    const desk = deskOver(shard());
    await desk.ask(begin);
    for (let n = 0; n < 256; n++) await desk.ask({ method: 'import-begin', id: `N${n}` });
    expect(await desk.ask(write)).toMatchObject({ ok: false, code: 'NOT_FOUND' });
  });

  test('is not begun while another of the same message is being stored: it would be stored twice', async () => {
    const desk = deskOver(shard(), shard());
    await desk.ask(begin);
    const [first, second] = await Promise.all([desk.ask(commit), desk.ask(begin)]);
    expect(first).toMatchObject({ ok: true });
    expect(second).toMatchObject({ ok: false, code: 'POOL_FULL' });
    expect(await desk.ask(begin)).toMatchObject({ ok: true });
  });
});
