#!/usr/bin/env node
/**
 * `npm run bench:compare REF`: this tree's build against the one of another commit, in turn, so that no change slows the
 * hot path unseen. Prints the ratio of each pair and their median.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { describeMachine, machineFacts } from '../machine.mjs';
import { benchDirectory, builtMain, root } from '../server.mjs';
import { cases } from './cases.mjs';
import { measure, measureRelay } from './measure.mjs';
import { median } from './report.mjs';
import { peers } from './servers.mjs';

const usage = `
usage: npm run bench:compare -- REF [options]
  --only A,B     cases (b,p,c)
  --rounds N     pairs (5)
  --seconds N    of load in each half, after two of warm-up (5)
`;

/** @typedef {import('./measure.mjs').Figures} Figures */

/** The other commit's build, with this tree's packages where they are the same. @param {string} ref @param {string} directory */
function buildOf(ref, directory) {
  const tree = join(directory, 'base');
  execFileSync('git', ['worktree', 'add', '--quiet', '--detach', tree, ref], { cwd: root });
  const changed = spawnSync('git', ['diff', '--quiet', ref, '--', 'package-lock.json'], { cwd: root }).status !== 0; // prettier-ignore
  if (changed) execFileSync('npm', ['ci', '--ignore-scripts', '--no-fund', '--no-audit'], { cwd: tree });
  else symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: tree });
  return tree;
}

/** @param {import('./cases.mjs').Case} entry @param {string} main @param {number} seconds @param {string} directory @returns {Promise<Figures>} */
async function half(entry, main, seconds, directory) {
  const postern = peers.find(({ name }) => name === 'postern');
  if (postern === undefined) throw new Error('there is no Postern among the servers');
  const terms = { seconds, capacity: 0, directory };
  if (entry.load.kind === 'relay')
    return measureRelay(entry.load, (hopPort) => postern.start({ hopPort, main }), terms);
  const server = await postern.start({ hopPort: undefined, main });
  try {
    return await measure(entry.load, server, terms);
  } finally {
    await server.stop();
  }
}

/** @param {readonly Figures[]} mine @param {readonly Figures[]} base @param {keyof Figures} key */
function describe(mine, base, key) {
  const ratios = mine.map((figures, i) => (figures[key] ?? NaN) / (base[i]?.[key] ?? NaN));
  if (ratios.some(Number.isNaN)) return undefined;
  return `${key} × ${median(ratios).toFixed(3)} (${ratios.map((ratio) => ratio.toFixed(2)).join(' ')})`;
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: 'string', default: 'b,p,c' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '5' },
      help: { type: 'boolean', default: false },
    },
  });
  const [ref] = positionals;
  if (values.help || ref === undefined) {
    process[values.help ? 'stdout' : 'stderr'].write(usage);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  process.stderr.write(`${describeMachine(machineFacts())}\n`);
  const directory = benchDirectory();
  const ids = values.only.split(',');
  try {
    const baseMain = join(buildOf(ref, directory), 'dist/cli/main.js');
    for (const entry of cases.filter(({ id, load }) => ids.includes(id) && load.kind !== 'open')) {
      /** @type {Figures[]} */
      const mine = [];
      /** @type {Figures[]} */
      const base = [];
      for (let round = 0; round < Number(values.rounds); round++) {
        process.stderr.write(`${entry.id}, pair ${round + 1} of ${values.rounds} …\n`);
        const halves = [
          async () => mine.push(await half(entry, builtMain, Number(values.seconds), directory)),
          async () => base.push(await half(entry, baseMain, Number(values.seconds), directory)),
        ];
        if (round % 2 === 1) halves.reverse();
        for (const run of halves) await run();
      }
      const keys = /** @type {const} */ (['perSecond', 'cpuPer1000', 'rssMiB', 'p50Ms', 'p99Ms', 'kibPerConnection']); // prettier-ignore
      process.stdout.write(`${entry.id}, ${entry.title}: this tree against ${ref}\n`);
      for (const key of keys) {
        const line = describe(mine, base, key);
        if (line !== undefined) process.stdout.write(`  ${line}\n`);
      }
    }
  } finally {
    if (existsSync(join(directory, 'base')))
      execFileSync('git', ['worktree', 'remove', '--force', join(directory, 'base')], { cwd: root });
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();
