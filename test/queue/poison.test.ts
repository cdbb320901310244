/** F-41: a message that brings its workers down is parked, and what was only near it is not. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { Lease, Spool } from '../../src/queue/spool.js';
import {
  SpoolBench,
  deliverAll,
  leaseOne,
  patternBytes,
  result,
  store,
  until,
  type TestSpool,
} from './harness.js';

let bench: SpoolBench;

beforeEach(async () => {
  bench = await SpoolBench.make();
});

afterEach(async () => {
  await bench.end();
});

/** What a death leaves: the leases that were under way are never heard of again. */
async function nextLife(before: Spool, blame: boolean): Promise<TestSpool> {
  const files = before.openFiles();
  await before.close();
  const after = await bench.open();
  await after.spool.adopt(files, blame);
  return after;
}

async function leaseAll(spool: Spool): Promise<Lease[]> {
  return spool.lease('office', Date.now(), 100);
}

describe('a message that was under way when the worker fell (F-41)', () => {
  it('is parked after three such deaths, with the reason, and stays so until it is released', async () => {
    let { spool, told } = await bench.open();
    const id = await store(spool, patternBytes(10));
    for (let death = 1; death <= 3; death++) {
      expect((await leaseOne(spool)).message.attempts).toBe(death);
      ({ spool, told } = await nextLife(spool, true));
    }
    const reason = '3 workers ended while it was being delivered by route office';
    expect(told.parked).toEqual([{ id, reason }]);
    expect(spool.show(id)).toMatchObject({ state: 'parked', parked: reason });
    expect(spool.stats().messages.parked).toBe(1);
    expect(spool.due().size).toBe(0);
    ({ spool, told } = await nextLife(spool, true));
    expect(spool.show(id)).toMatchObject({ state: 'parked', parked: reason });
    expect(told.parked).toEqual([]);
    await spool.release(id);
    expect(spool.show(id)).toMatchObject({ state: 'deferred', parked: '' });
    await leaseOne(spool);
    // Its count began anew.
    ({ spool } = await nextLife(spool, true));
    expect(spool.show(id).state).toBe('deferred');
  });

  it('may be retried as well, which clears it', async () => {
    let { spool } = await bench.open();
    const id = await store(spool, patternBytes(10));
    for (let death = 1; death <= 3; death++) {
      await leaseOne(spool);
      ({ spool } = await nextLife(spool, true));
    }
    await spool.retry(id);
    expect(spool.show(id).routes).toMatchObject([{ attempts: 3, ended: 3 }]);
    expect(await deliverAll(spool)).toEqual([id]);
  });

  it('is not blamed when the process was stopped or killed from outside, and that is kept with the next write', async () => {
    let { spool } = await bench.open();
    const id = await store(spool, patternBytes(10));
    for (let stop = 1; stop <= 5; stop++) {
      await leaseOne(spool);
      ({ spool } = await nextLife(spool, false));
    }
    expect(spool.show(id)).toMatchObject({ state: 'deferred', routes: [{ attempts: 5, ended: 5 }] });
    await leaseOne(spool);
    ({ spool } = await nextLife(spool, true));
    expect(spool.show(id).routes).toMatchObject([{ attempts: 6, ended: 5 }]);
  });

  it('counts only deaths: attempts that ended in a result, or were given back, are none', async () => {
    let { spool } = await bench.open();
    const id = await store(spool, patternBytes(10));
    for (let life = 1; life <= 4; life++) {
      await spool.settle(await leaseOne(spool), [result('pending')], 0);
      spool.unlease(await leaseOne(spool));
      ({ spool } = await nextLife(spool, false));
    }
    expect(spool.show(id).state).toBe('deferred');
    expect(await deliverAll(spool)).toEqual([id]);
  });
});

describe('suspects (F-41)', () => {
  it('are leased one at a time after two deaths, all others side by side', async () => {
    let { spool } = await bench.open();
    for (let i = 0; i < 3; i++) await store(spool, patternBytes(10));
    for (let death = 1; death <= 2; death++) {
      expect(await leaseAll(spool)).toHaveLength(3);
      ({ spool } = await nextLife(spool, true));
    }
    const fresh = await store(spool, patternBytes(10));
    const due: string[] = [];
    spool.onDue = (route) => due.push(route);
    const leased = await leaseAll(spool);
    expect(leased).toHaveLength(2);
    expect(leased.map(({ message }) => message.id)).toContain(fresh);
    expect(await leaseAll(spool)).toEqual([]);
    const suspect = leased.find(({ message }) => message.id !== fresh);
    if (suspect === undefined) throw new Error('no suspect was leased');
    await spool.settle(suspect, [result('delivered')], 0);
    await until(() => due.includes('office'));
    // An operator's delete ends a lease as well.
    const [second] = await leaseAll(spool);
    expect(await leaseAll(spool)).toEqual([]);
    due.length = 0;
    await spool.delete(second?.message.id ?? '');
    await until(() => due.includes('office'));
    expect(await leaseAll(spool)).toHaveLength(1);
  });

  it('that were only near the poison are delivered, and the poison alone is parked', async () => {
    let { spool, told } = await bench.open();
    const ids: string[] = [];
    for (let i = 0; i < 6; i++) ids.push(await store(spool, patternBytes(10)));
    const [poison = ''] = ids.slice(3);
    const delivered: string[] = [];
    // Each life leases what it can; the worker falls when the poison is among it, all else is delivered only then.
    for (let life = 0; life < 20 && told.parked.length === 0; life++) {
      const leases = await leaseAll(spool);
      if (leases.some(({ message }) => message.id === poison)) {
        ({ spool, told } = await nextLife(spool, true));
        continue;
      }
      for (const lease of leases) {
        await spool.settle(lease, [result('delivered')], 0);
        delivered.push(lease.message.id);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(async () => {
      delivered.push(...(await deliverAll(spool)));
      return delivered.length === ids.length - 1;
    });
    expect(told.parked.map(({ id }) => id)).toEqual([poison]);
    expect(delivered.toSorted()).toEqual(ids.filter((id) => id !== poison).toSorted());
  });
});
