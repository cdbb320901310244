import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import {
  listQuarantinedFiles,
  listSalvagedFiles,
  listSpoolFiles,
  lockFileOf,
  quarantineDirectory,
  quarantineSpoolFile,
  removeReservesBeyond,
  reserveFileOf,
  salvagedName,
  slotDirectory,
  slotOfQuarantined,
  spoolFilePath,
} from '../../src/base/spool-files.js';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-files-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

async function touch(file: string, content = ''): Promise<string> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
  return file;
}

describe('the queue files of a data directory', () => {
  it('are none before there is a queue', async () => {
    expect(await listSpoolFiles(join(directory, 'queue'))).toEqual([]);
  });

  it('are listed by slot with the incarnation that made them, which may have dashes of its own', async () => {
    const ten = await touch(spoolFilePath(directory, 10, 'life', 0));
    const second = await touch(spoolFilePath(directory, 2, 'a-b-c', 12));
    const first = await touch(spoolFilePath(directory, 2, 'a-b-c', 1));
    expect(await listSpoolFiles(directory)).toEqual([
      { slot: 2, file: first, incarnation: 'a-b-c' },
      { slot: 2, file: second, incarnation: 'a-b-c' },
      { slot: 10, file: ten, incarnation: 'life' },
    ]);
  });

  it('are no lock files, no strangers, nothing outside the slots', async () => {
    const file = await touch(spoolFilePath(directory, 0, 'life', 0));
    await touch(lockFileOf(file));
    await touch(join(slotDirectory(directory, 0), 'notes.txt'));
    await touch(join(directory, 'slot-x', 'life-0.mdb'));
    await touch(join(directory, 'life-0.mdb'));
    await touch(join(directory, 'slot-7'));
    expect((await listSpoolFiles(directory)).map((found) => found.file)).toEqual([file]);
  });

  it('in quarantine are listed until they are salvaged, and say where they come from', async () => {
    const files = [];
    for (const slot of [12, 3])
      files.push(
        await quarantineSpoolFile(directory, await touch(spoolFilePath(directory, slot, 'life', 0))),
      );
    expect(await listQuarantinedFiles(directory)).toEqual(files);
    expect(files.map(slotOfQuarantined)).toEqual([12, 3]);
    expect(slotOfQuarantined(join(quarantineDirectory(directory), 'by-hand.mdb'))).toBeUndefined();
    await rename(files[0] ?? '', salvagedName(files[0] ?? ''));
    expect(await listQuarantinedFiles(directory)).toEqual([files[1]]);
    expect(await listSalvagedFiles(directory)).toEqual([salvagedName(files[0] ?? '')]);
  });

  it('are out of the list in quarantine, with their bytes as they were (F-05)', async () => {
    const file = await touch(spoolFilePath(directory, 3, 'life', 0), 'content');
    await touch(lockFileOf(file));
    const moved = await quarantineSpoolFile(directory, file);
    expect(moved).toBe(join(directory, 'quarantine', 'slot-3-life-0.mdb'));
    expect(await readFile(moved, 'utf8')).toBe('content');
    expect(existsSync(lockFileOf(file))).toBe(false);
    expect(await listSpoolFiles(directory)).toEqual([]);
  });
});

describe('the reserves of slots', () => {
  it('go where there is no such worker any more, and queue files stay', async () => {
    const queue = join(directory, 'queue');
    const reserves = await Promise.all(
      [0, 1, 2, 10].map((slot) => touch(reserveFileOf(slotDirectory(queue, slot)))),
    );
    const left = await touch(spoolFilePath(queue, 2, 'dead', 0));
    await removeReservesBeyond(queue, 2);
    expect(reserves.map((file) => existsSync(file))).toEqual([true, true, false, false]);
    expect(existsSync(left)).toBe(true);
    await removeReservesBeyond(join(directory, 'nothing'), 2);
  });
});
