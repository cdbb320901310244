#!/usr/bin/env node
/** The fuzzers for as long as one likes: `npm run fuzz -- --help`. They are the tests of this folder with more time. */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(`npm run fuzz -- [OPTIONS]     a find is made small and kept in test/fuzz/corpus

  --seconds N   for each of the fuzzers (60)
  --seed N      makes the same inputs as the run that printed it
`);
  process.exit(0);
}
const { status } = spawnSync('npx', ['vitest', 'run', 'test/fuzz'], {
  cwd: resolve(import.meta.dirname, '../..'),
  stdio: 'inherit',
  env: {
    ...process.env,
    POSTERN_SKIP_BUILD: '1',
    FUZZ_KEEP: '1',
    FUZZ_SECONDS: values.seconds,
    ...(values.seed === undefined ? {} : { FUZZ_SEED: values.seed }),
  },
});
process.exit(status ?? 1);
