/** Queue files with little in them are emptied into the current one; nothing is lost or sent twice by it. */
import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { PosternError } from '../../src/base/errors.js';
import { listSpoolFiles } from '../../src/base/spool-files.js';
import { Generations } from '../../src/queue/generations.js';
import { LmdbEnv } from '../../src/queue/lmdb-env.js';
import type { Lease, Spool } from '../../src/queue/spool.js';
import {
  SpoolBench,
  bodyOf,
  deliverAll,
  leaseOne,
  listAll,
  patternBytes,
  result,
  store,
  until,
} from './harness.js';
import { Endless } from './processes.js';

const kib = 1024;
const quick = { generationBytes: 100 * kib, stragglerAfterMs: 20 };

let bench: SpoolBench;

beforeEach(async () => {
  bench = await SpoolBench.make();
});

afterEach(async () => {
  await bench.end();
});

describe('a full file with one held message', () => {
  it.each([300, 200_000])('of %i bytes is emptied and goes; the message is as it was', async (length) => {
    const { spool, told } = await bench.open({ ...quick, generationBytes: 1000 * kib });
    const [full = ''] = spool.openFiles();
    const body = patternBytes(length);
    const id = await store(spool, body);
    await spool.hold(id);
    const before = spool.show(id);
    await store(spool, patternBytes(1100 * kib));
    await until(() => spool.stats().files === 2);
    expect(told.retired).toEqual([]);
    await deliverAll(spool);
    await until(() => told.retired.includes(full));
    expect(existsSync(full)).toBe(false);
    expect(spool.show(id)).toEqual(before);
    expect(spool.stats()).toMatchObject({ files: 1, messages: { held: 1 }, bytes: length });
    const files = spool.openFiles();
    await spool.close();
    const { spool: next } = await bench.open();
    await next.adopt(files, false);
    await next.release(id);
    const lease = await leaseOne(next);
    expect((await bodyOf(lease)).equals(body)).toBe(true);
    await next.settle(lease, [result('delivered')], 0);
    expect((await listAll(next)).total).toBe(0);
  });

  it('that another process left is emptied as well', async () => {
    const first = await bench.open({ generationBytes: 1000 * kib });
    const id = await store(first.spool, patternBytes(300));
    await first.spool.hold(id);
    await store(first.spool, patternBytes(400 * kib));
    await deliverAll(first.spool);
    const files = first.spool.openFiles();
    await first.spool.close();
    const { spool, told } = await bench.open(quick);
    await spool.adopt(files, true);
    await until(() => told.retired.includes(files[0] ?? ''));
    expect(await listAll(spool)).toMatchObject({ total: 1, messages: [{ id, state: 'held' }] });
  });
});

/** A disk that is full for some files. */
class FullDisk {
  readonly files = new Set<string>();
  readonly refused: string[] = [];

  constructor() {
    const { files, refused } = this;
    // oxlint-disable-next-line unbound-method -- applied to its own below
    const batch = LmdbEnv.prototype.batch;
    vi.spyOn(LmdbEnv.prototype, 'batch').mockImplementation(async function (this: LmdbEnv, ...args) {
      if (!files.has(this.file)) return batch.apply(this, args);
      refused.push(this.file);
      throw new PosternError('SPOOL_FULL', 'no room');
    });
  }
}

/** Alone in an older file. */
async function storeStraggler(spool: Spool): Promise<{ id: string; body: Buffer }> {
  const body = patternBytes(300);
  const id = await store(spool, body);
  await spool.hold(id);
  await store(spool, patternBytes(1100 * kib));
  const { commits } = spool.stats();
  await deliverAll(spool);
  // The removal of what was delivered.
  await until(() => spool.stats().commits > commits);
  spool.giveBackSpace();
  await until(() => spool.stats().files === 2);
  return { id, body };
}

describe('on a full disk', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('a move whose old copy cannot be removed does not hold up the end; the message is there once', async () => {
    const { spool } = await bench.open({ stragglerAfterMs: 300 });
    const { id, body } = await storeStraggler(spool);
    const files = spool.openFiles();
    const [from = ''] = files;
    const disk = new FullDisk();
    disk.files.add(from);
    await until(() => disk.refused.includes(from));
    await spool.close();
    vi.restoreAllMocks();
    const { spool: next, told } = await bench.open();
    await next.adopt(files, false);
    expect(await next.select({})).toEqual([id]);
    expect((await next.read(id, 0, 1000)).equals(body)).toBe(true);
    expect(told.damaged).toEqual([]);
  });

  it('a copy that was given up is gone before the next is made in its file', async () => {
    const { spool, told } = await bench.open({ stragglerAfterMs: 1_500 });
    const { id, body } = await storeStraggler(spool);
    const [from = '', to = ''] = spool.openFiles();
    await Promise.all(Array.from({ length: 600 }, () => store(spool, patternBytes(10))));
    const leases = await spool.lease('office', Date.now(), 600);
    const disk = new FullDisk();
    disk.files.add(to);
    for (const lease of leases) await spool.settle(lease, [result('delivered')], 0);
    await until(() => disk.refused.length >= 2);
    disk.files.clear();
    await until(() => told.retired.includes(from));
    // Removals wait for company, and these are three times what one commit removes.
    await sleep(300);
    expect((await spool.read(id, 0, 1000)).equals(body)).toBe(true);
  }, 20_000);

  it('nothing moves while no file takes messages', async () => {
    const { spool, told } = await bench.open({ stragglerAfterMs: 300 });
    const { id, body } = await storeStraggler(spool);
    const [from = ''] = spool.openFiles();
    const none = vi.spyOn(Generations.prototype, 'current', 'get').mockReturnValue(undefined);
    await until(() => none.mock.calls.length > 0);
    await sleep(50);
    vi.restoreAllMocks();
    await until(() => told.retired.includes(from));
    expect((await spool.read(id, 0, 1000)).equals(body)).toBe(true);
  });
});

