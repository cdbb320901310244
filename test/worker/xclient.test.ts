/** XCLIENT and XFORWARD over a real socket to a Worker: the client that was named is the one that limits and logs see. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { until } from '../support/processes.js';
import { recordingLog, type RecordingLog } from '../support/recording-log.js';
import { SmtpClient } from '../support/smtp-client.js';
import { startWorker, type TestWorker } from './harness.js';

let running: TestWorker;
let journal: RecordingLog;
const clients: SmtpClient[] = [];

beforeEach(async () => {
  journal = recordingLog();
  running = await startWorker({
    listeners: [{ name: 'mx', tls: 'starttls', xclient: ['127.0.0.1/32'] }],
    limits: { connectionsPerHost: 1, exempt: [] },
    log: journal.log,
  });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await running.close();
});

/** The first command comes as if behind `address`. */
async function clientOf(localAddress: string): Promise<SmtpClient> {
  const client = await SmtpClient.connect(running.port, { localAddress });
  clients.push(client);
  expect(await client.reply()).toMatch(/^220/);
  return client;
}

function lineOf(event: string): Record<string, unknown> | undefined {
  return journal.lines.findLast((line) => line.event === event);
}

describe('A-113: the client that a trusted peer names is the client', () => {
  test('the named client counts, no longer the one that named it', async () => {
    const first = await clientOf('127.0.0.1');
    expect(await first.command('XCLIENT ADDR=192.0.2.1 NAME=c.test PORT=40000')).toMatch(/^220/);
    expect(lineOf('client.named')).toMatchObject({ client: '192.0.2.1', clientName: 'c.test', clientPort: 40_000, xclient: '127.0.0.1' });
    const second = await clientOf('127.0.0.1');
    expect(await second.command('XCLIENT ADDR=192.0.2.1')).toMatch(/^421/);
    await second.ended();
    expect(lineOf('connection.refused')).toMatchObject({ client: '192.0.2.1', xclient: '127.0.0.1', reason: 'host-limit' });
    first.destroy();
    await until('both are gone', () => running.worker.connections === 0);
    const third = await clientOf('127.0.0.1');
    expect(await third.command('XCLIENT ADDR=192.0.2.1')).toMatch(/^220/);
  }); // prettier-ignore

  test('its address is in Received, the envelope and the log, inside TLS too; trust is not handed on', async () => {
    const client = await clientOf('127.0.0.1');
    expect(await client.command('XCLIENT ADDR=IPV6:2001:db8::7')).toMatch(/^220/);
    await client.command('EHLO c.test');
    await client.startTls();
    expect(await client.command('EHLO c.test')).not.toContain('XCLIENT');
    expect(await client.command('XCLIENT ADDR=127.0.0.1')).toMatch(/^550 5\.7\.1/);
    expect(await client.send('Subject: x\r\n\r\nx', { to: 'b@ok.test' })).toMatch(/^250/);
    const line = lineOf('message.accepted');
    expect(line).toMatchObject({ client: '2001:db8::7', xclient: '127.0.0.1' });
    const stored = await running.worker.call({ method: 'show', id: String(line?.['qid']) });
    expect(stored).toMatchObject({
      value: { clientAddress: '2001:db8::7', header: expect.stringContaining('([IPv6:2001:db8::7])') },
    });
  });

  test('nobody knows the client: it counts as the peer, and is not trusted as it', async () => {
    const client = await clientOf('127.0.0.1');
    expect(await client.command('XCLIENT ADDR=[UNAVAILABLE]')).toMatch(/^220/);
    expect(await client.command('EHLO c.test')).not.toContain('XCLIENT');
    expect(await client.command('XCLIENT ADDR=192.0.2.1')).toMatch(/^550 5\.7\.1/);
    expect(lineOf('client.named')).toMatchObject({ client: '127.0.0.1' });
  });

  test('what several commands say adds up, and a session ends as whoever it is then', async () => {
    const client = await clientOf('127.0.0.1');
    await client.command('XCLIENT NAME=c.test PORT=1');
    await client.command('XCLIENT ADDR=192.0.2.1 PORT=[UNAVAILABLE]');
    expect(lineOf('client.named')).toMatchObject({
      client: '192.0.2.1',
      clientName: 'c.test',
      xclient: '127.0.0.1',
    });
    expect(lineOf('client.named')).not.toHaveProperty('clientPort');
    await client.command('GET / HTTP/1.1');
    await until('it is cut', () => lineOf('session.cut') !== undefined);
    expect(lineOf('session.cut')).toMatchObject({ client: '192.0.2.1', clientName: 'c.test' });
  });

  test('of another peer: refused, and nothing changed', async () => {
    const client = await clientOf('127.0.0.2');
    expect(await client.command('XCLIENT ADDR=192.0.2.1')).toMatch(/^550 5\.7\.1/);
    await client.command('EHLO c.test');
    expect(await client.command('XFORWARD ADDR=192.0.2.1')).toMatch(/^550 5\.7\.1/);
    await client.send('Subject: x\r\n\r\nx', { to: 'b@ok.test' });
    expect(lineOf('message.accepted')).toMatchObject({ client: '127.0.0.2' });
    expect(lineOf('message.accepted')).not.toHaveProperty('forwarded');
    expect(lineOf('client.named')).toBeUndefined();
  });
});

test('XFORWARD is shown with its message, accepted or refused, and changes nothing else', async () => {
  const client = await clientOf('127.0.0.1');
  await client.command('EHLO filter.test');
  const forwarded = 'XFORWARD NAME=c.test ADDR=192.0.2.1 HELO=[UNAVAILABLE] IDENT=4BDF1 SOURCE=REMOTE';
  expect(await client.command(forwarded)).toMatch(/^250/);
  await client.command('MAIL FROM:<a@x.test>');
  await client.command('RCPT TO:<b@no.test>');
  const shown = { name: 'c.test', addr: '192.0.2.1', ident: '4BDF1', source: 'REMOTE' };
  expect(lineOf('recipient.refused')).toMatchObject({ client: '127.0.0.1', forwarded: shown });
  await client.command('RSET');
  await client.command(forwarded);
  await client.send('Subject: x\r\n\r\nx', { to: 'b@ok.test' });
  expect(lineOf('message.accepted')).toMatchObject({ client: '127.0.0.1', forwarded: shown });
  await client.send('Subject: y\r\n\r\ny', { to: 'b@ok.test' });
  expect(lineOf('message.accepted')).not.toHaveProperty('forwarded');
});
