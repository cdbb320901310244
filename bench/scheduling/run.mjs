/**
 * Which way of sharing a listening socket among workers is best: `node bench/scheduling/run.mjs [ROUNDS]`. Prints the
 * table of README.md. Every round runs every case once, in turn, so that what else the machine does hits all alike; the
 * figures are medians over the rounds. About 6 s for each of the cases and rounds.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { join } from 'node:path';

const rounds = Number(process.argv[2] ?? 3);
const seconds = 3;
const clients = 2;
const concurrency = 32; // a client process
const workers = Math.max(2, availableParallelism());

// reusePort came with Node 22.12 and 23.1; older ones ignore it without a word.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const hasReusePort = major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
const policies = ['none', 'rr', ...(hasReusePort ? ['reuseport'] : [])];
const names = { none: 'SCHED_NONE', rr: 'SCHED_RR', reuseport: 'reusePort' };
const loads = ['idle', 'busy'];

const cases = loads.flatMap((load) => policies.map((policy) => ({ load, policy, results: [] })));
for (let round = 0; round < rounds; round++) {
  for (const one of cases) {
    process.stderr.write(`round ${round + 1}/${rounds}: ${names[one.policy]}, ${one.load}\n`);
    one.results.push(await measure(one.policy, one.load));
  }
}
report();

async function measure(policy, load) {
  const server = fork(join(import.meta.dirname, 'server.mjs'), [policy, String(workers), load], {
    execArgv: [],
  });
  try {
    await once(server, 'message'); // every worker is online
    const port = await freePort();
    await ask(server, { ask: 'listen', port });
    const atStart = await ask(server, { ask: 'counts' });
    const before = await ask(server, { ask: 'usage' });
    const found = await Promise.all(Array.from({ length: clients }, () => runClient(port)));
    const counts = await ask(server, { ask: 'counts' });
    const after = await ask(server, { ask: 'usage' });
    const workerCpuMs = cpuMsOf(counts) - cpuMsOf(atStart);
    return summary(found, counts, {
      primary: cpuMs(after.usage) - cpuMs(before.usage),
      workers: workerCpuMs,
    });
  } finally {
    server.disconnect();
    await once(server, 'exit');
  }
}

async function runClient(port) {
  const args = [port, concurrency, seconds].map(String);
  const client = fork(join(import.meta.dirname, 'client.mjs'), args, { execArgv: [] });
  const [answer] = await once(client, 'message');
  return answer;
}

async function ask(child, message) {
  child.send(message);
  const [answer] = await once(child, 'message');
  return answer;
}

function summary(found, counts, used) {
  const timesMs = found.flatMap((client) => client.timesMs).sort((a, b) => a - b);
  const accepted = counts.map((worker) => worker.accepted);
  const total = accepted.reduce((sum, count) => sum + count, 0);
  return {
    perSecond: timesMs.length / seconds,
    p50Ms: timesMs[Math.floor(timesMs.length * 0.5)],
    p99Ms: timesMs[Math.floor(timesMs.length * 0.99)],
    failed: found.reduce((sum, client) => sum + client.failed, 0),
    leastShare: (Math.min(...accepted) / total) * workers,
    primaryCpuMs: (used.primary / total) * 1000,
    serverCpuMs: ((used.primary + used.workers) / total) * 1000,
  };
}

function report() {
  const load = loadavg()[0]?.toFixed(1);
  console.log(`Node ${process.version}, ${cpus()[0]?.model.trim()}, ${cpus().length} cores, ${workers} workers, ${clients} × ${concurrency} clients, ${rounds} rounds of ${seconds} s, load average at the end ${load}\n`); // prettier-ignore
  const columns = ['workers', 'policy', 'connections/s (range)', 'least share', 'p50 ms', 'p99 ms', 'CPU ms / 1000: primary', 'all', 'failed']; // prettier-ignore
  row(columns);
  row(columns.map(() => '---'));
  for (const { load, policy, results } of cases) {
    const of = (key) => median(results.map((result) => result[key]));
    const rates = results.map(({ perSecond }) => Math.round(perSecond));
    const rate = `${Math.round(of('perSecond'))} (${Math.min(...rates)}–${Math.max(...rates)})`;
    const what = load === 'busy' ? 'one blocks 50 of 60 ms' : 'all free';
    const cpu = load === 'busy' ? ['', ''] : [of('primaryCpuMs').toFixed(0), of('serverCpuMs').toFixed(0)];
    row([what, names[policy], rate, of('leastShare').toFixed(2), of('p50Ms').toFixed(1), of('p99Ms').toFixed(1), ...cpu, of('failed')]); // prettier-ignore
  }
}

function row(cells) {
  console.log(`| ${cells.join(' | ')} |`);
}

function cpuMsOf(counts) {
  return counts.reduce((sum, worker) => sum + cpuMs(worker.usage), 0);
}

function cpuMs({ user, system }) {
  return (user + system) / 1000;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
