import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { chunkBytes } from '../../src/queue/chunk-buffers.js';
import { LmdbEnv } from '../../src/queue/lmdb-env.js';
import {
  SpoolBench,
  bodyOf,
  deliverAll,
  envelope,
  leaseOne,
  patternBytes,
  result,
  store,
  until,
  listAll,
} from './harness.js';

const notFound = expect.objectContaining({ code: 'NOT_FOUND' });
const later = 3_600_000;
const threeDestinations = [
  { address: 'a@a.test', route: 'office' },
  { address: 'b@b.test', route: 'mx/b.test' },
  { address: 'c@c.test', route: 'mx/c.test' },
];

let bench: SpoolBench;

beforeEach(async () => {
  bench = await SpoolBench.make();
});

afterEach(async () => {
  await bench.end();
});

describe('a message through the spool', () => {
  it.each([
    0,
    1,
    100,
    4096,
    64 * 1024,
    chunkBytes - 1,
    chunkBytes,
    chunkBytes + 1,
    3 * chunkBytes,
    1_000_003,
  ])('of %i bytes comes back byte for byte', async (length) => {
    const { spool } = await bench.open();
    const body = patternBytes(length);
    const id = await store(spool, body, {}, 7001);
    const lease = await leaseOne(spool);
    expect(lease.message).toMatchObject({ id, bytes: length, attempts: 1, state: 'active' });
    expect((await bodyOf(lease)).equals(body)).toBe(true);
    expect(spool.stats()).toMatchObject({ bytesInFlight: 0, bytes: length });
  });

  it('is copied as it is written: slices are only borrowed', async () => {
    const { spool } = await bench.open();
    const slice = Buffer.from('Subject: one\r\n');
    const writer = spool.begin(Date.now());
    writer.write(slice);
    slice.fill('x');
    await writer.commit(envelope());
    expect((await bodyOf(await leaseOne(spool))).toString()).toBe('Subject: one\r\n');
  });

  it('keeps everything of its envelope', async () => {
    const { spool } = await bench.open();
    const given = envelope({
      reversePath: '',
      recipients: [
        { address: 'Jörg@example.test', route: 'store' },
        { address: '"a b"@example.test', route: 'office' },
      ],
      body: undefined,
      smtpUtf8: true,
      user: 'jo',
    });
    const id = await store(spool, patternBytes(100), given);
    expect(spool.show(id)).toMatchObject({
      ...given,
      recipients: given.recipients.map((recipient) => ({ ...recipient, state: 'pending', lastReply: '' })),
    });
  });

  it('is one of many in a commit when they finish while another runs', async () => {
    const { spool, told } = await bench.open();
    await Promise.all(Array.from({ length: 200 }, (_, i) => store(spool, patternBytes(500, i))));
    expect(told.commits.reduce((sum, { messages }) => sum + messages, 0)).toBe(200);
    expect(told.commits.length).toBeLessThan(20);
    expect(spool.stats()).toMatchObject({ commits: told.commits.length, messages: { active: 200 } });
  });

  it('tells the dispatcher once it is durable, and not before', async () => {
    const { spool } = await bench.open();
    const due: string[] = [];
    spool.onDue = (route) => due.push(route);
    const writer = spool.begin(Date.now());
    writer.write(patternBytes(10));
    const committed = writer.commit(envelope());
    expect(due).toEqual([]);
    expect(spool.due().size).toBe(0);
    await committed;
    expect(due).toEqual(['office']);
    expect(spool.due().get('office')).toMatchObject({ count: 1 });
  });

  it('that is aborted is never seen, small or large', async () => {
    const { spool, told } = await bench.open();
    for (const length of [1000, 500_000]) {
      const writer = spool.begin(Date.now());
      writer.write(patternBytes(length));
      writer.abort();
      writer.abort();
    }
    await store(spool, patternBytes(10));
    await until(() => spool.stats().bytesInFlight === 0);
    expect((await listAll(spool)).total).toBe(1);
    expect(told.commits.reduce((sum, { messages }) => sum + messages, 0)).toBe(1);
  });
});

