import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { MessageWriter, Spool } from '../../src/queue/spool.js';
import { SpoolBench, bodyOf, envelope, leaseOne, patternBytes, room, store, until } from './harness.js';

const mib = 2 ** 20;

let bench: SpoolBench;

beforeEach(async () => {
  bench = await SpoolBench.make();
});

afterEach(async () => {
  await bench.end();
});

/** Writes without ever waiting, as a broken worker would. */
function pour(writer: MessageWriter, body: Buffer, sliceBytes = 16_384): void {
  for (let at = 0; at < body.length; at += sliceBytes) writer.write(body.subarray(at, at + sliceBytes));
}

async function checkNext(spool: Spool, body: Buffer): Promise<void> {
  expect((await bodyOf(await leaseOne(spool))).equals(body)).toBe(true);
}

describe('a message on its way in', () => {
  it('is congested when a megabyte of it waits for the disk, and told when it may go on', async () => {
    const { spool } = await bench.open();
    const body = patternBytes(3 * mib);
    const writer = spool.begin(Date.now());
    pour(writer, body.subarray(0, 2 * mib));
    expect(writer.congested).toBe(true);
    let told = 0;
    writer.onWritable = () => told++;
    await until(() => told > 0);
    expect(writer.congested).toBe(false);
    pour(writer, body.subarray(2 * mib));
    await writer.commit(envelope());
    await checkNext(spool, body);
    expect(spool.stats().bytesInFlight).toBe(0);
  });

  it('is small or large alike when it comes in slices of any size', async () => {
    const { spool } = await bench.open({ smallMessageBytes: 1000 });
    for (const sliceBytes of [1, 13, 999, 65_511, 65_512, 65_513, 200_000]) {
      const body = patternBytes(sliceBytes === 1 ? 5000 : 200_001, sliceBytes);
      await store(spool, body, {}, sliceBytes);
      await checkNext(spool, body);
    }
  });

  it('is not congested while it is small, and its bytes count', async () => {
    const { spool } = await bench.open();
    const writer = spool.begin(Date.now());
    writer.write(patternBytes(30_000));
    expect(writer).toMatchObject({ bytes: 30_000, congested: false });
    expect(spool.stats().bytesInFlight).toBe(30_000);
    writer.abort();
    expect(spool.stats().bytesInFlight).toBe(0);
  });

  it('leaves nothing of itself on disk when it is aborted half-way', async () => {
    const { spool } = await bench.open();
    const writer = spool.begin(Date.now());
    for (let i = 0; i < 20; i++) {
      writer.write(patternBytes(65_536, i));
      await room(writer);
    }
    writer.abort();
    const [file = ''] = spool.openFiles();
    await spool.close();
    const other = await bench.open();
    await other.spool.adopt([file], false);
    await until(() => other.told.retired.includes(file) || other.spool.stats().files === 1);
    expect(other.told.damaged).toEqual([]);
  });
});

describe('many messages at once', () => {
  it('stay inside the budget, by waiting, and all arrive', async () => {
    const bytesInFlight = 8 * mib;
    const { spool } = await bench.open({ bytesInFlight });
    let peakBytes = 0;
    const bodies = Array.from({ length: 40 }, (_, i) => patternBytes(mib + i, i + 1));
    await Promise.all(
      bodies.map(async (body) => {
        const writer = spool.begin(Date.now());
        for (let at = 0; at < body.length; at += 65_536) {
          writer.write(body.subarray(at, at + 65_536));
          peakBytes = Math.max(peakBytes, spool.stats().bytesInFlight);
          await room(writer);
        }
        await writer.commit(envelope());
      }),
    );
    expect(peakBytes).toBeLessThanOrEqual(bytesInFlight);
    expect(peakBytes).toBeGreaterThan(bytesInFlight / 4);
    expect(spool.stats()).toMatchObject({ bytesInFlight: 0, messages: { active: 40 } });
    const lengths = new Map(bodies.map((body) => [body.length, body]));
    for (let i = 0; i < 40; i++) {
      const lease = await leaseOne(spool);
      const body = lengths.get(lease.message.bytes) ?? Buffer.alloc(0);
      expect((await bodyOf(lease)).equals(body)).toBe(true);
    }
  });

  it('that all stop half-way do not stop a new one: what they hold is spilled to disk', async () => {
    const { spool } = await bench.open({ bytesInFlight: mib });
    const stalled = Array.from({ length: 30 }, (_, i) => {
      const writer = spool.begin(Date.now());
      writer.write(patternBytes(40_000, i + 1));
      return writer;
    });
    const body = patternBytes(300_000);
    await store(spool, body);
    await checkNext(spool, body);
    // And those that were spilled are whole when they go on.
    for (const [i, writer] of stalled.entries()) {
      await room(writer);
      writer.write(patternBytes(20_000, 100 + i));
      await writer.commit(envelope());
      await checkNext(spool, Buffer.concat([patternBytes(40_000, i + 1), patternBytes(20_000, 100 + i)]));
    }
  });

  it('wait in turn when the budget is small, each gets through', async () => {
    const { spool } = await bench.open({ bytesInFlight: 256 * 1024, smallMessageBytes: 32 * 1024 });
    await Promise.all(Array.from({ length: 30 }, (_, i) => store(spool, patternBytes(150_000, i + 1))));
    expect(spool.stats()).toMatchObject({ bytesInFlight: 0, messages: { active: 30 } });
  });
});
