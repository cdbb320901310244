import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { listSpoolFiles } from '../../src/base/spool-files.js';
import {
  SpoolBench,
  bodyOf,
  deliverAll,
  envelope,
  leaseOne,
  patternBytes,
  room,
  store,
  until,
} from './harness.js';

const kib = 1024;

let bench: SpoolBench;

beforeEach(async () => {
  bench = await SpoolBench.make();
});

afterEach(async () => {
  await bench.end();
});

describe('a full queue file', () => {
  it('makes way for the next one and goes when its last message has gone', async () => {
    const { spool, told } = await bench.open({ generationBytes: 100 * kib });
    const first = await store(spool, patternBytes(150_000));
    const [full = ''] = spool.openFiles();
    await until(() => spool.stats().files === 2);
    const second = await store(spool, patternBytes(1000));
    expect(told.retired).toEqual([]);
    const lease = await leaseOne(spool);
    expect(lease.message.id).toBe(first);
    expect((await bodyOf(lease)).equals(patternBytes(150_000))).toBe(true);
    await spool.delete(first);
    await until(() => told.retired.length === 1);
    expect(told.retired).toEqual([full]);
    expect(existsSync(full)).toBe(false);
    expect(spool.show(second).bytes).toBe(1000);
  });

  it('keeps a message that began in it, to its end', async () => {
    const { spool, told } = await bench.open({ generationBytes: 100 * kib });
    const body = patternBytes(400_000);
    const writer = spool.begin(Date.now());
    writer.write(body.subarray(0, 200_000));
    await until(() => spool.stats().files === 2);
    await store(spool, patternBytes(10));
    expect(told.retired).toEqual([]);
    for (let at = 200_000; at < body.length; at += 50_000) {
      writer.write(body.subarray(at, at + 50_000));
      await room(writer);
    }
    await writer.commit(envelope());
    const leases = await spool.lease('office', Date.now(), 10);
    const lease = leases.find(({ message }) => message.id === writer.id);
    expect(lease !== undefined && (await bodyOf(lease)).equals(body)).toBe(true);
  });

  it('is followed by more while mail goes in and out; no file stays behind', async () => {
    const { spool, told } = await bench.open({ generationBytes: 50 * kib });
    let delivered = 0;
    for (let round = 0; round < 40; round++) {
      await Promise.all(Array.from({ length: 10 }, (_, i) => store(spool, patternBytes(8 * kib, i))));
      delivered += (await deliverAll(spool)).length;
    }
    await until(async () => (await listSpoolFiles(bench.directory)).length === 1);
    expect(delivered).toBe(400);
    expect(told.retired.length).toBeGreaterThan(5);
    expect(spool.stats().files).toBe(1);
    expect(told.failed).toEqual([]);
  });
});
