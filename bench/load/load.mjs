#!/usr/bin/env node
/**
 * SMTP load: `node bench/load/load.mjs --help`. Forks the client processes, shows progress, samples what the server uses,
 * adds up and prints. As a library: `runLoad(options)`.
 */
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';

import { Histogram } from './histogram.mjs';
import { idLength, messageId } from './message.mjs';
import { parseLoadOptions, usage } from './options.mjs';
import { Progress } from './progress.mjs';
import { ServerUsage } from './server-usage.mjs';

/** @typedef {import('./options.mjs').LoadOptions} LoadOptions */

const clientFile = fileURLToPath(new URL('client.mjs', import.meta.url));
const sampleMs = 250;

/**
 * @param {LoadOptions} options
 * @param {{ signal?: AbortSignal, quiet?: boolean }} [control] abort: no new messages, those under way get their answer
 */
export async function runLoad(options, control = {}) {
  const clients = Array.from({ length: options.processes }, (_, index) =>
    startClient(planOf(options, index)),
  );
  const progress = new Progress(options.messages, control.quiet ?? false);
  await Promise.all(clients.map((client) => client.ready));
  const server = options.serverPid === undefined ? undefined : new ServerUsage(options.serverPid);
  const startedMs = performance.now();
  for (const client of clients) client.child.send({ type: 'go' });

  const stop = () =>
    clients.forEach((client) => client.child.connected && client.child.send({ type: 'stop' }));
  const timer = options.durationMs === 0 ? undefined : setTimeout(stop, options.durationMs);
  control.signal?.addEventListener('abort', stop);
  const sampler = setInterval(() => {
    server?.sample();
    progress.show(clients.map((client) => client.counts));
  }, sampleMs);

  try {
    const reports = await Promise.all(clients.map((client) => client.done));
    server?.sample();
    return summarize(options, reports, (performance.now() - startedMs) / 1000, server);
  } finally {
    clearTimeout(timer);
    clearInterval(sampler);
    control.signal?.removeEventListener('abort', stop);
    progress.end();
    for (const { child } of clients) child.kill();
  }
}

/** @param {LoadOptions} options @param {number} index @returns {import('./client.mjs').Plan} */
function planOf(options, index) {
  const share = (/** @type {number} */ total) =>
    Math.floor(total / options.processes) + (index < total % options.processes ? 1 : 0);
  const { host, port, tls, pipelining, perConnection, from, to } = options;
  const lines = [`MAIL FROM:<${from}>\r\n`, ...to.map((address) => `RCPT TO:<${address}>\r\n`), 'DATA\r\n'];
  return {
    ...options,
    index,
    step: options.processes,
    sessions: share(options.sessions),
    messages: share(options.messages),
    rate: options.rate / options.processes,
    session: { host, port, tls, pipelining, perConnection, envelope: lines.map((line) => Buffer.from(line)) },
  };
}

/** @typedef {{ acked: number, refused: number, noReply: number, notSent: number, connectionsLost: number }} Counts */
/** @typedef {{ type: 'done', counts: Counts, troubles: Record<string, number>, seconds: number, dotTo250: Histogram, startTo250: Histogram }} Report */
/** @typedef {{ type: 'ready' } | { type: 'progress', counts: Counts } | Report} FromClient */

