#!/usr/bin/env node
/**
 * `npm run bench:peers`: the same loads against Postern and whatever else is installed, in one run, in turning order.
 * Medians of the rounds, ratios within a round. peers/README.md says how each server is set up.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

import { describeMachine, machineFacts } from '../machine.mjs';
import { benchDirectory, root } from '../server.mjs';
import { cases, needs } from './cases.mjs';
import { barChart } from './chart.mjs';
import { measure, measureRelay } from './measure.mjs';
import { caseTable, median, valuesOf } from './report.mjs';
import { peers } from './servers.mjs';
import { syncsBefore250 } from './syncs.mjs';

/**
 * @typedef {import('./cases.mjs').Case} Case
 * @typedef {import('./servers.mjs').Peer} Peer
 * @typedef {import('./measure.mjs').Figures} Figures
 * @typedef {import('./report.mjs').Row} Row
 */

const usage = `
usage: npm run bench:peers -- [options]
  --servers A,B     of ${peers.map(({ name }) => name).join(', ')}
  --only A,B        cases: ${cases.map(({ id }) => id).join(', ')}
  --rounds N        (3)
  --seconds N       of load, after two of warm-up (5)
  --out FILE        result file (bench/results/local/peers-DATE.json)
  --readme          tables and charts to bench/peers/RESULTS.md
`;

/** @typedef {{ rounds: number, seconds: number, cases: readonly Case[], peers: readonly Peer[] }} Plan */