describe('a lease', () => {
  it('is given once, and again only after it was settled', async () => {
    const { spool } = await bench.open();
    await store(spool, patternBytes(10));
    const first = await leaseOne(spool);
    expect(await spool.lease('office', Date.now(), 10)).toEqual([]);
    expect(spool.leased).toBe(1);
    expect(spool.due().size).toBe(0);
    const next = Date.now() + later;
    await spool.settle(first, [result('pending')], next);
    expect(spool.leased).toBe(0);
    expect(spool.due().get('office')).toMatchObject({ count: 1, earliestAtMs: next });
    expect(await spool.lease('office', Date.now(), 10)).toEqual([]);
    const again = await leaseOne(spool, 'office', next);
    expect(again.message).toMatchObject({ attempts: 2, state: 'deferred', nextAttemptAtMs: next });
    expect(again.message.recipients[0]).toMatchObject({ state: 'pending', lastReply: '450 4.2.0 try later' });
  });

  it('of the first attempt costs no commit, of a later one its counter is on disk first', async () => {
    const { spool, told } = await bench.open();
    await store(spool, patternBytes(10));
    const commits = told.commits.length;
    const lease = await leaseOne(spool);
    expect(told.commits.length).toBe(commits);
    await spool.settle(lease, [result('pending')], 0);
    await leaseOne(spool);
    expect(told.commits.length).toBe(commits + 2);
  });

  it('that ends with nothing tried does not count as an attempt', async () => {
    const { spool } = await bench.open();
    await store(spool, patternBytes(10));
    for (let i = 0; i < 3; i++) {
      const lease = await leaseOne(spool);
      expect(lease.message.attempts).toBe(1);
      spool.unlease(lease);
    }
    expect(spool.leased).toBe(0);
  });

  it('of one destination leaves the others to be leased and settled at the same time, in any order (F-26)', async () => {
    const { spool } = await bench.open();
    const id = await store(spool, patternBytes(10), { recipients: threeDestinations });
    const office = await leaseOne(spool, 'office');
    const mx = await leaseOne(spool, 'mx/b.test');
    expect(spool.leased).toBe(2);
    expect(await spool.lease('office', Date.now(), 1)).toEqual([]);
    const next = Date.now() + later;
    await Promise.all([
      spool.settle(mx, [result('pending', 'b@b.test')], next, { delayNotified: true }),
      spool.settle(office, [result('delivered', 'a@a.test')], 0),
      spool.hold(id),
    ]);
    expect(spool.show(id)).toMatchObject({
      state: 'held',
      recipients: [{ state: 'delivered' }, { state: 'pending', lastReply: '450 4.2.0 try later' }, {}],
      routes: [
        { route: 'office', attempts: 1, ended: 1 },
        { route: 'mx/b.test', nextAttemptAtMs: next, ended: 1, tried: true, delayNotified: true },
        { route: 'mx/c.test', attempts: 1, ended: 0, tried: false, delayNotified: false },
      ],
    });
    await spool.release(id);
    for (const [route, address] of [
      ['mx/c.test', 'c@c.test'],
      ['mx/b.test', 'b@b.test'],
    ] as const)
      await spool.settle(await leaseOne(spool, route), [result('delivered', address)], 0);
    expect((await listAll(spool)).total).toBe(0);
  });

  it('of a destination is over when it was settled or given back once', async () => {
    const { spool } = await bench.open();
    await store(spool, patternBytes(10));
    const given = await leaseOne(spool);
    spool.unlease(given);
    const lease = await leaseOne(spool);
    spool.unlease(given);
    await spool.settle(given, [result('delivered')], 0);
    expect(spool.leased).toBe(1);
    await spool.settle(lease, [result('delivered')], 0);
    await spool.settle(lease, [result('pending')], 0);
    expect((await listAll(spool)).total).toBe(0);
  });

  it('settled with failures only keeps the message as failed, out of the schedule', async () => {
    const { spool } = await bench.open();
    const id = await store(spool, patternBytes(10));
    await spool.settle(await leaseOne(spool), [result('failed')], 0);
    expect(spool.show(id).state).toBe('failed');
    expect(spool.due().size).toBe(0);
    await spool.retry(id);
    expect((await leaseOne(spool)).message.attempts).toBe(2);
  });

  it('gives at most as many as asked for, oldest first', async () => {
    const { spool } = await bench.open();
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push(await store(spool, patternBytes(10), { arrivedAtMs: 1000 + i }));
    const leases = await spool.lease('office', Date.now(), 3);
    expect(leases.map(({ message }) => message.id)).toEqual(ids.slice(0, 3));
    expect(await deliverAll(spool)).toEqual(ids.slice(3));
  });

  it('whose results come after the message was deleted is simply over', async () => {
    const { spool } = await bench.open();
    const id = await store(spool, patternBytes(200_000));
    const lease = await leaseOne(spool);
    const body = lease.body()[Symbol.asyncIterator]();
    await body.next();
    await spool.delete(id);
    await expect(body.next()).rejects.toEqual(notFound);
    await spool.settle(lease, [result('delivered')], 0);
    expect(spool.leased).toBe(0);
    expect(spool.stats().messages).toEqual({ active: 0, deferred: 0, held: 0, parked: 0, failed: 0 });
  });
});

