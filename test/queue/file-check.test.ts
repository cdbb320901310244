import { copyFile, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { checkQueueFile } from '../../src/queue/file-check.js';
import { SpoolBench, deliverAll, patternBytes, store } from './harness.js';

let bench: SpoolBench;

beforeEach(async () => {
  bench = await SpoolBench.make();
});

afterEach(async () => {
  await bench.end();
});

describe('the check before a queue file is mapped', () => {
  it('takes a file whose free pages at the end are missing, and what is in it is still delivered (F-13)', async () => {
    const { spool } = await bench.open();
    for (let i = 0; i < 20; i++) await store(spool, patternBytes(3000, i));
    const large = await store(spool, patternBytes(600_000));
    await spool.delete(large);
    const [file = ''] = spool.openFiles();
    await spool.close();
    const whole = (await readFile(file)).length;
    const cut = join(bench.directory, 'slot-0', 'cut-0.mdb');
    await copyFile(file, cut);
    await truncate(cut, whole - 400_000);
    expect(await checkQueueFile(cut)).toBe('whole');
    const other = await bench.open();
    await other.spool.adopt([cut], false);
    for (let i = 0; i < 20; i++) await store(other.spool, patternBytes(3000, i));
    expect((await deliverAll(other.spool)).length).toBe(40);
    expect(other.told.damaged).toEqual([]);
  });

  it('walks the trees of a short file: one page fewer than they need is a truncated file', async () => {
    const { spool } = await bench.open();
    for (let i = 0; i < 400; i++) await store(spool, patternBytes(300, i));
    const [file = ''] = spool.openFiles();
    await spool.close();
    const verdicts: string[] = [];
    for (let bytes = (await readFile(file)).length; bytes > 8192; bytes -= 4096) {
      await truncate(file, bytes);
      verdicts.push(
        await checkQueueFile(file).catch((error: unknown) => (error instanceof Error ? error.name : '')),
      );
    }
    const firstCut = verdicts.indexOf('PosternError');
    expect(verdicts[0]).toBe('whole');
    expect(firstCut).toBeGreaterThan(0);
    expect(new Set(verdicts.slice(firstCut))).toEqual(new Set(['PosternError']));
  });
});
