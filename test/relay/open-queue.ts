/** The real queue in a directory of its own, for tests of what stands on it; closed and removed when the test ends. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

import { openSpool } from '../../src/queue/lmdb-spool.js';
import type { Spool } from '../../src/queue/spool.js';

export async function openQueue(): Promise<Spool> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-relay-queue-'));
  const spool = await openSpool({
    directory,
    slot: 0,
    incarnation: 'test',
    smallMessageBytes: 65_520,
    bytesInFlight: 64 * 2 ** 20,
    commitTimeoutMs: 10_000,
    generationBytes: 2 ** 30,
    hooks: {
      phase: () => undefined,
      commit: () => undefined,
      failed: (error) => {
        throw error;
      },
      damaged: () => undefined,
      retired: () => undefined,
    },
  });
  onTestFinished(async () => {
    await spool.close();
    await rm(directory, { recursive: true });
  });
  return spool;
}
