#!/usr/bin/env node
/**
 * Breaks the rules one at a time (mutations.mjs) on copies of the tree and runs the tests that name them: each must turn
 * red. `npm run mutate -- --help`. Ends with 1 when a patch survives, breaks more than its rule, or no longer fits.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { root } from '../support/citations.mjs';
import { mutations } from './mutations.mjs';

/** @typedef {import('./mutations.mjs').Mutation} Mutation */
/** @typedef {{ testResults: { message: string, assertionResults: { status: string }[] }[] }} Report */

const usage = `npm run mutate -- [OPTIONS]     breaks ${mutations.length} rules, one at a time

  --only ID     the patches of one rule or attack; may be given several times
  --sample N    every n-th patch, for a quick look
  --jobs N      at once (2)
  --check       only whether each patch fits
`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    sample: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '2' },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}

const misfits = mutations.filter(
  ({ file, find }) => readFileSync(join(root, file), 'utf8').split(find).length !== 2,
);
for (const { rule, file, find } of misfits)
  console.log(`${rule}: not exactly once in ${file}: ${find.trim()}`);
if (values.check || misfits.length > 0) process.exit(misfits.length > 0 ? 1 : 0);

const chosen = mutations.filter(
  ({ rule }, at) =>
    (values.only.length === 0 || values.only.includes(rule)) && at % Number(values.sample) === 0,
);
const scratch = mkdtempSync(join(tmpdir(), 'postern-mutate-'));
const queue = [...chosen];
/** @type {{ mutation: Mutation, outcome: string, seconds: number }[]} */
const results = [];
const startedAt = performance.now();
try {
  await Promise.all(
    Array.from({ length: Number(values.jobs) }, (_, job) => work(join(scratch, String(job)))),
  );
} finally {
  rmSync(scratch, { recursive: true });
}
report();

/** One copy of the tree, patched and restored again and again. @param {string} copy */
async function work(copy) {
  for (const part of ['src', 'test', 'config', 'deploy', 'package.json', 'tsconfig.json'])
    cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  writeFileSync(
    join(copy, 'vitest.config.mjs'),
    'export default { test: { pool: "forks", testTimeout: 20000 } };\n',
  );
  for (let mutation = queue.shift(); mutation !== undefined; mutation = queue.shift()) {
    const path = join(copy, mutation.file);
    const text = readFileSync(path, 'utf8');
    const since = performance.now();
    writeFileSync(
      path,
      text.replace(mutation.find, () => mutation.put),
    );
    const outcome = await outcomeOf(copy, mutation);
    writeFileSync(path, text);
    results.push({ mutation, outcome, seconds: (performance.now() - since) / 1000 });
    console.log(`${results.length}/${chosen.length} ${mutation.rule} ${outcome}`);
  }
}

/** `red` is what it should be. @param {string} copy @param {Mutation} mutation @returns {Promise<string>} */
function outcomeOf(copy, { rule, test }) {
  const file = join(copy, 'report.json');
  rmSync(file, { force: true });
  const options = ['run', test, '-t', rule, '--bail', '1', '--reporter=json', `--outputFile=${file}`];
  const child = spawn(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), ...options], {
    cwd: copy,
    stdio: 'ignore',
    env: { ...process.env, FUZZ_SECONDS: '3', MODEL_RUNS: '500' },
  });
  return new Promise((resolve) => {
    child.on('close', () => {
      try {
        /** @type {Report} */
        const { testResults } = JSON.parse(readFileSync(file, 'utf8'));
        const states = testResults.flatMap(({ assertionResults }) =>
          assertionResults.map(({ status }) => status),
        );
        if (states.includes('failed')) resolve('red');
        else if (states.includes('passed')) resolve('SURVIVED');
        else resolve(`NO TEST RAN ${testResults[0]?.message.split('\n')[0] ?? ''}`);
      } catch {
        resolve('NO REPORT');
      }
    });
  });
}

function report() {
  const faults = results.filter(({ outcome }) => outcome !== 'red');
  const order = new Map(chosen.map((mutation, at) => [mutation, at]));
  results.sort((a, b) => (order.get(a.mutation) ?? 0) - (order.get(b.mutation) ?? 0));
  console.log('\nrule   outcome   s     file');
  for (const { mutation, outcome, seconds } of results)
    console.log(
      `${mutation.rule}  ${outcome.padEnd(8)}  ${seconds.toFixed(1).padStart(4)}  ${mutation.file}`,
    );
  const rules = new Set(
    results.filter(({ outcome }) => outcome === 'red').map(({ mutation }) => mutation.rule),
  );
  const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1);
  console.log(
    `\n${results.length - faults.length} of ${results.length} patches turn red, ${rules.size} rules, ${minutes} min`,
  );
  for (const { mutation, outcome } of faults)
    console.log(`${outcome}: ${mutation.rule} ${mutation.file}: ${mutation.find}`);
  process.exitCode = faults.length > 0 ? 1 : 0;
}
