/** What one client is answered, and what the log says of it, over real sockets to a Worker. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { startFakeDns, type FakeDns } from '../support/fake-dns.js';
import { recordingLog } from '../support/recording-log.js';
import { SmtpClient } from '../support/smtp-client.js';
import { startWorker, type TestWorker } from './harness.js';

const zone = 'bl.test';
const journal = recordingLog();
let dns: FakeDns;
let running: TestWorker;

beforeAll(async () => {
  // The list knows 192.0.2.9 alone.
  dns = await startFakeDns((name) =>
    name === `9.2.0.192.${zone}` ? { addresses: ['127.0.0.2'] } : 'nxdomain',
  );
  running = await startWorker({
    listeners: [
      { name: 'named', xclient: ['127.0.0.0/8'] },
      { name: 'proxied', proxyProtocol: ['127.0.0.0/8'] },
      { name: 'lmtp', protocol: 'lmtp' },
    ],
    dnsbl: { lists: [{ zone, replies: ['127.0.0.[2..11]'] }] },
    dnsServer: dns.server,
    log: journal.log,
  });
});

afterAll(async () => {
  await running.close();
  await dns.close();
});

beforeEach(() => {
  journal.lines.length = 0;
});

async function rcpt(client: SmtpClient): Promise<string> {
  await client.command('EHLO client.test');
  await client.command('MAIL FROM:<a@client.test>');
  const reply = await client.command('RCPT TO:<b@ok.test>');
  client.destroy();
  return reply;
}

test('the line of a refused recipient names it, and no line names another one', async () => {
  const client = await SmtpClient.greeted(running.ports['named'] ?? 0);
  await client.command('MAIL FROM:<a@client.test>');
  for (const path of ['<b@no.test>', '<c@ok.test>', '<d@no.test>', '<>'])
    await client.command(`RCPT TO:${path}`);
  const lines = journal.lines.filter(({ event }) => event === 'recipient.refused');
  expect(lines.map(({ to, reason }) => [to, reason])).toEqual([
    ['b@no.test', 'relayDenied'],
    ['d@no.test', 'relayDenied'],
    [undefined, 'badRecipient'],
  ]);
  client.destroy();
});

test('A-062: recipients that are too many are one line in the log', async () => {
  const few = await startWorker({ exactLimits: { recipients: 1 }, log: journal.log });
  const client = await SmtpClient.greeted(few.port);
  for (const message of [1, 2]) {
    await client.command('MAIL FROM:<a@client.test>');
    for (let tried = 0; tried < 4; tried++) await client.command('RCPT TO:<b@ok.test>');
    const lines = journal.lines.filter(({ reason }) => reason === 'tooManyRecipients');
    expect(lines).toHaveLength(message);
    await client.command('RSET');
  }
  client.destroy();
  await few.close();
});

test('by LMTP the refusal of a message is one line, however many recipients are told', async () => {
  const client = await SmtpClient.connect(running.ports['lmtp'] ?? 0);
  await client.reply();
  await client.command('LHLO client.test');
  for (const message of [1, 2]) {
    await client.command('MAIL FROM:<a@client.test>');
    for (const name of ['b', 'c']) await client.command(`RCPT TO:<${name}@ok.test>`);
    await client.command('DATA');
    expect(await client.command('x\ny\r\n.')).toMatch(/^550 5\.6\.0 /);
    expect(await client.reply()).toMatch(/^550 5\.6\.0 /);
    expect(journal.lines.filter(({ event }) => event === 'message.refused')).toHaveLength(message);
  }
  client.destroy();
});

test('the line of a sender that there is no room for names it', async () => {
  const full = await startWorker({ exactLimits: { queueMessages: 0 }, log: journal.log });
  const client = await SmtpClient.greeted(full.port);
  expect(await client.command('MAIL FROM:<a@client.test>')).toMatch(/^452 4\.3\.1 /);
  await client.command('MAIL FROM:a@client.test');
  const lines = journal.lines.filter(({ event }) => event === 'sender.refused');
  expect(lines.map(({ from, reason }) => [from, reason])).toEqual([
    ['a@client.test', 'insufficientStorage'],
    [undefined, 'badSender'],
  ]);
  client.destroy();
  await full.close();
});

describe('A-120 A-113: the list is asked about the client, whoever that has come to be', () => {
  test.each([
    ['192.0.2.9', /^550 5\.7\.1 .*\[192\.0\.2\.9\] listed by bl\.test/],
    ['192.0.2.10', /^250 /],
  ])('XCLIENT, after the peer was asked about: %s', async (address, expected) => {
    const client = await SmtpClient.connect(running.ports['named'] ?? 0);
    await client.reply();
    expect(await client.command(`XCLIENT ADDR=${address}`)).toMatch(/^220/);
    expect(await rcpt(client)).toMatch(expected);
    expect(dns.names).toContain(`1.0.0.127.${zone}`);
  });

  test.each([
    ['192.0.2.9', /^550 5\.7\.1 .*\[192\.0\.2\.9\] listed by bl\.test/],
    ['192.0.2.11', /^250 /],
  ])('the PROXY protocol: %s', async (address, expected) => {
    const client = await SmtpClient.connect(running.ports['proxied'] ?? 0);
    client.write(`PROXY TCP4 ${address} 127.0.0.1 40000 25\r\n`);
    await client.reply();
    expect(await rcpt(client)).toMatch(expected);
  });
});
