/** Limits that only whole processes can show: connections counted across workers, and file descriptors that run out. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';

import { startPostern, type PosternOptions, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { SmtpClient } from '../support/smtp-client.js';

let postern: RunningPostern | undefined;
const clients: SmtpClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await postern?.dispose();
  postern = undefined;
});

async function start(options: PosternOptions): Promise<RunningPostern> {
  postern = await startPostern(options);
  return postern;
}

/** The greeting of a new connection, '' when it ends without one. The connection stays open. */
async function knock(port: number): Promise<string> {
  const client = await SmtpClient.connect(port);
  client.raw.on('error', () => undefined);
  clients.push(client);
  return client.reply().catch(() => '');
}

// Reports of the workers and the answer to them, several times over: every worker knows.
const mergedMs = 1_000;

/** Whether every one of many new connections is refused; none of them stays. */
async function refuseAll(port: number): Promise<void> {
  const greetings = await Promise.all(Array.from({ length: 16 }, () => knock(port)));
  for (const client of clients.splice(-greetings.length)) client.destroy();
  for (const greeting of greetings) expect(greeting).toMatch(/^421 4\.7\.0 /);
}

/** Rounds in which all are refused, until each worker has refused somebody. */
async function refusedByEach(running: RunningPostern, reason: string): Promise<void> {
  await sleep(mergedMs);
  const said = running.log.length;
  await until('each worker has refused somebody', async () => {
    await refuseAll(running.smtpPort);
    const refusals = running.log
      .slice(said)
      .filter((line) => line.event === 'connection.refused' && line['reason'] === reason);
    return running.workerPids().every((pid) => refusals.some((line) => line['pid'] === pid));
  });
}

test('A-053: connections of one client are counted across both workers, and given back', async () => {
  const running = await start({ config: { limits: { exempt: [], connectionsPerHost: 4 } } });
  for (let n = 0; n < 4; n++) expect(await knock(running.smtpPort)).toMatch(/^220 /);
  await refusedByEach(running, 'host-limit');
  expect(await running.metric('postern_connections_open')).toBe(4);
  for (const client of clients.splice(0)) client.destroy();
  await until('the client is let in again', async () => (await knock(running.smtpPort)).startsWith('220 '));
});

test('A-053: what one client does in a minute is counted across both workers', async () => {
  const limit = 10;
  const running = await start({ config: { limits: { exempt: [], connectionsPerHostPerMinute: limit } } });
  for (let n = 0; n < limit; n++) expect(await knock(running.smtpPort)).toMatch(/^220 /);
  for (const client of clients.splice(0)) client.destroy();
  await refusedByEach(running, 'host-rate');
  expect(await running.metric('postern_connections_total')).toBe(limit);
  // A worker that is new knows what the others saw, and what the dead one saw is not forgotten.
  const [victim] = running.workerPids();
  process.kill(victim ?? 0, 'SIGKILL');
  await until('the dead worker is replaced', async () => {
    const pids = running.workerPids();
    return !pids.includes(victim ?? 0) && (await running.metric('postern_workers_ready')) === 2;
  });
  await refusedByEach(running, 'host-rate');
});

test('A-151 F-31: without file descriptors a connection is lost, and the worker goes on with the others', async () => {
  const running = await start({
    config: { workers: 1 },
    wrapper: ['sh', '-c', 'ulimit -n 128 && exec "$0" "$@"'],
  });
  const workers = running.workerPids();
  const early = await SmtpClient.greeted(running.smtpPort);
  clients.push(early);
  for (let n = 0; n < 150; n++) {
    const client = await SmtpClient.connect(running.smtpPort);
    client.raw.on('error', () => undefined);
    clients.push(client);
  }
  // libuv keeps one descriptor in reserve to accept and close what it has no room for.
  await until('some are closed unserved', () => clients.some((client) => client.closed));
  expect(await early.command('NOOP')).toMatch(/^250/);
  for (const client of clients.splice(1)) client.destroy();
  const late = await until('a new client is served', async () => {
    const greeting = await knock(running.smtpPort);
    return greeting.startsWith('220 ') ? clients.at(-1) : undefined;
  });
  await late.command('EHLO t');
  expect(await late.send('Subject: x\r\n\r\nstill here')).toMatch(/^250 2\.0\.0 Ok: queued as/);
  expect(running.workerPids()).toEqual(workers);
});