describe('a removal', () => {
  it('whose time comes while a commit is slow is made after it, with nothing else to write', async () => {
    const { spool } = await bench.open();
    const other = await store(spool, patternBytes(10));
    await store(spool, patternBytes(10));
    const [, lease] = await spool.lease('office', Date.now(), 2);
    if (lease === undefined) throw new Error('not leased');
    const { commits } = spool.stats();
    const batch = vi.spyOn(LmdbEnv.prototype, 'batch');
    batch.mockImplementationOnce(async function (this: LmdbEnv, write, bytes) {
      await this.batch(write, bytes);
      // Longer than a removal waits for company.
      await new Promise((resolve) => setTimeout(resolve, 150));
    });
    const held = spool.hold(other);
    await until(() => batch.mock.calls.length > 0);
    await spool.settle(lease, [result('delivered')], 0);
    await held;
    batch.mockRestore();
    await until(() => spool.stats().commits === commits + 2);
  });
});

describe('the operator', () => {
  it('holds a message, and releases it to be due at once', async () => {
    const { spool } = await bench.open();
    const id = await store(spool, patternBytes(10));
    await spool.hold(id);
    expect(spool.show(id).state).toBe('held');
    expect(await spool.lease('office', Date.now(), 1)).toEqual([]);
    const due: string[] = [];
    spool.onDue = (route) => due.push(route);
    spool.onRetry = (route) => due.push(`retry ${route}`);
    await spool.release(id);
    expect(due).toEqual(['retry office', 'office']);
    expect((await leaseOne(spool)).message.id).toBe(id);
  });

  it('holds a message that is under way: it stays held after that attempt', async () => {
    const { spool } = await bench.open();
    const id = await store(spool, patternBytes(10));
    const lease = await leaseOne(spool);
    await Promise.all([spool.hold(id), spool.settle(lease, [result('pending')], 0)]);
    expect(spool.show(id)).toMatchObject({
      state: 'held',
      recipients: [{ lastReply: '450 4.2.0 try later' }],
    });
    expect(await spool.lease('office', Date.now(), 1)).toEqual([]);
  });

  it('retries a deferred message before its time', async () => {
    const { spool } = await bench.open();
    const id = await store(spool, patternBytes(10));
    await spool.settle(await leaseOne(spool), [result('pending')], Date.now() + later);
    await spool.retry(id);
    expect((await leaseOne(spool)).message.id).toBe(id);
  });

  it('lists by state and route, in pages', async () => {
    const { spool } = await bench.open();
    const ids: string[] = [];
    for (let i = 0; i < 6; i++) {
      const recipients = [{ address: 'x@example.test', route: i % 2 === 0 ? 'office' : 'store' }];
      ids.push(await store(spool, patternBytes(10), { recipients }));
    }
    await spool.hold(ids[0] ?? '');
    const held = await spool.list({ state: 'held' }, { offset: 0, limit: 10 });
    expect(held).toMatchObject({ total: 1, messages: [{ id: ids[0], state: 'held' }] });
    const page = await spool.list({ route: 'store' }, { offset: 1, limit: 1 });
    expect(page).toMatchObject({ total: 3, messages: [{ id: ids[3] }] });
    expect((await listAll(spool)).messages.map(({ id }) => id)).toEqual(ids);
  });

  it('sees the top of a message', async () => {
    const { spool } = await bench.open();
    const body = patternBytes(200_000);
    const id = await store(spool, body);
    expect((await spool.read(id, 0, 70_000)).equals(body.subarray(0, 70_000))).toBe(true);
    expect((await spool.read(id, 0, 1_000_000)).equals(body)).toBe(true);
  });

  it('is told when there is no such message', async () => {
    const { spool } = await bench.open();
    const id = await store(spool, patternBytes(10));
    await spool.delete(id);
    expect(() => spool.show(id)).toThrow(notFound);
    await expect(spool.hold(id)).rejects.toEqual(notFound);
    await expect(spool.release(id)).rejects.toEqual(notFound);
    await expect(spool.retry(id)).rejects.toEqual(notFound);
    await expect(spool.delete(id)).rejects.toEqual(notFound);
    await expect(spool.read(id, 0, 10)).rejects.toEqual(notFound);
  });

  it('sees counts, bytes and age', async () => {
    const { spool } = await bench.open();
    await store(spool, patternBytes(100), { arrivedAtMs: 5000 });
    await store(spool, patternBytes(200), { arrivedAtMs: 4000 });
    expect(spool.stats()).toMatchObject({
      messages: { active: 2, deferred: 0, held: 0, failed: 0 },
      bytes: 300,
      oldestArrivedAtMs: 4000,
      files: 1,
    });
  });
});

