#!/usr/bin/env node
/**
 * `npm run bench:drippers`: what 10 000 connections that drip one byte every five seconds cost the others. In each pair the
 * same open-loop load runs with and without them on one server, in turning order; fails when good clients' p99 is more
 * than 1.5 times what it is without them (median of the pairs), or when a dripper outlives its deadline.
 */
import { fork } from 'node:child_process';
import { on } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { newRun, runLoad } from './load/load.mjs';
import { parseLoadOptions } from './load/options.mjs';
import { ServerUsage } from './load/server-usage.mjs';
import { machineFacts } from './machine.mjs';
import { root, startServer, startSilentHop } from './server.mjs';

const usage = `
usage: npm run bench:drippers -- [options]
  --drippers N    connections that drip (10000)
  --pairs N       (5)
  --rate N        messages per second of the good clients, open loop, 4 KiB (300)
  --seconds N     of load in each half (12)
  --out FILE      result file (bench/results/local/drippers-DATE.json)
`;
const deadlineSeconds = 30;
/** The timers' granularity, the way to the client, and a busy machine. */
const graceMs = 5_000;
const mostP99 = 1.5;
const settleMs = 1_000;
const warmUpSeconds = 3;
const dripperFile = join(import.meta.dirname, 'load/dripper.mjs');

/** @typedef {Awaited<ReturnType<typeof startServer>>} Server */
/** @typedef {{ type: 'gone', ends: Record<string, number>, longestMs: number }} Gone */
/** @typedef {{ p99Ms: number, bytesPerConnection: number, ends: Gone['ends'], longestMs: number }} Among */
/** @typedef {{ drippers: number, pairs: number, rate: number, seconds: number }} Plan */

/** @param {Plan} plan @param {boolean} drippersFirst */
async function pair(plan, drippersFirst) {
  const hop = await startSilentHop();
  const server = await startServer(hop.port, { commandTimeout: `${deadlineSeconds}s` });
  try {
    await goodClients(plan, server, warmUpSeconds);
    const first = drippersFirst ? await withDrippers(plan, server) : undefined;
    await sleep(settleMs);
    const aloneP99Ms = await goodClients(plan, server, plan.seconds);
    const among = first ?? (await withDrippers(plan, server));
    return { aloneP99Ms, ratio: among.p99Ms / aloneP99Ms, ...among };
  } finally {
    await server.stop();
    await hop.stop();
  }
}

/** @param {Plan} plan @param {Server} server @returns {Promise<Among>} */
async function withDrippers(plan, server) {
  const before = anonymousBytes(server.pid);
  const drippers = startDrippers(server.port, plan.drippers);
  try {
    await drippers.connected;
    await sleep(settleMs);
    const bytesPerConnection = Math.round((anonymousBytes(server.pid) - before) / plan.drippers);
    const p99Ms = await goodClients(plan, server, plan.seconds);
    const { ends, longestMs } = await drippers.gone;
    return { p99Ms, bytesPerConnection, ends, longestMs: Math.round(longestMs) };
  } finally {
    drippers.stop();
  }
}

/** @param {number} port @param {number} count */
function startDrippers(port, count) {
  const child = fork(dripperFile, [String(port), String(count)]);
  const messages = on(child, 'message');
  const receive = async () => (await messages.next()).value[0];
  child.once('exit', (code) => {
    void messages.throw?.(new Error(`the drippers' process ended with ${code}`));
  });
  /** @type {Promise<unknown>} */
  const connected = receive();
  /** @type {Promise<Gone>} */
  const gone = connected.then(() => receive());
  return { connected, gone, stop: () => child.kill() };
}

/** @param {Plan} plan @param {Server} server @param {number} seconds */
async function goodClients(plan, server, seconds) {
  const defaults = parseLoadOptions([], { run: newRun(), cores: cpus().length });
  if (!defaults.ok) throw new Error(defaults.message);
  const bounds = {
    messages: 0,
    sessions: 40,
    rate: plan.rate,
    durationMs: seconds * 1000,
    port: server.port,
  };
  const result = await runLoad({ ...defaults.options, ...bounds }, { quiet: true });
  if (result.counts.acked === 0 || result.counts.refused > 0)
    throw new Error(`good clients were refused: ${JSON.stringify(result.troubles)}`);
  const { p99Ms } = result.startTo250;
  if (p99Ms === null) throw new Error('no message of the good clients was measured');
  return p99Ms;
}

/** @param {number} pid RssAnon of the server's processes together */
function anonymousBytes(pid) {
  const usage = new ServerUsage(pid);
  usage.sample();
  return usage.peakRssAnonBytes;
}

/** @param {number[]} values */
function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

/** @returns {Plan & { out: string | undefined } | undefined} */
function planOfCommandLine() {
  const { values } = parseArgs({
    options: {
      drippers: { type: 'string', default: '10000' },
      pairs: { type: 'string', default: '5' },
      rate: { type: 'string', default: '300' },
      seconds: { type: 'string', default: '12' },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const { drippers, pairs, rate, seconds } = values;
  return {
    drippers: Number(drippers),
    pairs: Number(pairs),
    rate: Number(rate),
    seconds: Number(seconds),
    out: values.out,
  };
}

async function main() {
  const plan = planOfCommandLine();
  if (plan === undefined) {
    process.stdout.write(usage);
    return;
  }
  const machine = machineFacts();
  const rows = [];
  for (let at = 0; at < plan.pairs; at++) {
    const row = await pair(plan, at % 2 === 1);
    rows.push(row);
    process.stdout.write(`pair ${at + 1}: ${JSON.stringify(row)}\n`);
  }
  const ratio = Number(median(rows.map((row) => row.ratio)).toFixed(2));
  const longestMs = Math.max(...rows.map((row) => row.longestMs));
  const bytesPerConnection = median(rows.map((row) => row.bytesPerConnection));
  process.stdout.write(
    `${plan.drippers} drippers: p99 of good clients × ${ratio} (median of ${plan.pairs} pairs); the last dripper was gone after ${longestMs} ms of ${deadlineSeconds} s; ${bytesPerConnection} bytes of RssAnon per idle connection\n`,
  );
  const name = `drippers-${machine.date.replaceAll(':', '')}.json`;
  const out = plan.out ?? join(root, 'bench/results/local', name);
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(
    out,
    `${JSON.stringify({ machine, plan, ratio, longestMs, bytesPerConnection, rows }, undefined, 2)}\n`,
  );
  const isLate = longestMs > deadlineSeconds * 1000 + graceMs;
  if (ratio > mostP99 || isLate) process.exitCode = 1;
}

await main();
