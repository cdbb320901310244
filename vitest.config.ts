import { defineConfig } from 'vitest/config';

// `forks`: lmdb must not be opened in threads, and cluster code is tested on the built dist/.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    globalSetup: ['test/support/build.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
