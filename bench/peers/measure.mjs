/** Runs one case against one running server, and gives its figures. */
import { fork, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { newRun, runLoad } from '../load/load.mjs';
import { parseLoadOptions } from '../load/options.mjs';
import { memoryOf, ServerUsage } from '../load/server-usage.mjs';
import { freePort, until } from '../server.mjs';
import { answers } from './servers.mjs';
import { dottedMessage, runSource } from './source.mjs';

/**
 * @typedef {import('./servers.mjs').Running} Running
 * @typedef {import('./cases.mjs').Load} Load
 *
 * @typedef {object} Figures what a case did not measure is left out
 * @property {number} [perSecond] messages, connections or handshakes
 * @property {number} [cpuPer1000] seconds of the server's processes, for as many
 * @property {number} [rssMiB] peak
 * @property {number} [pssMiB] at the end
 * @property {number} [p50Ms] dot→250, or from the intended start in an open loop
 * @property {number} [p99Ms]
 * @property {number} [p999Ms]
 * @property {number} [kibPerConnection] of RSS
 *
 * @typedef {object} Terms
 * @property {number} seconds of load, after a warm-up of two
 * @property {number} capacity messages per second that this server took in case b
 * @property {string} directory for files of the case
 */

const warmUpSeconds = 2;
const firstMessages = 200;
const sampleMs = 250;
const settleMs = 1_000;
const idleTimeoutMs = 120_000;
const relayTimeoutMs = 300_000;
const clientFile = join(import.meta.dirname, 'connection-load.mjs');

/** @param {Load} load @param {Running} server @param {Terms} terms @returns {Promise<Figures>} */
export async function measure(load, server, terms) {
  switch (load.kind) {
    case 'source':
      return sourceCase(load, server, terms);
    case 'own':
      return ownCase(server, terms, { ...load.options, port: (load.options.tls === 'implicit' ? server.tlsPort : undefined) ?? server.port }); // prettier-ignore
    case 'open': {
      const rate = Math.max(1, Math.round(terms.capacity * load.ofCapacity));
      const bounds = { perConnection: Infinity, sizeBytes: 4096, pipelining: false };
      return ownCase(server, terms, { ...bounds, sessions: load.sessions, rate, port: server.port });
    }
    case 'connects':
      return connectionCase('connects', server.port, load.sessions, server, terms);
    case 'handshakes':
      return connectionCase(load.resumed ? 'resumed' : 'full', server.tlsPort ?? server.port, load.sessions, server, terms); // prettier-ignore
    case 'idle':
      return idleCase(load, server);
    case 'relay':
      throw new Error('measureRelay is for this case');
  }
}

/** @param {import('./cases.mjs').SourceLoad} load @param {Running} server @param {Terms} terms */
async function sourceCase(load, server, { seconds, directory }) {
  /** @type {string | undefined} */
  let file;
  if (load.dots === true) {
    file = join(directory, 'dots');
    writeFileSync(file, dottedMessage(load.sizeBytes));
  }
  const run = (/** @type {number} */ messages) => runSource({ ...load, file, port: server.port, messages });
  const rate = await warmUp(load.sessions, run);
  const messages = Math.max(load.sessions * 2, Math.round(rate * seconds));
  return watched(server, async () => ({ count: messages, seconds: await run(messages) }));
}

/** How fast it is, warm. @param {number} sessions @param {(messages: number) => Promise<number>} run */
async function warmUp(sessions, run) {
  const first = Math.max(firstMessages, sessions * 2);
  const guess = first / (await run(first));
  const messages = Math.max(sessions * 2, Math.round(guess * warmUpSeconds));
  return messages / (await run(messages));
}

/** @param {Running} server @param {Terms} terms @param {Partial<import('../load/options.mjs').LoadOptions>} bounds @returns {Promise<Figures>} */
async function ownCase(server, { seconds }, bounds) {
  const defaults = parseLoadOptions([], { run: newRun(), cores: cpus().length });
  if (!defaults.ok) throw new Error(defaults.message);
  const base = { ...defaults.options, messages: 0, serverPid: server.pid, ...bounds };
  const options = { ...base, processes: bounds.processes ?? Math.min(2, base.sessions) };
  await runLoad({ ...options, durationMs: warmUpSeconds * 1000 }, { quiet: true });
  const result = await runLoad({ ...options, durationMs: seconds * 1000 }, { quiet: true });
  const { refused, noReply, connectionsLost } = result.counts;
  if (refused + noReply + connectionsLost > 0) throw new Error(`not all was taken: ${JSON.stringify(result.troubles)}`); // prettier-ignore
  const latency = options.rate > 0 ? result.startTo250 : result.dotTo250;
  return {
    perSecond: result.messagesPerSecond,
    ...(result.server === null ? {} : { cpuPer1000: result.server.cpuSecondsPer1000 ?? 0, rssMiB: result.server.peakRssMiB }), // prettier-ignore
    pssMiB: mib(memoryOf(server.pid).pssBytes),
    p50Ms: latency.p50Ms ?? 0,
    p99Ms: latency.p99Ms ?? 0,
    p999Ms: latency.p999Ms ?? 0,
  };
}

/** @param {string} kind @param {number} port @param {number} sessions @param {Running} server @param {Terms} terms */
async function connectionCase(kind, port, sessions, server, { seconds }) {
  await connectionLoad(kind, port, sessions, warmUpSeconds);
  return watched(server, async () => {
    const { count, resumed } = await connectionLoad(kind, port, sessions, seconds);
    // The first of each of the sessions may come before there is a ticket.
    if (kind === 'resumed' && resumed < count - sessions) throw new Error(`only ${resumed} of ${count} handshakes were resumed`); // prettier-ignore
    if (kind === 'full' && resumed > 0) throw new Error('handshakes were resumed');
    return { count, seconds };
  });
}

/** @typedef {{ count: number, resumed: number }} Connections */

/** @param {string} kind @param {number} port @param {number} sessions @param {number} seconds @returns {Promise<Connections>} */
async function connectionLoad(kind, port, sessions, seconds) {
  const child = startConnections(kind, port, sessions);
  /** @type {Promise<Connections>} */
  const done = new Promise((resolve, reject) => {
    child.on('message', (/** @type {Connections} */ message) => resolve(message));
    child.once('exit', (code) => reject(new Error(`the connections ended with ${code}`)));
  });
  await Promise.race([sleep(seconds * 1000), done]);
  child.send('stop');
  return done;
}

/** @param {string} kind @param {number} port @param {number} sessions */
function startConnections(kind, port, sessions) {
  return fork(clientFile, [String(port), kind, String(sessions)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }); // prettier-ignore
}

/** @param {import('./cases.mjs').IdleLoad} load @param {Running} server @returns {Promise<Figures>} */
async function idleCase({ connections, tls }, server) {
  const before = memoryOf(server.pid).rssBytes;
  const port = tls ? (server.tlsPort ?? server.port) : server.port;
  const child = startConnections(tls ? 'idle-tls' : 'idle', port, connections);
  const gone = new Promise((_, reject) =>
    child.once('exit', () => reject(new Error('the idle clients ended'))),
  );
  gone.catch(() => undefined);
  try {
    const open = new Promise((resolve) => child.once('message', resolve));
    const late = sleep(idleTimeoutMs, undefined, { ref: false }).then(() => Promise.reject(new Error('not all idle connections were greeted'))); // prettier-ignore
    await Promise.race([open, gone, late]);
    await sleep(settleMs);
    const bytes = memoryOf(server.pid).rssBytes - before;
    return { kibPerConnection: Number((bytes / connections / 1024).toFixed(1)) };
  } finally {
    child.kill();
  }
}

/**
 * Until the sink behind the server has as many messages as were sent. @param {import('./cases.mjs').RelayLoad} load
 * @param {(hopPort: number) => Promise<Running>} start @param {Terms} terms @returns {Promise<Figures>}
 */
export async function measureRelay(load, start, { seconds }) {
  const hopPort = await freePort();
  const server = await start(hopPort);
  try {
    const through = async (/** @type {number} */ messages) => {
      const { full } = await sinkOf(hopPort, messages);
      const startedMs = performance.now();
      await runSource({ port: server.port, messages, sessions: load.sessions, sizeBytes: load.sizeBytes, kept: true }); // prettier-ignore
      await full;
      return (performance.now() - startedMs) / 1000;
    };
    const rate = await warmUp(load.sessions, through);
    const messages = Math.round(rate * seconds);
    return await watched(server, async () => ({ count: messages, seconds: await through(messages) }));
  } finally {
    await server.stop();
  }
}

/** An smtp-sink that ends when it has so many. @param {number} port @param {number} messages */
async function sinkOf(port, messages) {
  const args = ['-u', 'nobody', '-m', '1000', '-M', String(messages), `127.0.0.1:${port}`, '1024'];
  const child = spawn('smtp-sink', args, { stdio: ['ignore', 'ignore', 'inherit'], timeout: relayTimeoutMs });
  /** @type {Promise<void>} */
  const full = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error('the queue did not drain into smtp-sink')))); // prettier-ignore
  });
  full.catch(() => undefined);
  await until('smtp-sink listens', () => answers(port, true));
  // A promise that is returned is awaited.
  return { full };
}

/** CPU and memory while something happens. @param {Running} server @param {() => Promise<{ count: number, seconds: number }>} run @returns {Promise<Figures>} */
async function watched(server, run) {
  const usage = new ServerUsage(server.pid);
  const sampler = setInterval(() => usage.sample(), sampleMs);
  try {
    const { count, seconds } = await run();
    usage.sample();
    return {
      perSecond: Number((count / seconds).toFixed(1)),
      cpuPer1000: Number(((usage.cpuSeconds / count) * 1000).toFixed(4)),
      rssMiB: mib(usage.peakRssBytes),
      pssMiB: mib(memoryOf(server.pid).pssBytes),
    };
  } finally {
    clearInterval(sampler);
  }
}

/** @param {number} bytes */
function mib(bytes) {
  return Number((bytes / 2 ** 20).toFixed(1));
}
