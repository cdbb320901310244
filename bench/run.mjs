#!/usr/bin/env node
/**
 * `npm run bench`: every load case of cases.mjs against Postern from dist/, then the micro benches; prints a table and
 * writes JSON. Within five minutes on two cores. bench/README.md says how to read it.
 */
import { execFile, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

import { cases } from './cases.mjs';
import { newRun, runLoad } from './load/load.mjs';
import { parseLoadOptions } from './load/options.mjs';
import { describeMachine, machineFacts } from './machine.mjs';
import { describeDepth, watchQueueDepth } from './queue-depth.mjs';
import { root, startServer, startSilentHop, startSink, until } from './server.mjs';

/** @typedef {import('./cases.mjs').Case} Case */
/** @typedef {Awaited<ReturnType<typeof runLoad>>} LoadResult */
/** @typedef {Awaited<ReturnType<typeof startServer>>} Server */
/** @typedef {LoadResult & { relay?: { seconds: number, messagesPerSecond: number, queueDepth: number[] }, scrape?: { requests: number, p50Ms: number, p99Ms: number } }} Figures */
/** @typedef {Figures & { name: string }} Row */

const usage = `
usage: npm run bench -- [options]
  --seconds N     per load case, after a warm-up (8)
  --only WORD     cases whose name contains WORD; no micro benches
  --no-micro      without the micro benches
  --out FILE      result file (bench/results/local/DATE.json)
  --readme        put the table into bench/README.md
`;
const warmUpSeconds = 2;
const scrapesPerSecond = 20;
/** Longer than any relay case should take; past it the bench fails rather than waits. */
const relayTimeoutMs = 120_000;

/** @param {Case} entry @param {number} seconds @param {number} capacity */
async function runCase(entry, seconds, capacity) {
  if (entry.kind === 'relay') {
    const sink = await startSink();
    return withServer(entry, sink, (server) => relayCase(entry, server, sink, seconds));
  }
  return withServer(entry, await startSilentHop(), (server) => {
    if (entry.kind === 'scrape') return scrapeCase(entry, server, seconds);
    const rate = Math.round((entry.ofCapacity ?? 0) * capacity);
    return load(entry, server, { durationMs: seconds * 1000, rate });
  });
}

/** @param {Case} entry @param {{ port: number, stop: () => Promise<void> }} hop @param {(server: Server) => Promise<Figures>} measure @returns {Promise<Row>} */
async function withServer(entry, hop, measure) {
  const server = await startServer(hop.port);
  try {
    await load(entry, server, { durationMs: warmUpSeconds * 1000 });
    return { name: entry.name, ...(await measure(server)) };
  } finally {
    await server.stop();
    await hop.stop();
  }
}

/** @param {Case} entry @param {{ port: number, pid: number }} server @param {Partial<import('./load/options.mjs').LoadOptions>} bounds */
async function load(entry, server, bounds) {
  const defaults = parseLoadOptions([], { run: newRun(), cores: cpus().length });
  if (!defaults.ok) throw new Error(defaults.message);
  const options = {
    ...defaults.options,
    messages: 0,
    port: server.port,
    serverPid: server.pid,
    ...entry.load,
    ...bounds,
  };
  return runLoad({ ...options, sessions: Math.max(options.sessions, options.processes) });
}

/** Until the sink has all of it: the warm-up's messages too, which are taken off by waiting for them first.
 *  @param {Case} entry @param {{ port: number, pid: number, adminUrl: string }} server @param {{ count: () => Promise<number> }} sink @param {number} seconds
 *  @returns {Promise<Figures>} */
async function relayCase(entry, server, sink, seconds) {
  await quiet(sink);
  const before = await sink.count();
  const depth = watchQueueDepth(server.adminUrl);
  const startedMs = performance.now();
  const result = await load(entry, server, { durationMs: seconds * 1000 });
  const wanted = before + result.counts.acked;
  await until('the sink has every message', async () => (await sink.count()) >= wanted, relayTimeoutMs);
  const relaySeconds = (performance.now() - startedMs) / 1000;
  const queueDepth = await depth.stop();
  const messagesPerSecond = Number((result.counts.acked / relaySeconds).toFixed(1));
  return {
    ...result,
    relay: { seconds: Number(relaySeconds.toFixed(2)), messagesPerSecond, queueDepth },
  };
}

/** @param {{ count: () => Promise<number> }} sink */
async function quiet(sink) {
  let last = -1;
  await until(
    'the sink is quiet after the warm-up',
    async () => {
      const now = await sink.count();
      const same = now === last;
      last = now;
      await new Promise((done) => setTimeout(done, 300));
      return same;
    },
    relayTimeoutMs,
  );
}

/** @param {Case} entry @param {{ port: number, pid: number, adminUrl: string }} server @param {number} seconds @returns {Promise<Figures>} */
async function scrapeCase(entry, server, seconds) {
  const args = [
    '-j',
    '-c',
    '2',
    '-R',
    String(scrapesPerSecond),
    '-d',
    String(seconds),
    `${server.adminUrl}/metrics`,
  ];
  const scraping = promisify(execFile)(process.execPath, [
    fileURLToPath(import.meta.resolve('autocannon')),
    ...args,
  ]);
  const result = await load(entry, server, { durationMs: seconds * 1000 });
  const { requests, latency, non2xx, errors } = JSON.parse((await scraping).stdout);
  if (non2xx + errors > 0) throw new Error(`/metrics failed ${non2xx + errors} times under load`);
  return {
    ...result,
    scrape: { requests: requests.total, p50Ms: latency.p50, p99Ms: latency.p99 },
  };
}

/** @param {Row[]} rows */
function table(rows) {
  const head = ['case', 'msg/s', 'MB/s', 'CPU s/1000', 'RSS MiB', 'RssAnon MiB', 'dot→250 p50', 'p99 ms'];
  const cells = rows.map(({ name, server, dotTo250, startTo250, options, ...row }) => {
    const latency = options.rate > 0 ? startTo250 : dotTo250;
    const figures = [
      server?.cpuSecondsPer1000,
      server?.peakRssMiB,
      server?.peakRssAnonMiB,
      latency.p50Ms,
      latency.p99Ms,
    ];
    return [name, row.messagesPerSecond, row.megabytesPerSecond, ...figures].map((cell) =>
      String(cell ?? '-'),
    );
  });
  const all = [head, ...cells];
  const widths = head.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  const lines = all.map((line) => {
    const padded = line.map((cell, i) =>
      i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
    );
    return `| ${padded.join(' | ')} |`;
  });
  lines.splice(
    1,
    0,
    `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`,
  );
  return lines.join('\n');
}

/** @param {Row[]} rows the sentences under the table: what has no column */
function remarks(rows) {
  return rows.flatMap(({ name, relay, scrape, counts, options, troubles }) => [
    ...(options.rate > 0
      ? [`${name}: ${options.rate} messages/s offered; latency from the intended start`]
      : []),
    ...(relay === undefined
      ? []
      : [
          `${name}: all ${counts.acked} at the sink after ${relay.seconds} s, ${relay.messagesPerSecond} messages/s end to end`,
          `${name}: ${describeDepth(relay.queueDepth)}`,
        ]),
    ...(scrape === undefined
      ? []
      : [`${name}: ${scrape.requests} scrapes, p50 ${scrape.p50Ms} ms, p99 ${scrape.p99Ms} ms`]),
    ...Object.entries(troubles).map(([what, n]) => `${name}: ${n} × ${what}`),
  ]);
}

/** The benches of bench/micro, by vitest's own runner. @returns {unknown} its report, or null when there is none */
function runMicro() {
  const directory = join(root, 'bench/micro');
  if (!existsSync(directory) || !readdirSync(directory).some((name) => name.includes('.bench.'))) return null;
  const work = mkdtempSync(join(tmpdir(), 'postern-micro-'));
  try {
    const report = join(work, 'micro.json');
    const vitest = join(root, 'node_modules/vitest/vitest.mjs');
    const args = [vitest, 'bench', '--run', '--dir', 'bench/micro', '--outputJson', report];
    const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, POSTERN_SKIP_BUILD: '1' } }); // prettier-ignore
    if (status !== 0) throw new Error(`the micro benches ended with ${status}`);
    return JSON.parse(readFileSync(report, 'utf8'));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** @param {string} text takes the place of what stands after the heading of the last results */
