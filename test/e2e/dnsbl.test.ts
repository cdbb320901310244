/** A real DNSBL: Debian's rbldnsd with a zone of ours, asked by a running Postern through its own port. */
import { afterEach, describe, expect, it } from 'vitest';

import { skipReason, startRbldnsd, type Rbldnsd } from '../support/peers.js';
import { startPostern, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { SmtpClient } from '../support/smtp-client.js';

const zone = 'bl.example.test';
/** Loopback addresses stand for clients: a test can connect from each of 127.0.0.0/8. */
const listedClient = '127.0.0.9';
const cleanClient = '127.0.0.10';
const entries = [`${listedClient} :127.0.0.2:spam`, '127.0.0.11 :127.0.0.99:a code that does not count'];
const missing = skipReason('rbldnsd');

let rbldnsd: Rbldnsd | undefined;
let postern: RunningPostern | undefined;

afterEach(async () => {
  await postern?.dispose();
  // One test stops it with SIGSTOP, where SIGTERM would wait.
  rbldnsd?.program.kill('SIGCONT');
  await rbldnsd?.stop();
  postern = undefined;
  rbldnsd = undefined;
});

async function start(
  dnsbl: { defer?: number; reject?: number; timeout?: string } = {},
): Promise<RunningPostern> {
  rbldnsd = await startRbldnsd(zone, entries);
  const lists = [{ zone, replies: ['127.0.0.[2..11]'] }];
  postern = await startPostern({
    config: {
      dns: { servers: [`127.0.0.1:${rbldnsd.port}`] },
      policy: { dnsbl: { lists, ...dnsbl } },
      workers: 1,
    },
  });
  return postern;
}

async function rcptFrom(port: number, localAddress: string): Promise<string> {
  const client = await SmtpClient.greeted(port, { localAddress });
  expect(await client.command('MAIL FROM:<a@client.test>')).toMatch(/^250 /);
  const reply = await client.command('RCPT TO:<you@example.test>');
  client.destroy();
  return reply;
}

function lookups(running: RunningPostern, result: string): Promise<number> {
  return running.metric('postern_dnsbl_lookups_total', { list: zone, result });
}

describe.skipIf(missing)(`a real DNSBL${missing === undefined ? '' : ` (${missing})`}`, () => {
  it('refuses a listed client at RCPT, names the list, and lets others pass', async () => {
    const running = await start();
    const refused = await rcptFrom(running.smtpPort, listedClient);
    expect(refused).toMatch(/^550 5\.7\.1 /);
    expect(refused).toContain(listedClient);
    expect(refused).toContain(zone);
    expect(await rcptFrom(running.smtpPort, cleanClient)).toMatch(/^250 2\.1\.5 /);
    expect(await rcptFrom(running.smtpPort, '127.0.0.11')).toMatch(/^250 2\.1\.5 /);
    expect(await lookups(running, 'listed')).toBe(1);
    expect(await lookups(running, 'clear')).toBe(2);
  });

  it('asks once for a client that comes again', async () => {
    const running = await start();
    for (let i = 0; i < 3; i++) expect(await rcptFrom(running.smtpPort, listedClient)).toMatch(/^550 /);
    expect(await lookups(running, 'listed')).toBe(1);
    expect(await lookups(running, 'cached')).toBe(2);
  });

  it('defers where only that threshold is reached', async () => {
    const running = await start({ reject: 0, defer: 1 });
    expect(await rcptFrom(running.smtpPort, listedClient)).toMatch(/^451 4\.7\.1 /);
  });

  it('lets everybody pass when the list is stopped, and counts the time-outs (F-17)', async () => {
    const running = await start({ timeout: '500ms' });
    await rbldnsd?.stop();
    rbldnsd = undefined;
    expect(await rcptFrom(running.smtpPort, listedClient)).toMatch(/^250 2\.1\.5 /);
    expect(await rcptFrom(running.smtpPort, cleanClient)).toMatch(/^250 2\.1\.5 /);
    expect(await lookups(running, 'timeout')).toBe(2);
  });

  it('lets everybody pass when the list is silent, and does not make the greeting wait (F-17)', async () => {
    const running = await start({ timeout: '2s' });
    // Stopped by SIGSTOP its port is open and says nothing.
    rbldnsd?.program.kill('SIGSTOP');
    const client = await SmtpClient.greeted(running.smtpPort, { localAddress: listedClient });
    expect(await lookups(running, 'timeout')).toBe(0);
    await client.command('MAIL FROM:<a@client.test>');
    expect(await client.command('RCPT TO:<you@example.test>')).toMatch(/^250 2\.1\.5 /);
    client.destroy();
    await until('the time-out is counted', async () => (await lookups(running, 'timeout')) === 1);
  });
});
