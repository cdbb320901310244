import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

import { DiskRoom } from '../../src/queue/disk-room.js';

it('F-06 a reserve that cannot be freed is told once, and never thrown into a refused commit', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'postern-room-'));
  // A folder in its place: it can be neither written nor unlinked, as on a disk that has turned read-only.
  await mkdir(join(directory, 'reserve', 'x'), { recursive: true });
  const told: unknown[] = [];
  const room = new DiskRoom(directory, {
    full: () => undefined,
    stillFull: () => Promise.resolve(),
    roomAgain: () => Promise.resolve(true),
    reserveStuck: (error) => told.push(error),
  });
  expect(room.giveBackReserve()).toBe(false);
  room.begin();
  await room.close();
  expect(room.giveBackReserve()).toBe(false);
  expect(told).toEqual([expect.any(Error)]);
  await rm(directory, { recursive: true });
});