function updateReadme(text) {
  const file = join(root, 'bench/README.md');
  const heading = '## Last results\n\n';
  const [before] = readFileSync(file, 'utf8').split(heading);
  writeFileSync(file, `${before}${heading}${text}`);
}

async function main() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '8' },
      only: { type: 'string' },
      'no-micro': { type: 'boolean', default: false },
      out: { type: 'string' },
      readme: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const machine = machineFacts();
  const facts = describeMachine(machine);
  process.stdout.write(`${facts}\n\n`);
  /** @type {Row[]} */
  const rows = [];
  for (const entry of cases.filter(({ name }) => name.includes(values.only ?? ''))) {
    process.stderr.write(`${entry.name} …\n`);
    rows.push(await runCase(entry, Number(values.seconds), rows[0]?.messagesPerSecond ?? 1000));
  }
  const micro = values['no-micro'] || values.only !== undefined ? null : runMicro();
  const text = `${table(rows)}\n\n${remarks(rows).map((line) => `- ${line}`).join('\n')}\n`; // prettier-ignore
  process.stdout.write(`\n${text}`);
  if (values.readme) updateReadme(`${facts}\n\n${text}`);
  const out = values.out ?? join(root, 'bench/results/local', `${machine.date.replaceAll(':', '')}.json`);
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, `${JSON.stringify({ machine, rows, micro }, undefined, 2)}\n`);
  process.stdout.write(`\nwritten to ${out}\n`);
}

await main();
