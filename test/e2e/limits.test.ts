/** Limits that only whole processes can show: connections counted across workers, and file descriptors that run out. */
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

test('A-053: connections of one client are counted across both workers, and given back', async () => {
  const running = await start({ config: { limits: { exempt: [], connectionsPerHost: 4 } } });
  const { smtpPort } = running;
  // Until the merge each worker knows of its own alone; with it, none takes a fifth.
  for (let n = 0; n < 4; n++) expect(await knock(smtpPort)).toMatch(/^220 /);
  await until('every worker knows that the client is at its limit', async () => {
    const greetings = await Promise.all(Array.from({ length: 8 }, () => knock(smtpPort)));
    const refused = greetings.filter((greeting) => greeting.startsWith('421 4.7.0'));
    // What got in meanwhile goes again.
    for (const client of clients.splice(4)) client.destroy();
    return refused.length === greetings.length;
  });
  const refusals = await running.metric('postern_connections_refused_total', { reason: 'host-limit' });
  expect(refusals).toBeGreaterThanOrEqual(8);
  for (const client of clients.splice(0)) client.destroy();
  await until('the client is let in again', async () => (await knock(smtpPort)).startsWith('220 '));
});

test('A-053: what one client does in a minute is counted across both workers', async () => {
  const running = await start({ config: { limits: { exempt: [], connectionsPerHostPerMinute: 10 } } });
  let admitted = 0;
  await until('every worker knows that the client has used its minute up', async () => {
    const greetings: string[] = [];
    for (let n = 0; n < 8; n++) greetings.push(await knock(running.smtpPort));
    for (const client of clients.splice(0)) client.destroy();
    admitted += greetings.filter((greeting) => greeting.startsWith('220 ')).length;
    return greetings.every((greeting) => greeting.startsWith('421 4.7.0'));
  });
  expect(admitted).toBeGreaterThanOrEqual(10);
  expect(
    await running.metric('postern_connections_refused_total', { reason: 'host-rate' }),
  ).toBeGreaterThanOrEqual(8);
  // A worker that is new knows what the others saw, and what the dead one saw is not forgotten.
  const [victim] = running.workerPids();
  process.kill(victim ?? 0, 'SIGKILL');
  await until('the dead worker is replaced', () => {
    const pids = running.workerPids();
    return pids.length === 2 && !pids.includes(victim ?? 0);
  });
  await until('all refuse again', async () => {
    const greetings: string[] = [];
    for (let n = 0; n < 8; n++) greetings.push(await knock(running.smtpPort));
    return greetings.every((greeting) => greeting.startsWith('421 4.7.0'));
  });
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
