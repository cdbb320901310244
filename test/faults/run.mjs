#!/usr/bin/env node
/**
 * The fault suites at full length, by hand; `npm run faults -- --help`. They are the tests of this folder with larger
 * numbers; what they measure goes to results.json, and from there to test/faults.md.
 */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

const usage = `npm run faults -- [OPTIONS]     builds, runs the named suites, keeps the figures in test/faults/results.json

  --cycles N          kill cycles under load (G-01 asks for 1000)
  --power-loss        crash images of recorded runs
  --images N          how many (1000, as G-04 asks)
  --system-calls      every failing system call of the queue alone, and --strikes of a server
  --strikes N         faults in the calls of a server under load (200, as G-02 asks)
  --restart           a start over 100 000 queued messages
  --seed N            makes the same choices as the run that printed it

Without a suite: all of them.
`;

const { values } = parseArgs({
  options: {
    cycles: { type: 'string' },
    'power-loss': { type: 'boolean', default: false },
    images: { type: 'string', default: '1000' },
    'system-calls': { type: 'boolean', default: false },
    restart: { type: 'boolean', default: false },
    strikes: { type: 'string', default: '200' },
    seed: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}

const everything =
  values.cycles === undefined && !values['power-loss'] && !values['system-calls'] && !values.restart;
const suites = [];
if (everything || values.cycles !== undefined) suites.push('kill-cycles');
if (everything || values['power-loss']) suites.push('power-loss');
if (everything || values['system-calls']) suites.push('system-calls');
if (everything || values.restart) suites.push('restart');

const root = resolve(import.meta.dirname, '../..');
const env = {
  ...process.env,
  FAULTS_KEEP_RESULTS: '1',
  FAULTS_CYCLES: values.cycles ?? '1000',
  FAULTS_IMAGES: values.images,
  FAULTS_QUEUED: '100000',
  FAULTS_SPOOL_RUNS: 'Infinity',
  FAULTS_SERVER_FAULTS: values.strikes,
  ...(values.seed === undefined ? {} : { FAULTS_SEED: values.seed }),
};
const files = suites.map((suite) => `test/faults/${suite}.test.ts`);
const { status } = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', ...files, '--disable-console-intercept=true'],
  { cwd: root, env, stdio: 'inherit' },
);
process.exitCode = status ?? 1;
