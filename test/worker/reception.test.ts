/** What one client is answered, and what the log says of it, over real sockets to a Worker. */
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';

import type { LimitsConfig } from '../../src/config/config.js';
import { startFakeDns, type FakeDns } from '../support/fake-dns.js';
import { until } from '../support/processes.js';
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
    ['', 'badRecipient'],
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
    ['a@client.test', 'badSender'],
  ]);
  client.destroy();
  await full.close();
});

test('a sender that is refused is named, whatever is wrong with the command', async () => {
  const client = await SmtpClient.greeted(running.ports['named'] ?? 0);
  await client.command('MAIL FROM:<big@client.test> SIZE=999999999999');
  await client.command('MAIL FROM:<no address>');
  await client.command('MAIL FROM:<first@client.test>');
  await client.command('MAIL FROM:<second@client.test>');
  const lines = journal.lines.filter(({ event }) => event === 'sender.refused');
  expect(lines.map(({ from, reason }) => [from, reason])).toEqual([
    ['big@client.test', 'messageTooLarge'],
    ['no address', 'badSender'],
    ['second@client.test', 'nestedMail'],
  ]);
  client.destroy();
});

test('the line of a message that is dropped says whose it was', async () => {
  const client = await SmtpClient.greeted(running.ports['named'] ?? 0);
  for (const line of ['MAIL FROM:<a@client.test>', 'RCPT TO:<b@ok.test>', 'DATA']) await client.command(line);
  client.destroy();
  await until('it is dropped', () => journal.events().includes('message.abandoned'));
  const [line] = journal.lines.filter(({ event }) => event === 'message.abandoned');
  expect(line).toMatchObject({
    sid: expect.any(String),
    listener: 'named',
    client: '127.0.0.1',
    reason: expect.any(String),
  });
});

test('the line of a refused message says from whom, to whom, and how large', async () => {
  const client = await SmtpClient.greeted(running.ports['named'] ?? 0);
  await client.command('MAIL FROM:<a@client.test> SIZE=70');
  for (let n = 0; n < 7; n++) await client.command(`RCPT TO:<b${n}@ok.test>`);
  await client.command('DATA');
  client.write('Message-Id:\r\n <\u009b1@x.test>\r\n\r\nbare\nnewline\r\n.\r\n');
  expect(await client.reply()).toMatch(/^550 5\.6\.0 /);
  const [line] = journal.lines.filter(({ event }) => event === 'message.refused');
  expect(line).toMatchObject({
    from: 'a@client.test',
    to: [0, 1, 2, 3, 4].map((n) => `b${n}@ok.test`),
    recipients: 7,
    reason: 'bareNewline',
    messageId: '<??1@x.test>',
    bytes: expect.any(Number),
    size: 70,
  });
  client.destroy();
});

test('the line of an accepted message has its Message-ID, and none where it has none', async () => {
  const client = await SmtpClient.greeted(running.ports['named'] ?? 0);
  await client.send('Message-ID: <1@x.test>\r\n\r\nx', { to: 'b@ok.test' });
  await client.send('Subject: x\r\n\r\nMessage-ID: <2@x.test>', { to: 'b@ok.test' });
  const [first, second] = journal.lines.filter(({ event }) => event === 'message.accepted');
  expect(first).toMatchObject({ messageId: '<1@x.test>' });
  expect(second).not.toHaveProperty('messageId');
  client.destroy();
});

describe('the line of a session that is cut names the limit', () => {
  test.each<[string, Partial<LimitsConfig>, ...string[]]>([
    ['limits.errors', { errors: 1 }, 'FOO'],
    ['limits.junkCommands', { junkCommands: 1 }, 'NOOP'],
    ['limits.transactions', { transactions: 1 }, 'MAIL FROM:<a@x.test>', 'RSET', 'MAIL FROM:<a@x.test>'],
    ['limits.commandTimeout', { commandTimeoutMs: 1 }],
    ['limits.sessionAge', { sessionAgeMs: 1 }],
    ['limits.dataTimeout', { dataTimeoutMs: 1 }, 'MAIL FROM:<a@x.test>', 'RCPT TO:<b@ok.test>', 'DATA'],
    ['limits.messageTimeout', { messageTimeoutMs: 1 }, 'MAIL FROM:<a@x.test>', 'RCPT TO:<b@ok.test>', 'DATA'],
  ])('%s', async (limit, exactLimits, ...lines) => {
    const strict = await startWorker({ exactLimits, log: journal.log });
    const client = await SmtpClient.greeted(strict.port);
    for (const line of lines) await client.command(line);
    await vi.waitFor(() => expect(journal.events()).toContain('session.cut'), 3_000);
    expect(journal.lines.find(({ event }) => event === 'session.cut')).toMatchObject({ limit });
    client.destroy();
    await strict.close();
  });

  test('a session that an old worker of a reload ends is told so, and no limit', async () => {
    const old = await startWorker({ log: journal.log });
    const client = await SmtpClient.greeted(old.port);
    await old.worker.drain('reload', 0);
    expect(await client.reply()).toBe('421 4.3.2 Service reloading, try again');
    expect(journal.lines.find(({ event }) => event === 'session.cut')).toMatchObject({ reason: 'reload' });
    expect(journal.lines.find(({ event }) => event === 'session.cut')).not.toHaveProperty('limit');
    client.destroy();
    await old.close();
  });
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