/** @param {Plan} plan */
async function runAll(plan) {
  const directory = benchDirectory();
  /** @type {Row[]} */
  const rows = plan.cases.flatMap(
    (entry) =>
    plan.peers.filter((peer) => needs(entry.load).every((need) => peer.can.includes(need))).map(({ name }) => ({ caseId: entry.id, peer: name, rounds: [] })), // prettier-ignore
  );
  const failures = [];
  let left = rows.length * plan.rounds;
  try {
    for (let round = 0; round < plan.rounds; round++)
      for (const entry of plan.cases)
        for (const peer of turned(plan.peers, round)) {
          const row = rows.find(({ caseId, peer: name }) => caseId === entry.id && name === peer.name);
          if (row === undefined) continue;
          process.stderr.write(`round ${round + 1} of ${plan.rounds}, ${entry.id}, ${peer.name} (${left--} to go) …\n`); // prettier-ignore
          const capacity = rows.find(({ caseId, peer: name }) => caseId === 'b' && name === peer.name)?.rounds[round]?.perSecond; // prettier-ignore
          try {
            row.rounds[round] = await runOne(entry, peer, { seconds: plan.seconds, capacity: capacity ?? 0, directory }); // prettier-ignore
          } catch (error) {
            const failure = `${entry.id}, ${peer.name}: ${error instanceof Error ? error.message : String(error)}`;
            process.stderr.write(`  ${failure}\n`);
            failures.push(failure);
          }
        }
    return { rows, failures, syncs: await askForSyncs(plan.peers, directory) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** @param {Case} entry @param {Peer} peer @param {import('./measure.mjs').Terms} terms @returns {Promise<Figures>} */
async function runOne(entry, peer, terms) {
  if (entry.load.kind === 'open' && terms.capacity === 0) throw new Error('case b has to come before it, for its rate'); // prettier-ignore
  if (entry.load.kind === 'relay')
    return measureRelay(entry.load, (hopPort) => peer.start({ hopPort }), terms);
  const server = await peer.start({ hopPort: undefined });
  try {
    return await measure(entry.load, server, terms);
  } finally {
    await server.stop();
  }
}

/** @param {readonly Peer[]} all @param {string} directory @returns {Promise<Map<string, boolean>>} */
async function askForSyncs(all, directory) {
  /** @type {Map<string, boolean>} */
  const syncs = new Map();
  for (const peer of all.filter(({ can }) => can.includes('mail'))) {
    const server = await peer.start({ hopPort: undefined });
    try {
      syncs.set(peer.name, await syncsBefore250(server, directory));
    } finally {
      await server.stop();
    }
  }
  return syncs;
}

/** @template T @param {readonly T[]} all @param {number} by */
function turned(all, by) {
  const at = by % all.length;
  return [...all.slice(at), ...all.slice(0, at)];
}

/** @param {string} key @param {string} text @param {readonly string[]} known */
function choice(key, text, known) {
  const names = text.split(',');
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new TypeError(`--${key}: expected some of ${known.join(', ')}, found ${unknown}`); // prettier-ignore
  return names;
}

/** @param {readonly Row[]} rows @param {string} caseId @param {'perSecond' | 'cpuPer1000'} key @param {ReadonlyMap<string, boolean>} syncs */
function chartOf(rows, caseId, key, syncs) {
  const title = key === 'perSecond' ? 'messages per second' : 'CPU seconds per 1000 messages';
  const bars = rows
    .filter((row) => row.caseId === caseId && valuesOf(row, key).length > 0)
    .map((row) => ({ label: row.peer, value: median(valuesOf(row, key)) }))
    .toSorted((a, b) => (key === 'perSecond' ? b.value - a.value : a.value - b.value))
    .map(({ label, value }) => ({
      label,
      value,
      text: `${key === 'perSecond' ? value.toFixed(0) : value.toFixed(3)}${syncs.get(label) === true ? ', on disk' : ''}`,
      colour: colourOf(label, syncs),
    }));
  const what = cases.find(({ id }) => id === caseId)?.title ?? caseId;
  return barChart(`${what}: ${title}`, bars);
}

/** @param {string} peer @param {ReadonlyMap<string, boolean>} syncs @returns {import('./chart.mjs').Bar['colour']} */
function colourOf(peer, syncs) {
  if (peer === 'postern') return 'own';
  return syncs.get(peer) === true ? 'syncs' : 'other';
}

async function main() {
  const { values } = parseArgs({
    options: {
      servers: { type: 'string', default: peers.map(({ name }) => name).join(',') },
      only: { type: 'string', default: cases.map(({ id }) => id).join(',') },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '5' },
      out: { type: 'string' },
      readme: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const names = choice('servers', values.servers, peers.map(({ name }) => name)); // prettier-ignore
  const ids = choice('only', values.only, cases.map(({ id }) => id)); // prettier-ignore
  const absent = peers.flatMap((peer) => (names.includes(peer.name) ? (peer.missing() ?? []) : []));
  for (const line of absent) process.stderr.write(`left out: ${line}\n`);
  const plan = {
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    cases: cases.filter(({ id }) => ids.includes(id)),
    peers: peers.filter((peer) => names.includes(peer.name) && peer.missing() === undefined),
  };
  const machine = machineFacts();
  const facts = describeMachine(machine);
  process.stderr.write(`${facts}\n`);
  const { rows, failures, syncs } = await runAll(plan);
  const tables = plan.cases.map((entry) => caseTable(rows, entry, syncs)).filter((table) => table !== '');
  const heard = failures.map((failure) => `- not measured: ${failure}\n`).join('');
  const text = `${facts}\n\n${plan.rounds} rounds of ${plan.seconds} s.\n\n${tables.join('\n')}\n${heard}`;
  process.stdout.write(`\n${text}`);
  const out =
    values.out ?? join(root, 'bench/results/local', `peers-${machine.date.replaceAll(':', '')}.json`);
  mkdirSync(dirname(out), { recursive: true });
  const { rounds, seconds } = plan;
  writeFileSync(out, `${JSON.stringify({ machine, rounds, seconds, rows, failures, syncs: Object.fromEntries(syncs) }, undefined, 2)}\n`); // prettier-ignore
  process.stderr.write(`written to ${out}\n`);
  if (values.readme) keep(text, rows, syncs);
  if (failures.length > 0) process.exitCode = 1;
}

/** @param {string} text @param {readonly Row[]} rows @param {ReadonlyMap<string, boolean>} syncs */
function keep(text, rows, syncs) {
  const charts = /** @type {const} */ ([['b', 'perSecond'], ['b', 'cpuPer1000'], ['p', 'perSecond']]); // prettier-ignore
  const pictures = charts
    .filter(([caseId, key]) => rows.some((row) => row.caseId === caseId && valuesOf(row, key).length > 0))
    .map(([caseId, key]) => {
      const name = `peers-${caseId}-${key === 'perSecond' ? 'rate' : 'cpu'}.svg`;
      writeFileSync(join(root, 'bench/results', name), chartOf(rows, caseId, key, syncs));
      return `![case ${caseId}](../results/${name})\n`;
    });
  writeFileSync(join(root, 'bench/peers/RESULTS.md'), `# Side by side\n\nMade by \`npm run bench:peers -- --readme\`.\n\n${pictures.join('\n')}\n${text}`); // prettier-ignore
}

await main();
