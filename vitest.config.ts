import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Tests of whole servers wait more than they compute: they may stand two side by side on a small machine.
const wholeServers = ['test/e2e/**/*.test.ts', 'test/faults/**/*.test.ts'];
/** They measure memory, or time out a server on purpose: alone on the machine. */
const alone = ['test/e2e/flow.test.ts', 'test/e2e/process-faults.test.ts', 'test/faults/*.test.ts'];

export default defineConfig({
  test: {
    // lmdb must not be opened in threads, and cluster code is tested on the built dist/.
    pool: 'forks',
    globalSetup: ['test/support/build.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: wholeServers,
          // One more than cores: vitest itself takes one less, and most of these wait for processes and clocks.
          maxWorkers: availableParallelism() + 1,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: wholeServers,
          exclude: alone,
          maxWorkers: 2,
          benchmark: { include: [] },
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: alone,
          fileParallelism: false,
          benchmark: { include: [] },
          sequence: { groupOrder: 2 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
