import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { listQuarantinedFiles, quarantineSpoolFile } from '../../../src/base/spool-files.js';
import { LmdbEnv } from '../../../src/queue/lmdb-env.js';
import { formatKey } from '../../../src/queue/keys.js';
import { salvageFile } from '../../../src/queue/salvage/salvage.js';
import type { Spool } from '../../../src/queue/spool.js';
import { recordingLog } from '../../support/recording-log.js';
import { SpoolBench, bodyOf, leaseOne, patternBytes, result, store } from '../harness.js';
import { change } from './harness.js';

let bench: SpoolBench;
let counts: Record<string, number> = {};
const log = recordingLog();

beforeEach(async () => {
  bench = await SpoolBench.make();
  counts = {};
  log.lines.length = 0;
});

afterEach(async () => {
  await bench.end();
});

const host = () => ({
  directory: bench.directory,
  log: log.log,
  count: (result: string) => (counts[result] = (counts[result] ?? 0) + 1),
});

/** What a process that is gone leaves, moved away. */
async function quarantined(fill: (spool: Spool) => Promise<void>): Promise<string> {
  const { spool } = await bench.open();
  await fill(spool);
  const [file = ''] = spool.openFiles();
  await spool.close();
  return quarantineSpoolFile(bench.directory, file);
}

describe('F-05 what is readable in a quarantined file', () => {
  test('is in the queue again, with its states and attempts, and the file is kept under another name', async () => {
    const bodies = [patternBytes(500, 1), patternBytes(400_000, 2), patternBytes(70, 3)];
    const ids: string[] = [];
    const file = await quarantined(async (spool) => {
      for (const body of bodies) ids.push(await store(spool, body, { user: 'joe' }));
      const lease = await leaseOne(spool);
      await spool.settle(lease, [result('pending')], Date.now() + 3_600_000);
      await spool.hold(ids[1] ?? '');
    });
    const { spool } = await bench.open();
    const report = await salvageFile(spool, file, host());
    expect(report).toEqual({
      file: `${file}.salvaged`,
      salvaged: 3,
      known: 0,
      unreadable: 0,
      damagedPlaces: 0,
    });
    expect([existsSync(file), existsSync(report.file)]).toEqual([false, true]);
    expect(await listQuarantinedFiles(bench.directory)).toEqual([]);
    expect(counts).toEqual({ stored: 3 });
    expect(log.events()).toEqual(['queue.salvaged']);
    expect(ids.map((id) => spool.show(id).state)).toEqual(['deferred', 'held', 'active']);
    expect(spool.show(ids[0] ?? '')).toMatchObject({ attempts: 1, user: 'joe' });
    await spool.release(ids[1] ?? '');
    for (const body of [bodies[1], bodies[2]]) {
      const lease = await leaseOne(spool, 'office', Date.now() + 1000);
      expect((await bodyOf(lease)).equals(body ?? Buffer.alloc(0))).toBe(true);
    }
  });

  test('what the queue has already is known, and not stored twice', async () => {
    const { spool } = await bench.open();
    const id = await store(spool, patternBytes(100));
    const copy = `${bench.directory}/slot-0/copy-0.mdb`;
    await copyFile(spool.openFiles()[0] ?? '', copy);
    const file = await quarantineSpoolFile(bench.directory, copy);
    expect(await salvageFile(spool, file, host())).toMatchObject({ salvaged: 0, known: 1, unreadable: 0 });
    expect(counts).toEqual({ known: 1 });
    expect(spool.stats().messages.active).toBe(1);
    await spool.delete(id);
  });

  test('what is not whole is named and never stored', async () => {
    const bodies = [patternBytes(90_000, 1), patternBytes(90_000, 2)];
    const ids: string[] = [];
    const file = await quarantined(async (spool) => {
      for (const body of bodies) ids.push(await store(spool, body));
    });
    await change(file, (bytes) => {
      const at = bytes.indexOf((bodies[1] ?? Buffer.alloc(0)).subarray(20_000, 20_064));
      bytes[at] = (bytes[at] ?? 0) ^ 0x80;
    });
    const { spool } = await bench.open();
    const report = await salvageFile(spool, file, host());
    expect(report).toMatchObject({ salvaged: 1, known: 0, unreadable: 1 });
    expect(counts).toEqual({ stored: 1, unreadable: 1 });
    expect(log.lines).toMatchObject([
      { event: 'queue.salvage', qid: ids[1] },
      { event: 'queue.salvaged', salvaged: 1, unreadable: 1 },
    ]);
    expect(() => spool.show(ids[1] ?? '')).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
    expect(spool.show(ids[0] ?? '').bytes).toBe(90_000);
    expect(spool.stats().bytesInFlight).toBe(0);
  });

  test('an older state of the file may have been delivered: each such message is named', async () => {
    const file = await quarantined(async (spool) => {
      for (let i = 0; i < 3; i++) await store(spool, patternBytes(100, i));
    });
    await change(file, (bytes) => {
      bytes.fill(0, 0, 8192);
    });
    const { spool } = await bench.open();
    expect(await salvageFile(spool, file, host())).toMatchObject({ salvaged: 3 });
    expect(log.lines.at(-1)).toMatchObject({ event: 'queue.salvaged', uncertain: 3 });
    expect(log.events().filter((event) => event === 'queue.salvage')).toHaveLength(3);
  });
});

describe('what is left alone', () => {
  test('F-39 a file of a newer format', async () => {
    const file = await quarantined(async (spool) => {
      await store(spool, patternBytes(100));
    });
    const env = new LmdbEnv(file, 10_000);
    await env.batch(() => env.put(formatKey, Buffer.from('postern-spool 99')));
    await env.close();
    const { spool } = await bench.open();
    await expect(salvageFile(spool, file, host())).rejects.toMatchObject({ code: 'SPOOL_FORMAT' });
    expect(existsSync(file)).toBe(true);
  });

  test('files outside the quarantine, and names that are not there', async () => {
    const { spool } = await bench.open();
    const [own = ''] = spool.openFiles();
    for (const file of [own, '/etc/passwd', `${bench.directory}/quarantine/../slot-0/${basename(own)}`])
      await expect(salvageFile(spool, file, host())).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(salvageFile(spool, `${bench.directory}/quarantine/none.mdb`, host())).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  test('a file whose messages cannot be stored now: what was stored is known the next time', async () => {
    const file = await quarantined(async (spool) => {
      for (let i = 0; i < 200; i++) await store(spool, patternBytes(2000, i));
    });
    const first = await bench.open();
    const stored = first.spool.openFiles();
    const salvaging = salvageFile(first.spool, file, host());
    const [error] = await Promise.all([salvaging.catch((caught: unknown) => caught), first.spool.close()]);
    expect(error).toMatchObject({ code: 'SPOOL_CLOSED' });
    expect(existsSync(file)).toBe(true);
    const { spool } = await bench.open();
    await spool.adopt(stored, false);
    const report = await salvageFile(spool, file, host());
    expect(report.salvaged + report.known).toBe(200);
    expect(spool.stats().messages.active).toBe(200);
  });
});
