/** Lists, filters, shapes, reading in parts, and the way back in. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { QueueFilter, Spool, StoredEnvelope } from '../../src/queue/spool.js';
import {
  SpoolBench,
  bodyOf,
  envelope,
  leaseOne,
  listAll,
  patternBytes,
  result,
  room,
  store,
} from './harness.js';

let bench: SpoolBench;

beforeEach(async () => {
  bench = await SpoolBench.make();
});

afterEach(async () => {
  await bench.end();
});

const minuteMs = 60_000;

function to(address: string, route = 'office'): { recipients: { address: string; route: string }[] } {
  return { recipients: [{ address, route }] };
}

/** Name → id of five messages that differ in what filters look at. */
async function fill(spool: Spool): Promise<Record<string, string>> {
  const now = Date.now();
  const ids = {
    old: await store(spool, patternBytes(10), { ...to('a@One.test'), arrivedAtMs: now - 90 * minuteMs }),
    bounce: await store(spool, patternBytes(10), { ...to('b@two.test'), reversePath: '' }),
    mx: await store(spool, patternBytes(10), to('c@three.test', 'out/three.test')),
    failed: await store(spool, patternBytes(10), { ...to('d@one.test'), reversePath: 'Boss@Example.COM' }),
    held: await store(spool, patternBytes(10), to('e@one.test')),
  };
  await spool.hold(ids.held);
  for (const lease of await spool.lease('office', now + minuteMs, 10))
    if (lease.message.id === ids.failed) {
      const lastReply = '550 5.7.1 Relaying DENIED';
      await spool.settle(lease, [{ address: 'd@one.test', state: 'failed', lastReply }], 0);
    } else spool.unlease(lease);
  return ids;
}

describe('filters', () => {
  it.each<[QueueFilter, string[]]>([
    [{}, ['old', 'bounce', 'mx', 'failed', 'held']],
    [{ state: 'held' }, ['held']],
    [{ route: 'office' }, ['old', 'bounce', 'failed', 'held']],
    [{ route: 'out' }, ['mx']],
    [{ route: 'out/three.test' }, []],
    [{ domain: 'one.test' }, ['old', 'failed', 'held']],
    [{ sender: '<>' }, ['bounce']],
    [{ sender: 'boss@example.com' }, ['failed']],
    [{ sender: '@example.com' }, ['failed']],
    [{ sender: 'ample.com' }, []],
    [{ recipient: 'A@one.test' }, ['old']],
    [{ olderThanMs: 60 * minuteMs }, ['old']],
    [{ youngerThanMs: 60 * minuteMs, domain: 'one.test' }, ['failed', 'held']],
    [{ error: 'denied' }, ['failed']],
    [{ error: 'denied', state: 'active' }, []],
  ])('%j gives %j', async (filter, names) => {
    const { spool } = await bench.open();
    const ids = await fill(spool);
    const wanted = names.map((name) => ids[name]);
    expect(await spool.select(filter)).toEqual(wanted);
    const { total, messages } = await spool.list(filter, { offset: 0, limit: 100 });
    expect([total, messages.map(({ id }) => id)]).toEqual([wanted.length, wanted]);
  });

  it('count all of 5000 messages, show a page of them, and let mail flow meanwhile', async () => {
    const { spool } = await bench.open();
    await Promise.all(Array.from({ length: 5000 }, (_, i) => store(spool, patternBytes(20, i))));
    let turns = 0;
    const counting = setInterval(() => turns++, 0);
    const listed = spool.list({ domain: 'example.test' }, { offset: 4990, limit: 20 });
    const late = store(spool, patternBytes(10));
    const { total, messages } = await listed;
    clearInterval(counting);
    expect([total, messages.length]).toEqual([5000, 10]);
    expect(messages.map(({ id }) => id)).not.toContain(await late);
    expect(turns).toBeGreaterThan(3);
  });
});

