/** Files that the queue gives up, so that they are moved away and salvaged. */
import { existsSync } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { quarantineSpoolFile } from '../../../src/base/spool-files.js';
import { chunkKey, envelopeKey, formatKey } from '../../../src/queue/keys.js';
import { LmdbEnv } from '../../../src/queue/lmdb-env.js';
import { salvageFile } from '../../../src/queue/salvage/salvage.js';
import type { Spool } from '../../../src/queue/spool.js';
import { recordingLog } from '../../support/recording-log.js';
import { SpoolBench, deliverAll, patternBytes, store, until } from '../harness.js';
import { change, wipePage } from './harness.js';

let bench: SpoolBench;

beforeEach(async () => {
  bench = await SpoolBench.make();
});

afterEach(async () => {
  await bench.end();
});

/** What a process that is gone leaves. */
async function leave(fill: (spool: Spool) => Promise<void>): Promise<string> {
  const { spool } = await bench.open();
  await fill(spool);
  const [file = ''] = spool.openFiles();
  await spool.close();
  return file;
}

async function three(spool: Spool): Promise<void> {
  for (let i = 0; i < 3; i++) await store(spool, patternBytes(400, i));
}

const host = () => ({ directory: bench.directory, log: recordingLog().log, count: () => undefined });

/** Takes the file aside as the primary does. */
async function salvage(spool: Spool, file: string): ReturnType<typeof salvageFile> {
  return salvageFile(spool, await quarantineSpoolFile(bench.directory, file), host());
}

describe('F-13 a file that is refused as damaged', () => {
  test.each([
    ['its first page', (bytes: Buffer) => wipePage(bytes, 0)],
    ['its second page', (bytes: Buffer) => wipePage(bytes, 1)],
    ['both', (bytes: Buffer) => void bytes.fill(0, 0, 8192)],
  ])('in %s is given up without a crash, and every message in it is salvaged', async (_, edit) => {
    const file = await leave(three);
    await change(file, edit);
    const { spool, told } = await bench.open();
    await spool.adopt([file], false);
    expect(told.unusable.map((what) => what.file)).toEqual([file]);
    expect(await salvage(spool, file)).toMatchObject({ salvaged: 3, unreadable: 0 });
    expect(await deliverAll(spool)).toHaveLength(3);
  });

  test('by being cut short gives back what is left of it', async () => {
    const file = await leave(async (spool) => {
      await Promise.all(Array.from({ length: 400 }, async (_, i) => store(spool, patternBytes(300, i))));
    });
    await change(file, (bytes) => bytes.subarray(0, Math.floor(bytes.length * 0.7)));
    const { spool, told } = await bench.open();
    await spool.adopt([file], false);
    expect(told.unusable).toHaveLength(1);
    const { salvaged } = await salvage(spool, file);
    expect(salvaged).toBeGreaterThan(20);
    expect(await deliverAll(spool)).toHaveLength(salvaged);
  });

  test('F-39 a newer version’s, and what is none of ours, is not given up', async () => {
    const newer = await leave(three);
    const env = new LmdbEnv(newer, 10_000);
    await env.batch(() => env.put(formatKey, Buffer.from('postern-spool 99')));
    await env.close();
    const foreign = join(bench.directory, 'slot-0', 'foreign-0.mdb');
    await writeFile(foreign, patternBytes(50_000));
    const before = await Promise.all([newer, foreign].map(async (file) => readFile(file)));
    const { spool, told } = await bench.open();
    await spool.adopt([newer, foreign], false);
    expect(told.damaged.map(({ file }) => file)).toEqual([newer, foreign]);
    expect(told.unusable).toEqual([]);
    expect(await Promise.all([newer, foreign].map(async (file) => readFile(file)))).toEqual(before);
  });
});

/** Where the envelope lies, in every copy of its page. */
async function damageEnvelope(file: string, id: string): Promise<void> {
  const bytes = await readFile(file);
  const handle = await open(file, 'r+');
  const key = envelopeKey(id);
  for (let at = bytes.indexOf(key); at >= 0; at = bytes.indexOf(key, at + 1))
    await handle.write(Buffer.from([0xff]), 0, 1, at + key.length + 30);
  await handle.close();
}

describe('F-13 a record that is damaged', () => {
  test('keeps its file until all else has drained; then the file is given up, and the record reported', async () => {
    const ids: string[] = [];
    const file = await leave(async (spool) => {
      for (let i = 0; i < 3; i++) ids.push(await store(spool, patternBytes(400, i)));
    });
    await damageEnvelope(file, ids[1] ?? '');
    const { spool, told } = await bench.open();
    await spool.adopt([file], false);
    expect(told.damaged).toMatchObject([{ file, id: ids[1] }]);
    expect(told.unusable).toEqual([]);
    expect(await deliverAll(spool)).toHaveLength(2);
    await until(() => told.unusable.length > 0);
    expect([existsSync(file), spool.openFiles().includes(file)]).toEqual([true, false]);
    expect(await salvage(spool, file)).toMatchObject({ salvaged: 0, known: 0, unreadable: 1 });
  });

  test('found only when it is needed, as the last one, ends its file in the same way', async () => {
    const file = await leave(async (spool) => {
      await store(spool, patternBytes(90_000, 1));
    });
    const { spool, told } = await bench.open();
    await spool.adopt([file], false);
    const [id = ''] = await spool.select({});
    await damageEnvelope(file, id);
    expect(await spool.lease('office', Date.now(), 1)).toEqual([]);
    await until(() => told.unusable.length > 0);
    expect(told.unusable).toMatchObject([{ file }]);
  });

  test('is no reason to sweep out chunks that look as if they had no envelope', async () => {
    const ids: string[] = [];
    const file = await leave(async (spool) => {
      for (let i = 0; i < 2; i++) ids.push(await store(spool, patternBytes(90_000, i)));
    });
    const env = new LmdbEnv(file, 10_000);
    await env.batch(() => env.remove(envelopeKey(ids[0] ?? '')));
    await env.close();
    await damageEnvelope(file, ids[1] ?? '');
    const { spool } = await bench.open();
    await spool.adopt([file], false);
    await spool.close();
    const after = new LmdbEnv(file, 10_000);
    expect(ids.map((id) => after.get(chunkKey(id, 0))?.length)).toEqual([65_512, 65_512]);
    await after.close();
  });
});
