/** Flow, deadlines and TLS of one connection, over real sockets to a Worker in this process. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';

import { until } from '../support/processes.js';
import { SmtpClient } from '../support/smtp-client.js';
import { startWorker, type TestWorker, type TestWorkerOptions } from './harness.js';

let running: TestWorker | undefined;
const clients: SmtpClient[] = [];
const timers: NodeJS.Timeout[] = [];

afterEach(async () => {
  for (const timer of timers.splice(0)) clearInterval(timer);
  for (const client of clients.splice(0)) client.destroy();
  await running?.close();
  running = undefined;
});

async function start(options: TestWorkerOptions): Promise<TestWorker> {
  running = await startWorker(options);
  return running;
}

async function greeted(port: number): Promise<SmtpClient> {
  const client = await SmtpClient.greeted(port);
  clients.push(client);
  return client;
}

/** As a slow or hostile client sends: one byte again and again. */
function drip(client: SmtpClient, byte: string): void {
  timers.push(setInterval(() => client.write(byte), 100));
}

async function openMessage(client: SmtpClient): Promise<void> {
  await client.command('MAIL FROM:<a@x.test>');
  await client.command('RCPT TO:<b@ok.test>');
  expect(await client.command('DATA')).toMatch(/^354/);
}

const patience = { timeout: 15_000 };

describe('deadlines are of whole commands and whole messages (promise 3)', () => {
  test('A-050: a command line that drips is cut with 421', patience, async () => {
    const { port } = await start({ limits: { commandTimeout: '1s' } });
    const client = await greeted(port);
    drip(client, 'N');
    expect(await client.reply()).toMatch(/^421 4\.4\.2/);
    await client.ended();
  });

  test('A-051: a message that drips is cut with 421', patience, async () => {
    const { port } = await start({ limits: { messageTimeout: '1s' } });
    const client = await greeted(port);
    await openMessage(client);
    drip(client, 'x');
    expect(await client.reply()).toMatch(/^421 4\.4\.2/);
    await client.ended();
  });

  test('so is one that is refused already and read to its true end', patience, async () => {
    const { port } = await start({ limits: { messageTimeout: '1s' } });
    const client = await greeted(port);
    await openMessage(client);
    client.write('Subject: x\r\n\r\n\0\r\n');
    drip(client, 'x');
    expect(await client.reply()).toMatch(/^421 4\.4\.2/);
    await client.ended();
  });

  test('a message between whose reads nothing comes is cut with 421', patience, async () => {
    const { port } = await start({ limits: { dataTimeout: '1s' } });
    const client = await greeted(port);
    await openMessage(client);
    expect(await client.reply()).toMatch(/^421 4\.4\.2/);
  });

  test(
    'a client that sends commands and never reads the replies does not stay (A-045 A-052)',
    patience,
    async () => {
      const { port, worker } = await start({ limits: { commandTimeout: '1s', junkCommands: 1_000_000 } });
      const client = await greeted(port);
      client.raw.pause();
      client.write('NOOP\r\n'.repeat(1_000_000));
      await until('the connection is given up', () => worker.connections === 0);
    },
  );
});

test('A-051: a message whose BDAT drip, each whole at once, is cut with 421', patience, async () => {
  const { port } = await start({ limits: { messageTimeout: '1s', dataBytesPerSecond: 0 } });
  const client = await greeted(port);
  await client.command('MAIL FROM:<a@x.test>');
  await client.command('RCPT TO:<b@ok.test>');
  const timer = setInterval(() => client.write(`BDAT 300\r\n${'x'.repeat(298)}\r\n`), 300);
  try {
    let reply = await client.reply();
    while (reply.startsWith('250')) reply = await client.reply();
    expect(reply).toMatch(/^421 4\.4\.2/);
  } finally {
    clearInterval(timer);
  }
});

test('A-051: what comes with its BDAT counts as what comes behind it', patience, async () => {
  const { port } = await start({ limits: { dataRateAfter: '1s', dataBytesPerSecond: 500 } });
  const client = await greeted(port);
  await client.command('MAIL FROM:<a@x.test>');
  await client.command('RCPT TO:<b@ok.test>');
  client.write(`BDAT 2010 LAST\r\n${`${'x'.repeat(98)}\r\n`.repeat(20)}`);
  // Too slow by itself, and not as a part of that message.
  for (let left = 10; left > 0; left--) {
    await delay(250);
    client.write(left === 2 ? '\r' : left === 1 ? '\n' : 'x');
  }
  expect(await client.reply()).toMatch(/^250 2\.0\.0/);
});