describe('the shape of the queue', () => {
  it('is counted by the domains that still have mail coming, and by age', async () => {
    const { spool } = await bench.open();
    const ids = await fill(spool);
    const nowMs = Date.now();
    const { ageMinutes, rows } = await spool.shape(nowMs);
    expect(ageMinutes).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1280]);
    expect(rows).toEqual([
      { domain: 'one.test', counts: [2, 0, 0, 0, 0, 1, 0, 0, 0, 0] },
      { domain: 'three.test', counts: [1, 0, 0, 0, 0, 0, 0, 0, 0, 0] },
      { domain: 'two.test', counts: [1, 0, 0, 0, 0, 0, 0, 0, 0, 0] },
    ]);
    await spool.delete(ids['old'] ?? '');
    expect((await spool.shape(nowMs)).rows[0]).toEqual({
      domain: 'one.test',
      counts: [2, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    });
  });

  it('names a hundred domains, the rest is one row', async () => {
    const { spool } = await bench.open();
    for (let i = 0; i < 130; i++)
      await store(spool, patternBytes(5), { recipients: [{ address: `a@d${i}.test`, route: 'office' }] });
    const { rows } = await spool.shape(Date.now());
    expect(rows).toHaveLength(101);
    expect(rows.at(-1)).toEqual({ domain: '', counts: [30, 0, 0, 0, 0, 0, 0, 0, 0, 0] });
  });
});

describe('a message in parts', () => {
  it('is whole however it is asked for', async () => {
    const { spool } = await bench.open();
    const body = patternBytes(300_000);
    const id = await store(spool, body);
    for (const limit of [1000, 65_512, 65_513, 299_999, 400_000]) {
      const parts: Buffer[] = [];
      for (let at = 0; ; at += limit) {
        const part = await spool.read(id, at, limit);
        if (part.length === 0) break;
        parts.push(part);
      }
      expect(Buffer.concat(parts).equals(body)).toBe(true);
    }
    for (const at of [299_000, 5, 150_000, 65_512])
      expect((await spool.read(id, at, 70_000)).equals(body.subarray(at, at + 70_000))).toBe(true);
    expect(await spool.read(id, 300_000, 10)).toHaveLength(0);
  });

  it('of several messages at a time do not mix', async () => {
    const { spool } = await bench.open();
    const bodies = Array.from({ length: 12 }, (_, i) => patternBytes(200_000 + i, i + 1));
    const ids = await Promise.all(bodies.map((body) => store(spool, body)));
    for (let at = 0; at < 220_000; at += 50_000) {
      const parts = await Promise.all(ids.map((id) => spool.read(id, at, 50_000)));
      for (const [i, part] of parts.entries())
        expect(part.equals(bodies[i]?.subarray(at, at + 50_000) ?? Buffer.alloc(0))).toBe(true);
    }
  });
});

/** All that a message keeps, out of one queue and into another. */
async function carry(from: Spool, to: Spool, id: string): Promise<void> {
  const writer = to.restore(id);
  for (let at = 0; ;) {
    const part = await from.read(id, at, 100_000);
    if (part.length === 0) break;
    writer.write(part);
    await room(writer);
    at += part.length;
  }
  await writer.commit(from.show(id));
}