describe('while messages move', () => {
  it('any order of leases, outcomes and operator calls ends with each message delivered once, whole', async () => {
    const step = fc.record({ call: fc.nat(9), at: fc.nat(1000), bytes: fc.nat(60_000) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
        const { spool, told } = await bench.open({ generationBytes: 30 * kib, stragglerAfterMs: 10 });
        const world = new World(spool);
        for (const { call, at, bytes } of steps) {
          await world.step(call, at, bytes);
          if (at % 3 === 0) await sleep(5);
        }
        await world.end();
        expect(told.damaged).toEqual([]);
        expect(told.failed).toEqual([]);
        await until(() => spool.stats().files === 1);
        await spool.close();
      }),
      { numRuns: 8 },
    );
  });
});

/** What a queue should hold, told by what was done to it. */
class World {
  readonly #spool: Spool;
  readonly #bodies = new Map<string, Buffer>();
  readonly #leases: Lease[] = [];
  readonly #delivered: string[] = [];

  constructor(spool: Spool) {
    this.#spool = spool;
  }

  async step(call: number, at: number, bytes: number): Promise<void> {
    const ids = [...this.#bodies.keys()];
    const id = ids[at % Math.max(1, ids.length)] ?? '';
    const lease = this.#leases[0];
    if (call < 3) {
      const body = patternBytes(bytes, at + 1);
      this.#bodies.set(await store(this.#spool, body), body);
    } else if (call < 5) this.#leases.push(...(await this.#spool.lease('office', Date.now(), 1 + (at % 3))));
    else if (call === 5 && lease !== undefined) await this.#settle(lease, 'delivered');
    else if (call === 6 && lease !== undefined) await this.#settle(lease, 'pending');
    else if (call === 7 && ids.length > 0) await this.#spool.hold(id);
    else if (call === 8 && ids.length > 0) await this.#spool.release(id);
    else if (call === 9 && ids.length > 0 && at % 4 === 0) await this.#delete(id);
  }

  async end(): Promise<void> {
    for (const lease of this.#leases.splice(0)) await this.#settle(lease, 'pending');
    for (const id of this.#bodies.keys()) await this.#spool.release(id);
    while (this.#bodies.size > 0) {
      this.#leases.push(...(await this.#spool.lease('office', Date.now(), 10)));
      for (const lease of this.#leases.splice(0)) await this.#settle(lease, 'delivered');
      await sleep(2);
    }
    expect(new Set(this.#delivered).size).toBe(this.#delivered.length);
    expect((await listAll(this.#spool)).total).toBe(0);
  }

  async #settle(lease: Lease, state: 'delivered' | 'pending'): Promise<void> {
    this.#leases.splice(this.#leases.indexOf(lease), 1);
    const { id } = lease.message;
    const body = this.#bodies.get(id);
    if (body !== undefined) expect((await bodyOf(lease)).equals(body)).toBe(true);
    await this.#spool.settle(lease, [result(state)], 0);
    if (body === undefined || state === 'pending') return;
    this.#bodies.delete(id);
    this.#delivered.push(id);
  }

  async #delete(id: string): Promise<void> {
    await this.#spool.delete(id);
    this.#bodies.delete(id);
  }
}

describe('kill -9', { timeout: 60_000 }, () => {
  it('while messages move from file to file loses none and doubles none (F-01)', async () => {
    const acknowledged = new Map<string, Buffer>();
    const delivered = new Set<string>();
    for (let life = 0; life < 3; life++) {
      const files = (await listSpoolFiles(bench.directory)).map(({ file }) => file);
      const child = new Endless('stragglers', [bench.directory, `life-${life}`, ...files]);
      await until(() => child.lines.length > 150);
      await sleep(60 + 17 * life);
      await child.kill();
      for (const line of child.lines) {
        const [what, id = '', length, seed] = line.split(' ');
        if (what === 'delivered') delivered.add(id);
        else acknowledged.set(id, patternBytes(Number(length), Number(seed)));
      }
    }
    const { spool, told } = await bench.open();
    await spool.adopt(
      (await listSpoolFiles(bench.directory)).map(({ file }) => file),
      false,
    );
    expect(told.damaged).toEqual([]);
    const there = await spool.select({});
    expect(new Set(there).size).toBe(there.length);
    for (const id of acknowledged.keys()) if (!delivered.has(id)) expect(there, id).toContain(id);
    for (const id of there) {
      await spool.release(id);
      const sent = acknowledged.get(id);
      const kept = await spool.read(id, 0, 1_000_000);
      if (sent !== undefined) expect(kept.equals(sent), id).toBe(true);
    }
    expect(there.length).toBeGreaterThan(20);
  });
});