describe('TLS', () => {
  const implicit = { listeners: [{ name: 'smtps', tls: 'implicit' }] } as const;
  const startTls = { listeners: [{ name: 'mx', tls: 'starttls' }] } as const;

  test('inside from the first byte: greeting, mail, goodbye', async () => {
    const { port, worker } = await start(implicit);
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
    const said = collect(socket);
    socket.write('EHLO t\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\nDATA\r\n');
    await until('354', () => said().includes('\r\n354 '));
    expect(said()).not.toContain('STARTTLS');
    socket.write('Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n');
    await once(socket, 'close');
    expect(said()).toMatch(/\r\n250 2\.0\.0 Ok: queued as \w+\r\n221 2\.0\.0 .*\r\n$/);
    await until('it is gone', () => worker.connections === 0);
  });

  test.each([
    ['plaintext', Buffer.from('EHLO t\r\n')],
    ['16 KiB of 0xFF', Buffer.alloc(16_384, 0xff)],
    ['a record of 65535 bytes', Buffer.from('160301ffff', 'hex')],
  ])('A-025: %s instead of a ClientHello ends the connection', async (_name, bytes) => {
    const { port, worker } = await start(implicit);
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(bytes);
    socket.resume();
    await once(socket, 'close');
    await until('it is gone', () => worker.connections === 0);
  });

  test(
    'A-025: half a ClientHello and silence is cut at the deadline of the handshake',
    patience,
    async () => {
      const { port, worker } = await start({ ...implicit, limits: { tlsHandshakeTimeout: '1s' } });
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(Buffer.from('1603010200010001fc0303', 'hex'));
      socket.resume();
      await once(socket, 'close');
      await until('it is gone', () => worker.connections === 0);
    },
  );

  test('A-022: plaintext sent behind the 220 ends the connection without a reply', async () => {
    const { port, worker } = await start(startTls);
    const client = await greeted(port);
    expect(await client.command('STARTTLS')).toMatch(/^220/);
    client.write('RSET\r\n');
    await client.ended();
    expect(client.rest()).not.toMatch(/^\d{3}/);
    await until('it is gone', () => worker.connections === 0);
  });

  test('A-052 A-150: a client that goes in the middle of the handshake, by FIN or reset, leaves nothing behind', async () => {
    const { port, worker } = await start({ ...startTls, limits: { tlsHandshakeTimeout: '1s' } });
    for (const farewell of ['end', 'resetAndDestroy'] as const) {
      const client = await greeted(port);
      client.write('STARTTLS\r\n');
      client.raw[farewell]();
    }
    await until('both are gone', () => worker.connections === 0);
  });

  test('A-027: a record that is broken after the handshake ends the connection at once', async () => {
    const { port, worker } = await start(implicit);
    const raw = connect(port, '127.0.0.1');
    raw.on('error', () => undefined);
    const secure = connectTls({ socket: raw, rejectUnauthorized: false });
    secure.on('error', () => undefined);
    const said = collect(secure);
    await until('the greeting', () => said().startsWith('220 '));
    raw.write(Buffer.from('1703030010' + 'ab'.repeat(16), 'hex'));
    await until('it is gone', () => worker.connections === 0);
  });

  test('A-027: a FIN without close_notify in the middle of a message queues nothing', async () => {
    const { port, worker } = await start(implicit);
    const raw = connect(port, '127.0.0.1');
    const secure = connectTls({ socket: raw, rejectUnauthorized: false });
    secure.on('error', () => undefined);
    const said = collect(secure);
    secure.write('EHLO t\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\nDATA\r\n');
    await until('354', () => said().includes('\r\n354 '));
    secure.write('Subject: half', () => raw.end());
    await until('it is gone', () => worker.connections === 0);
    expect(await worker.call({ method: 'stats' })).toMatchObject({ value: { messages: { active: 0 } } });
  });
});

const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
);

test.skipIf(!hasIpv6)('submission on IPv6: AUTH inside STARTTLS, then any recipient', async () => {
  const listeners = [
    { name: 'mx', tls: 'starttls' },
    { name: 'submission', address: '::1', role: 'submission', tls: 'required' },
  ] as const;
  const { ports, worker } = await start({ listeners, users: { u: 'p' } });
  const client = await SmtpClient.connect(ports['submission'] ?? 0, { host: '::1' });
  clients.push(client);
  await client.reply();
  expect(await client.command('EHLO t')).not.toContain('AUTH');
  expect(await client.command('MAIL FROM:<a@x.test>')).toMatch(/^530 5\.7\.0/);
  await client.startTls();
  expect(await client.command('EHLO t')).toContain('AUTH PLAIN LOGIN');
  expect(await client.command('MAIL FROM:<a@x.test>')).toMatch(/^530 5\.7\.0/);
  expect(await client.command('AUTH PLAIN AHUAcA==')).toMatch(/^235/);
  expect(await client.send('Subject: x\r\n\r\nx', { to: 'b@far.test' })).toMatch(/^250 2\.0\.0 Ok/);
  const listed = await worker.call({ method: 'list', filter: {}, offset: 0, limit: 10 });
  expect(listed).toMatchObject({ value: { total: 1, messages: [{ recipients: [{ route: 'nowhere' }] }] } });
  const mx = await greeted(ports['mx'] ?? 0);
  await mx.command('MAIL FROM:<a@x.test>');
  expect(await mx.command('RCPT TO:<b@far.test>')).toMatch(/^550 5\.7\.1/);
});

test('C-025: a client that closed its side after QUIT still gets every reply', async () => {
  const { port } = await start({});
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const said = collect(socket);
  socket.end(
    'EHLO t\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\nRCPT TO:<c@ok.test>\r\nRSET\r\nQUIT\r\n',
  );
  await once(socket, 'end');
  expect(said().match(/^\d{3} /gm)).toEqual(['220 ', '250 ', '250 ', '250 ', '250 ', '250 ', '221 ']);
});

/** All that came so far, as text. */
function collect(socket: NodeJS.ReadableStream | TLSSocket): () => string {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  return () => text;
}