/** @param {import('./client.mjs').Plan} plan */
function startClient(plan) {
  // 'advanced': the plan's envelope lines are Buffers.
  const child = fork(clientFile, [], {
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const counts = noCounts();
  /** @type {Promise<void>} */
  const ready = new Promise((resolve, reject) => {
    child.on('message', (/** @type {FromClient} */ message) => message.type === 'ready' && resolve());
    child.once('exit', () => reject(new Error('a client process of the load generator did not start')));
  });
  /** @type {Promise<Report>} */
  const done = new Promise((resolve, reject) => {
    child.on('message', (/** @type {FromClient} */ message) => {
      if (message.type === 'progress') Object.assign(counts, message.counts);
      if (message.type === 'done') resolve(message);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`a client process of the load generator ended: ${code}`)));
  });
  // It is awaited only after all are ready; until then a failure has no listener.
  done.catch(() => undefined);
  child.send({ type: 'plan', plan });
  return { child, counts, ready, done };
}

/** @param {Counts} sum @param {Counts} more */
function addCounts(sum, more) {
  sum.acked += more.acked;
  sum.refused += more.refused;
  sum.noReply += more.noReply;
  sum.notSent += more.notSent;
  sum.connectionsLost += more.connectionsLost;
}

/** @returns {Counts} */
function noCounts() {
  return { acked: 0, refused: 0, noReply: 0, notSent: 0, connectionsLost: 0 };
}

/** @param {LoadOptions} options @param {Report[]} reports @param {number} seconds @param {ServerUsage | undefined} server */
function summarize(options, reports, seconds, server) {
  const counts = noCounts();
  /** @type {Record<string, number>} */
  const troubles = {};
  const dotTo250 = new Histogram();
  const startTo250 = new Histogram();
  for (const report of reports) {
    addCounts(counts, report.counts);
    for (const [what, n] of Object.entries(report.troubles)) troubles[what] = (troubles[what] ?? 0) + n;
    dotTo250.add(report.dotTo250);
    startTo250.add(report.startTo250);
  }
  const busySeconds = Math.max(...reports.map((report) => report.seconds));
  return {
    options,
    counts,
    troubles,
    seconds: round(seconds, 3),
    messagesPerSecond: round(counts.acked / busySeconds, 1),
    megabytesPerSecond: round((counts.acked * options.sizeBytes) / busySeconds / 1e6, 2),
    dotTo250: dotTo250.summary(),
    startTo250: startTo250.summary(),
    server:
      server === undefined
        ? null
        : {
            cpuSeconds: round(server.cpuSeconds, 2),
            cpuSecondsPer1000:
              counts.acked === 0 ? null : round((server.cpuSeconds / counts.acked) * 1000, 3),
            peakRssMiB: round(server.peakRssBytes / 2 ** 20, 1),
            peakRssAnonMiB: round(server.peakRssAnonBytes / 2 ** 20, 1),
          },
  };
}

/** @param {number} value @param {number} digits */
function round(value, digits) {
  return Number(value.toFixed(digits));
}

/** @param {Awaited<ReturnType<typeof runLoad>>} result */
export function formatResult({ counts, troubles, seconds, server, ...result }) {
  const lines = [
    `acknowledged   ${counts.acked} in ${seconds.toFixed(1)} s: ${result.messagesPerSecond} messages/s, ${result.megabytesPerSecond} MB/s`,
    `not            ${counts.refused} refused, ${counts.noReply} without a reply, ${counts.notSent} not sent, ${counts.connectionsLost} connections lost`,
    `dot → 250      p50 ${ms(result.dotTo250.p50Ms)}, p99 ${ms(result.dotTo250.p99Ms)}, max ${ms(result.dotTo250.maxMs)}`,
    `start → 250    p50 ${ms(result.startTo250.p50Ms)}, p99 ${ms(result.startTo250.p99Ms)}, max ${ms(result.startTo250.maxMs)}${result.options.rate > 0 ? ' (from the intended start)' : ''}`,
  ];
  if (server !== null)
    lines.push(
      `server         ${server.cpuSeconds} CPU s, ${server.cpuSecondsPer1000 ?? '-'} per 1000 messages; peak RSS ${server.peakRssMiB} MiB, RssAnon ${server.peakRssAnonMiB} MiB`,
    );
  for (const [what, n] of Object.entries(troubles)) lines.push(`  ${n} × ${what}`);
  return lines.join('\n');
}

/** @param {number | null} value */
function ms(value) {
  return value === null ? '-' : `${value.toFixed(1)} ms`;
}

/** 8 characters, new for each run. */
export function newRun() {
  const run = randomBytes(4).toString('hex');
  if (messageId(run, 0).length !== idLength) throw new Error('ids changed their length');
  return run;
}

async function main() {
  const parsed = parseLoadOptions(process.argv.slice(2), { run: newRun(), cores: cpus().length });
  if (!parsed.ok) {
    process[parsed.exitCode === 0 ? 'stdout' : 'stderr'].write(`${parsed.message}\n${usage}`);
    process.exit(parsed.exitCode);
  }
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());
  process.once('SIGTERM', () => interrupt.abort());
  const result = await runLoad(parsed.options, { signal: interrupt.signal, quiet: parsed.options.quiet });
  if (parsed.options.json !== undefined)
    writeFileSync(parsed.options.json, `${JSON.stringify(result, undefined, 2)}\n`);
  if (!parsed.options.quiet) process.stdout.write(`${formatResult(result)}\n`);
  const { refused, noReply, notSent, connectionsLost } = result.counts;
  // As an oracle's client (--reconnect) losses are what the run is about; else they are a failure.
  process.exit(parsed.options.reconnect || refused + noReply + notSent + connectionsLost === 0 ? 0 : 1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
