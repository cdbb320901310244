/** Postern from dist/ as the bench runs it: free ports, a data directory of its own on a real disk, the default limits. */
import { fork, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const root = resolve(import.meta.dirname, '..');
export const builtMain = join(root, 'dist/cli/main.js');
const sinkFile = join(import.meta.dirname, 'load/sink.mjs');
export const certificate = join(root, 'test/support/tls/localhost');
const startTimeoutMs = 20_000;

/** @returns {string} a new folder below data/, which git ignores and which is no tmpfs, where fsync costs nothing */
export function benchDirectory() {
  mkdirSync(join(root, 'data'), { recursive: true });
  return mkdtempSync(join(root, 'data/bench-'));
}

/** What differs from the defaults; bench/README.md says why. @param {number} hopPort @param {{ smtp: number, tls: number, admin: number }} ports @param {Record<string, unknown>} limits */
function configOf(hopPort, ports, limits) {
  const listener = { address: '127.0.0.1', role: 'inbound' };
  return {
    hostname: 'mx.example.test',
    dataDir: './data',
    listeners: [
      { ...listener, name: 'mx', port: ports.smtp, tls: 'starttls' },
      { ...listener, name: 'mxs', port: ports.tls, tls: 'implicit' },
    ],
    tls: { certificate: `${certificate}.crt`, key: `${certificate}.key` },
    admin: { address: '127.0.0.1', port: ports.admin },
    domains: [{ names: ['example.test'], recipients: 'any', route: 'hop' }],
    routes: { hop: { to: `smtp://127.0.0.1:${hopPort}`, tls: 'off' } },
    // One session sends more than a thousand messages here.
    limits: { diskReserve: '64MiB', transactions: 1_000_000, ...limits },
  };
}

/** @param {number} hopPort next hop of all mail @param {Record<string, unknown>} limits of the case, as in a config file @param {string} [main] of another build */
export async function startServer(hopPort, limits = {}, main = builtMain) {
  const directory = benchDirectory();
  const ports = { smtp: await freePort(), tls: await freePort(), admin: await freePort() };
  const configFile = join(directory, 'postern.yaml');
  writeFileSync(configFile, JSON.stringify(configOf(hopPort, ports, limits)));
  const logFile = join(directory, 'postern.log');
  const log = openSync(logFile, 'w');
  const child = spawn(process.execPath, [main, 'start', '--config', configFile], {
    cwd: directory,
    stdio: ['ignore', log, log],
  });
  /** @type {Promise<void>} */
  const exited = new Promise((done) => child.once('exit', () => done()));
  const stop = async () => {
    // SIGKILL: what is in the queue goes with the directory, nobody waits for a drain.
    killTree(child.pid);
    await exited;
    rmSync(directory, { recursive: true, force: true });
  };
  const adminUrl = `http://127.0.0.1:${ports.admin}`;
  try {
    await until(`Postern is ready (dist/ built? its log: ${logFile})`, async () => {
      if (child.exitCode !== null) throw new Error(`Postern ended:\n${readFileSync(logFile, 'utf8')}`);
      return (await fetch(`${adminUrl}/readyz`).catch(() => undefined))?.status === 200;
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: child.pid ?? 0, port: ports.smtp, tlsPort: ports.tls, adminUrl, configFile, stop };
}

/** @param {number | undefined} pid */
export function killTree(pid) {
  if (pid === undefined) return;
  const workers = childrenOf(pid);
  for (const each of [pid, ...workers]) {
    try {
      process.kill(each, 'SIGKILL');
    } catch {
      // It is gone already.
    }
  }
}

/** @param {number} pid @returns {number[]} */
function childrenOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text.split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** A next hop that takes connections and never greets: mail stays in the queue, and relaying costs nothing. */
export async function startSilentHop() {
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', () => done(undefined)));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const stop = async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port, stop };
}

/** The sink of bench/load in a process of its own. */
export async function startSink() {
  const child = fork(sinkFile, [], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  const exited = new Promise((done) => child.once('exit', done));
  /** @type {number} */
  const port = await new Promise((done, fail) => {
    child.stdout?.once('data', (chunk) => done(Number(String(chunk).split(' ')[1])));
    child.once('exit', () => fail(new Error('the sink did not start')));
  });
  /** @returns {Promise<number>} messages so far */
  const count = () =>
    new Promise((done) => {
      child.once('message', (/** @type {{ messages: number }} */ message) => done(message.messages));
      child.send('count');
    });
  const stop = async () => {
    child.kill();
    await exited;
  };
  return { port, count, stop };
}

/** @param {string} what @param {() => Promise<boolean>} probe @param {number} timeoutMs */
export async function until(what, probe, timeoutMs = startTimeoutMs) {
  const deadline = Date.now() + timeoutMs;
  while (!(await probe())) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
    await sleep(50);
  }
}

/** @returns {Promise<number>} */
export function freePort() {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => done(port));
    });
  });
}
