import { copyFile, open, readFile, truncate } from 'node:fs/promises';
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

  describe('of a file whose making the power cut short (F-04)', () => {
    const pageBytes = 4096;

    async function withoutPages(...pages: number[]): Promise<string> {
      const { spool } = await bench.open();
      const [fresh = ''] = spool.openFiles();
      const file = join(bench.directory, 'slot-0', 'cut-0.mdb');
      await copyFile(fresh, file);
      await spool.close();
      const handle = await open(file, 'r+');
      for (const page of pages) await handle.write(Buffer.alloc(pageBytes), 0, pageBytes, page * pageBytes);
      await handle.close();
      return file;
    }

    it('with neither meta page on the disk: nothing was ever queued in it', async () => {
      expect(await checkQueueFile(await withoutPages(0, 1))).toBe('empty');
    });

    it('with one meta page, which knows of no commit: nothing was ever queued in it', async () => {
      // The second page has the first commit, the first page none.
      const file = await withoutPages(1);
      expect(await checkQueueFile(file)).toBe('empty');
      const { spool, told } = await bench.open();
      await spool.adopt([file], false);
      expect(told.damaged).toEqual([]);
      await expect(readFile(file)).rejects.toThrow('ENOENT');
    });

    it('is not taken for one where a meta page tells of a commit, or holds something else', async () => {
      await expect(checkQueueFile(await withoutPages(0))).rejects.toThrow('not a queue file');
      const other = await withoutPages(0, 1);
      const handle = await open(other, 'r+');
      await handle.write(Buffer.from('something else'), 0, 14, 100);
      await handle.close();
      await expect(checkQueueFile(other)).rejects.toThrow('not a queue file');
    });

    it('is not taken for one when it is larger than a new file ever is', async () => {
      const file = await withoutPages(0, 1);
      await truncate(file, 2 ** 20 + pageBytes);
      await expect(checkQueueFile(file)).rejects.toThrow('not a queue file');
    });
  });
});
