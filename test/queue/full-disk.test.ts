/** The built queue on a disk that runs full: a small tmpfs in a mount namespace of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { runOnSmallDisk, whyNoSmallDisk } from './processes.js';

const noDisk = whyNoSmallDisk();
const why = noDisk === undefined ? '' : ` (skipped: ${noDisk})`;

let parent: string;
let disk: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'postern-queue-'));
  // Directly below, so that the child finds a place that is not on the small disk.
  disk = await mkdtemp(join(parent, 'disk-'));
});

afterEach(async () => {
  await rm(parent, { recursive: true });
});

const filled = { refused: ['SPOOL_FULL'], listedAll: true, some: true, failed: [], unhandled: 0 };
const drained = { deferredAll: true, deliveredAll: true, failed: [], unhandled: 0 };

describe.skipIf(noDisk !== undefined)(`a full disk${why}`, { timeout: 60_000 }, () => {
  it.each([3000, 60_000, 300_000])(
    'refuses mail of %i bytes and nothing else: all that was acknowledged is deferred and delivered, then mail flows again (F-06)',
    async (bytes) => {
      const { printed, stderr } = await runOnSmallDisk(disk, 16, [
        ['full-disk', `${disk}/queue`, 'fill-drain', String(bytes)],
      ]);
      expect(JSON.parse(printed.join(''))).toEqual({ ...filled, ...drained, full: [true, false] });
      // LMDB says so of a write that found no room, and may write past the end of that very message (mdb.c, 100 bytes):
      // a heap overflow, so it is not let into a full disk at all.
      expect(stderr).not.toContain('Write error');
    },
  );

  it('lets a process begin that finds not a page free: it delivers what the last one left, then takes mail (F-06)', async () => {
    const { printed } = await runOnSmallDisk(disk, 16, [
      ['full-disk', `${disk}/queue`, 'fill', '20000'],
      ['full-disk', `${disk}/queue`, 'drain'],
    ]);
    const [first = '', second = ''] = printed;
    expect(JSON.parse(first)).toEqual({ ...filled, full: [true] });
    expect(JSON.parse(second)).toEqual({ ...filled, ...drained, full: [true, false] });
  });
});