describe('a message with a history', () => {
  it.each([0, 500, 1_000_000])('of %i bytes comes back as it was', async (length) => {
    const { spool } = await bench.open();
    const body = patternBytes(length);
    const id = await store(spool, body, {
      recipients: [
        {
          address: 'a@a.test',
          route: 'office',
          notify: ['SUCCESS', 'DELAY'],
          originalRecipient: 'rfc822;x@a.test',
        },
        { address: 'b@b.test', route: 'out/b.test', notify: [] },
      ],
      ret: 'HDRS',
      envelopeId: 'QQ+2B1',
      isNotification: true,
    });
    const attempt = { route: 'office', atMs: 5, hop: 'mx:25', reply: '450 later' };
    await spool.settle(await leaseOne(spool), [result('pending', 'a@a.test')], Date.now() + 5000, {
      attempt,
    });
    await spool.settle(await leaseOne(spool, 'out/b.test'), [result('bounced', 'b@b.test')], 0);
    const other = await bench.open({ slot: 1 });
    const due: string[] = [];
    other.spool.onDue = (route) => due.push(route);
    await carry(spool, other.spool, id);
    expect(other.spool.show(id)).toEqual(spool.show(id));
    expect(other.spool.show(id).attemptLog).toEqual([attempt]);
    expect(due).toContain('office');
    const lease = await leaseOne(other.spool, 'office', Date.now() + 10_000);
    expect(lease.message.attempts).toBe(2);
    expect((await bodyOf(lease)).equals(body)).toBe(true);
    await other.spool.settle(lease, [result('delivered', 'a@a.test')], 0);
    expect((await listAll(other.spool)).total).toBe(0);
  });

  it('survives the process like any other, held as it was', async () => {
    const { spool } = await bench.open();
    const id = await store(spool, patternBytes(100));
    await spool.hold(id);
    const other = await bench.open({ slot: 1 });
    await carry(spool, other.spool, id);
    const files = other.spool.openFiles();
    await other.spool.close();
    const third = await bench.open({ slot: 1 });
    await third.spool.adopt(files, true);
    expect(third.spool.show(id)).toEqual(spool.show(id));
  });

  it('is refused when it is here already, or on its way', async () => {
    const { spool } = await bench.open();
    const id = await store(spool, patternBytes(10));
    const exists = expect.objectContaining({ code: 'EXISTS' });
    expect(() => spool.restore(id)).toThrow(exists);
    const stored: StoredEnvelope = spool.show(id);
    await spool.delete(id);
    const writer = spool.restore(id);
    expect(() => spool.restore(id)).toThrow(exists);
    writer.abort();
    const again = spool.restore(id);
    again.write(patternBytes(10));
    await again.commit(stored);
    expect(spool.show(id).bytes).toBe(10);
    expect(() => spool.restore('../../../etc/pass')).toThrow(expect.objectContaining({ code: 'BAD_IMPORT' }));
  });
});

describe('what an attempt leaves', () => {
  it('are the last ten attempts, in one line of printable ASCII each', async () => {
    const { spool } = await bench.open();
    const id = await store(spool, patternBytes(10), envelope());
    for (let i = 0; i < 12; i++) {
      const attempt = {
        route: 'office',
        atMs: i,
        hop: 'mx.test:25',
        reply: `45${i % 10} \r\n${'x'.repeat(300)}`,
      };
      await spool.settle(await leaseOne(spool), [result('pending')], 0, { attempt });
    }
    const { attemptLog } = spool.show(id);
    expect(attemptLog.map(({ atMs }) => atMs)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(attemptLog.at(-1)?.reply).toBe(`451 ??${'x'.repeat(250)}`);
  });

  it('is that all recipients delivered or bounced end the message, and one that failed keeps it', async () => {
    const { spool } = await bench.open();
    const recipients = ['a@a.test', 'b@a.test', 'c@a.test'].map((address) => ({ address, route: 'office' }));
    for (const last of ['bounced', 'failed'] as const) {
      await store(spool, patternBytes(10), { recipients });
      const results = [
        result('delivered', 'a@a.test'),
        result('bounced', 'b@a.test'),
        result(last, 'c@a.test'),
      ];
      await spool.settle(await leaseOne(spool), results, 0);
    }
    expect(spool.stats().messages).toEqual({ active: 0, deferred: 0, held: 0, parked: 0, failed: 1 });
  });
});

describe('two operators at one message', () => {
  it('delete it once, and the second hears that it is gone', async () => {
    const { spool } = await bench.open();
    const kept = await store(spool, patternBytes(10));
    const id = await store(spool, patternBytes(10));
    const both = await Promise.allSettled([spool.delete(id), spool.delete(id)]);
    expect(both).toMatchObject([{ status: 'fulfilled' }, { reason: { code: 'NOT_FOUND' } }]);
    expect(spool.stats()).toMatchObject({ messages: { active: 1 }, bytes: 10 });
    expect((await listAll(spool)).messages.map((message) => message.id)).toEqual([kept]);
  });

  it.each(['hold', 'release', 'retry'] as const)(
    'one deletes it, the other would %s it: it is not tried again',
    async (call) => {
      const { spool, told } = await bench.open();
      const id = await store(spool, patternBytes(10));
      const both = await Promise.allSettled([spool.delete(id), spool[call](id)]);
      expect(both).toMatchObject([{ status: 'fulfilled' }, { reason: { code: 'NOT_FOUND' } }]);
      expect(spool.due().size).toBe(0);
      expect(await spool.lease('office', Date.now(), 1)).toEqual([]);
      expect(told.damaged).toEqual([]);
    },
  );
});