describe('a closed spool', () => {
  it('takes nothing more', async () => {
    const { spool } = await bench.open();
    const open = spool.begin(Date.now());
    const closed = spool.close();
    const late = spool.begin(Date.now());
    late.write(patternBytes(100_000));
    await expect(late.commit(envelope())).rejects.toMatchObject({ code: 'SPOOL_CLOSED' });
    await closed;
    open.write(patternBytes(100_000));
    expect(open).toMatchObject({ congested: false, bytes: 100_000 });
    await expect(open.commit(envelope())).rejects.toMatchObject({ code: 'SPOOL_CLOSED' });
    open.abort();
    expect(spool.stats().bytesInFlight).toBe(0);
    expect(await spool.lease('office', Date.now(), 1)).toEqual([]);
    await spool.close();
  });

  it('refuses the calls of operator and relay as closed, not as a failing disk', async () => {
    const { spool, told } = await bench.open();
    for (let i = 0; i < 3; i++) await store(spool, patternBytes(10));
    const [waiting] = (await listAll(spool)).messages.map(({ id }) => id);
    const [first, second, third] = await spool.lease('office', Date.now(), 3);
    if (first === undefined || second === undefined || third === undefined) throw new Error('not leased');
    expect(first.message.id).toBe(waiting);
    spool.unlease(first);
    await spool.close();
    for (const call of ['hold', 'release', 'retry', 'delete'] as const)
      await expect(spool[call](waiting ?? '')).rejects.toMatchObject({ code: 'SPOOL_CLOSED' });
    const later = spool.settle(second, [result('pending')], Date.now());
    await expect(later).rejects.toMatchObject({ code: 'SPOOL_CLOSED' });
    await spool.settle(third, [result('delivered')], 0);
    // Longer than a removal waits for company.
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(told.failed).toEqual([]);
  });

  it('has finished what was being committed', async () => {
    const { spool } = await bench.open();
    const stored = store(spool, patternBytes(300_000));
    await new Promise((resolve) => setImmediate(resolve));
    const files = spool.openFiles();
    await spool.close();
    const id = await stored;
    const other = await bench.open();
    await other.spool.adopt(files, false);
    expect(other.spool.show(id).bytes).toBe(300_000);
  });
});

describe('many messages', () => {
  it('of several routes: 20 000 are stored, leased and delivered, each once', async () => {
    const { spool } = await bench.open();
    const ids = new Set<string>();
    for (let round = 0; round < 20; round++) {
      const recipients = [{ address: 'x@example.test', route: `route-${round % 4}` }];
      const stored = Array.from({ length: 1000 }, () => store(spool, patternBytes(200), { recipients }));
      for (const id of await Promise.all(stored)) ids.add(id);
    }
    expect(ids.size).toBe(20_000);
    expect(spool.stats().messages.active).toBe(20_000);
    const delivered: string[] = [];
    for (let route = 0; route < 4; route++) delivered.push(...(await deliverAll(spool, `route-${route}`)));
    expect(new Set(delivered)).toEqual(ids);
    expect(delivered.length).toBe(20_000);
    expect(spool.stats()).toMatchObject({ messages: { active: 0 }, bytes: 0 });
  });
});
