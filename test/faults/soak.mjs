#!/usr/bin/env node
/**
 * Hours of churn; `npm run soak -- --help`. The tests soak.test.ts and queue-life.test.ts with larger numbers; figures go
 * to results.json.
 */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

const usage = `npm run soak -- [OPTIONS]

  --minutes N     how long (10)
  --faults        a kill in each period
  --period N      seconds between two looks (30)
  --senders N     at a time (24)
  --queue         a queue alone, without SMTP, for --messages instead of --minutes
  --messages N    how many (3000000)
  --seed N        makes the same choices as the run that printed it
`;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    faults: { type: 'boolean', default: false },
    period: { type: 'string', default: '30' },
    senders: { type: 'string', default: '24' },
    queue: { type: 'boolean', default: false },
    messages: { type: 'string', default: '3000000' },
    seed: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}
const suite = values.queue ? 'queue-life' : 'soak';
const { status } = spawnSync(
  process.execPath,
  [
    'node_modules/vitest/vitest.mjs',
    'run',
    `test/faults/${suite}.test.ts`,
    '--disable-console-intercept=true',
  ],
  {
    cwd: resolve(import.meta.dirname, '../..'),
    stdio: 'inherit',
    env: {
      ...process.env,
      FAULTS_KEEP_RESULTS: '1',
      FAULTS_QUEUE_MESSAGES: values.messages,
      FAULTS_SOAK_SECONDS: String(Number(values.minutes) * 60),
      FAULTS_SOAK_PERIOD: values.period,
      FAULTS_SOAK_SENDERS: values.senders,
      FAULTS_SOAK_FAULTS: values.faults ? '1' : '0',
      ...(values.seed === undefined ? {} : { FAULTS_SEED: values.seed }),
    },
  },
);
process.exitCode = status ?? 1;
