/** Connections from a trusted proxy, over real sockets to a Worker in this process: who the client is, and who gets in. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, describe, expect, test } from 'vitest';

import { until } from '../support/processes.js';
import { localHeader, sslTlv, tcp4Header, withChecksum } from '../support/proxy-header.js';
import { recordingLog, type RecordingLog } from '../support/recording-log.js';
import { SmtpClient } from '../support/smtp-client.js';
import { startWorker, type TestListener, type TestWorker, type TestWorkerOptions } from './harness.js';

/** Workers by what they were started with: those that a test does not change serve all that want the like. */
const workers = new Map<string, { running: TestWorker; journal: RecordingLog }>();
let running: TestWorker;
let journal: RecordingLog;
const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

afterAll(async () => {
  for (const worker of workers.values()) await worker.running.close();
});

async function start(
  listener: Partial<TestListener> = {},
  limits: TestWorkerOptions['limits'] = {},
  policy: Pick<TestWorkerOptions, 'unauthorizedPipelining' | 'greetDelay'> = {},
): Promise<TestWorker> {
  const key = JSON.stringify([listener, limits, policy]);
  let found = workers.get(key);
  if (found === undefined) {
    const record = recordingLog();
    const listeners = [{ name: 'mx', proxyProtocol: ['127.0.0.0/8'], ...listener }];
    found = {
      running: await startWorker({ listeners, limits, ...policy, log: record.log }),
      journal: record,
    };
    workers.set(key, found);
  }
  ({ running, journal } = found);
  journal.lines.splice(0);
  await until('nobody is left of the test before', () => running.worker.connections === 0);
  return running;
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  closers.push(() => socket.destroy());
  await once(socket, 'connect');
  socket.setNoDelay(true);
  return socket;
}

/** A client behind the proxy that sends these bytes first. */
async function behind(port: number, header: Buffer | string): Promise<SmtpClient> {
  const socket = await open(port);
  const client = SmtpClient.over(socket);
  socket.write(header);
  return client;
}

function lineOf(event: string): Record<string, unknown> | undefined {
  return journal.lines.findLast((line) => line.event === event);
}

function refusedForHeader(): number {
  const samples = running.worker.snapshot()['postern_connections_refused_total'] ?? [];
  const sample = samples.find(({ labels }) => labels.join() === 'mx,proxy-header');
  return typeof sample?.value === 'number' ? sample.value : 0;
}

function openConnections(): number {
  const [sample] = running.worker.snapshot()['postern_connections_open'] ?? [];
  return typeof sample?.value === 'number' ? sample.value : 0;
}

const line = 'PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n';
const patience = { timeout: 15_000 };

describe('the client of the header is the client', () => {
  test.each<[string, Buffer | string, { client: string } & Record<string, unknown>]>([
    ['v1', line, { client: '192.0.2.1', clientPort: 40_000, proxy: '127.0.0.1' }],
    ['v1 of IPv6', 'PROXY TCP6 2001:DB8::1 2001:db8::2 1 25\r\n', { client: '2001:db8::1', proxy: '127.0.0.1' }],
    ['v1 of a mapped address', 'PROXY TCP6 ::ffff:192.0.2.1 ::1 1 25\r\n', { client: '192.0.2.1' }],
    ['v2', withChecksum(tcp4Header()), { client: '192.0.2.1', proxy: '127.0.0.1' }],
    [
      'v2 with what the proxy knows of TLS',
      tcp4Header([[0x02, 'mx.example.org'], sslTlv(7, 0, [[0x21, 'TLSv1.3'], [0x22, 'joe']])]),
      {
        client: '192.0.2.1',
        proxied: { sni: 'mx.example.org', tls: 'TLSv1.3', clientCertVerified: true, clientCertName: 'joe' },
      },
    ],
    ['v1 UNKNOWN: the proxy itself', 'PROXY UNKNOWN\r\n', { client: '127.0.0.1' }],
    ['v2 LOCAL: the proxy itself', localHeader, { client: '127.0.0.1' }],
  ])('%s', async (_, header, expected) => {
    const { port, worker } = await start();
    const client = await behind(port, header);
    expect(await client.reply()).toMatch(/^220 mx\.test/);
    // TLS that the proxy ended is a fact to show: the session has no TLS, and says so.
    expect(await client.command('EHLO client.test')).not.toContain('AUTH');
    await client.send('Subject: x\r\n\r\nx', { to: 'b@ok.test' });
    expect(lineOf('message.accepted')).toMatchObject(expected);
    expect(lineOf('message.accepted')).not.toHaveProperty('tls');
    expect(lineOf('connection.refused')).toBeUndefined();
    const id = String(lineOf('message.accepted')?.['qid']);
    const { client: address } = expected;
    const stored = await worker.call({ method: 'show', id });
    const literal = address.includes(':') ? `[IPv6:${address}]` : `[${address}]`;
    expect(stored).toMatchObject({ value: { clientAddress: address } });
    expect(stored).toMatchObject({ value: { header: expect.stringContaining(`from client.test (${literal})`) } });
  });
}); // prettier-ignore

describe('A-112: what comes behind the header is the client’s', () => {
  const dialogue = 'EHLO client.test\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\nRSET\r\nQUIT\r\n';

  test.each([
    ['in one segment', Infinity],
    ['byte by byte', 1],
    ['in pieces of 7', 7],
  ])('%s', async (_, size) => {
    const { port } = await start();
    const socket = await open(port);
    const client = SmtpClient.over(socket);
    const bytes = Buffer.concat([tcp4Header(), Buffer.from(dialogue)]);
    for (let at = 0; at < bytes.length; at += size) {
      socket.write(bytes.subarray(at, Math.min(bytes.length, at + size)));
      if (size === 1) await new Promise(setImmediate);
    }
    await client.ended();
    expect(client.rest().match(/^\d{3} /gm)).toEqual(['220 ', '250 ', '250 ', '250 ', '250 ', '221 ']);
  });

  test('with its FIN behind', async () => {
    const { port } = await start();
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    closers.push(() => socket.destroy());
    const client = SmtpClient.over(socket);
    socket.end(line + dialogue);
    await client.ended();
    expect(client.rest()).toMatch(/\r\n221 2\.0\.0 .*\r\n$/);
  });

  test.each([
    ['in one segment with the ClientHello', Infinity],
    ['cut in the ClientHello', 200],
    ['in pieces of 9', 9],
  ])('under implicit TLS, %s', async (_, size) => {
    const { port } = await start({ tls: 'implicit' });
    const secure = connectTls({ port: await proxyBefore(port, size), rejectUnauthorized: false });
    closers.push(() => secure.destroy());
    const client = SmtpClient.over(secure);
    expect(await client.reply()).toMatch(/^220 /);
    await client.command('EHLO client.test');
    await client.send('Subject: x\r\n\r\nx', { to: 'b@ok.test' });
    expect(lineOf('message.accepted')).toMatchObject({ client: '192.0.2.1', proxy: '127.0.0.1' });
    expect(lineOf('message.accepted')).toHaveProperty('tls');
  });

  test('what comes with the header is no early talk; what comes behind EHLO with it is', async () => {
    const { port } = await start({}, {}, { unauthorizedPipelining: 'refuse' });
    const polite = await behind(port, `${line}EHLO client.test\r\n`);
    expect(await polite.reply()).toMatch(/^220 /);
    expect(await polite.reply()).toMatch(/^250[ -]/);
    const hasty = await behind(port, `${line}EHLO client.test\r\nMAIL FROM:<a@x.test>\r\n`);
    expect(await hasty.reply()).toMatch(/^220 /);
    expect(await hasty.reply()).toMatch(/^554 5\.5\.0 /);
    await hasty.ended();
  });

  test('a greeting with a delay is for it: it may send its header at once, and nothing behind it', async () => {
    const { port } = await start({}, { exempt: [] }, { greetDelay: '1s' });
    const [polite, hasty] = await Promise.all([behind(port, line), behind(port, `${line}EHLO t\r\n`)]);
    await hasty.ended();
    expect(hasty.rest()).toMatch(/^220-[^\n]*\r\n554 5\.5\.0 /);
    expect(await polite.reply()).toMatch(/^220-.*\n220 /);
    expect(await polite.command('EHLO client.test')).toMatch(/^250[ -]/);
  });

  test('and STARTTLS behind a header works', async () => {
    const { port } = await start({ tls: 'starttls' });
    const client = await behind(port, line);
    await client.reply();
    await client.command('EHLO client.test');
    await client.startTls();
    expect(await client.command('EHLO client.test')).toMatch(/^250/);
  });
});

describe('A-111: without a good header the connection closes without a word, and is counted', () => {
  test.each<[string, Buffer | string]>([
    ['SMTP at once', 'EHLO client.test\r\n'],
    ['a ClientHello', Buffer.from('16030102000100', 'hex')],
    ['a line too long', `PROXY UNKNOWN ${'x'.repeat(200)}\r\n`],
    ['port 65536', 'PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n'],
    ['a length of 65535', Buffer.concat([tcp4Header().subarray(0, 14), Buffer.from([255, 255])])],
    ['a wrong checksum', tcp4Header([[0x03, 'xxxx']])],
    ['half a header and FIN', 'PROXY TCP4 192.'],
  ])('%s', async (_, bytes) => {
    const service = await start();
    const before = refusedForHeader();
    const socket = await open(service.port);
    const client = SmtpClient.over(socket);
    socket.end(bytes);
    await client.ended();
    expect(client.rest()).toBe('');
    await until('it is counted', () => refusedForHeader() === before + 1);
    expect(lineOf('connection.refused')).toMatchObject({ reason: 'proxy-header', proxy: '127.0.0.1' });
    expect(service.worker.connections).toBe(0);
  });

  test.each<[string, string]>([
    ['silence', ''],
    ['half a header and silence', 'PROXY TCP4 192.'],
  ])('%s, at the deadline', patience, async (_, bytes) => {
    const service = await start({}, { proxyHeaderTimeout: '1s' });
    const client = await behind(service.port, bytes);
    await client.ended();
    expect(client.rest()).toBe('');
    expect(lineOf('connection.refused')).toMatchObject({ fault: 'late' });
    expect(service.worker.connections).toBe(0);
  });

  test('under implicit TLS too: a handshake without a header is none', async () => {
    const { port } = await start({ tls: 'implicit' });
    const secure = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
    closers.push(() => secure.destroy());
    await expect(once(secure, 'secureConnect')).rejects.toThrow();
    expect(lineOf('connection.refused')).toMatchObject({ fault: 'missing' });
  });

  test('A-052: a reset before, in and right behind the header leaves nothing behind', async () => {
    const service = await start();
    for (const bytes of ['', 'PROXY TC', line]) {
      const socket = await open(service.port);
      if (bytes !== '') socket.write(bytes);
      socket.resetAndDestroy();
    }
    await until('all are gone', () => service.worker.connections === 0);
    const client = await behind(service.port, line);
    expect(await client.reply()).toMatch(/^220/);
  });

  test.each([
    ['with FIN', 'end'],
    ['with RST', 'resetAndDestroy'],
  ] as const)('a probe under implicit TLS that leaves %s behind its LOCAL is no fault', async (_, leave) => {
    const service = await start({ tls: 'implicit' });
    const probe = await open(service.port);
    await new Promise((resolve) => probe.write(localHeader, resolve));
    await until('it is there', () => service.worker.connections === 1);
    // The header has been read: only then the handshake is what it leaves.
    await until('it is counted', () => openConnections() === 1);
    probe[leave]();
    await until('it is gone', () => service.worker.connections === 0);
    expect(lineOf('session.cut')).toBeUndefined();
  });

  test('a probe that connects and leaves is no fault', async () => {
    const { port } = await start();
    const before = refusedForHeader();
    const probe = await open(port);
    probe.end();
    await once(probe, 'close');
    await until('it is gone', () => running.worker.connections === 0);
    expect(refusedForHeader()).toBe(before);
    expect(lineOf('connection.refused')).toBeUndefined();
  });
});

describe('limits count the client of the header', () => {
  test('not its proxy: two clients get in, the second connection of one does not', async () => {
    const service = await start({}, { connectionsPerHost: 1, exempt: [] });
    const first = await behind(service.port, tcp4Header([], [192, 0, 2, 1]));
    expect(await first.reply()).toMatch(/^220/);
    const other = await behind(service.port, tcp4Header([], [192, 0, 2, 2]));
    expect(await other.reply()).toMatch(/^220/);
    const again = await behind(service.port, tcp4Header([], [192, 0, 2, 1]));
    expect(await again.reply()).toMatch(/^421/);
    expect(lineOf('connection.refused')).toMatchObject({ client: '192.0.2.1', proxy: '127.0.0.1', reason: 'host-limit' });
    first.destroy();
    await until('it has left', () => service.worker.connections === 1);
    expect(await (await behind(service.port, tcp4Header([], [192, 0, 2, 1]))).reply()).toMatch(/^220/);
  }); // prettier-ignore

  test('and those that have not said who they are count on the worker’s bound', async () => {
    const { port, worker } = await start({}, { connectionsPerWorker: 1 });
    await open(port);
    await until('the first is there', () => worker.connections === 1);
    const client = await behind(port, line);
    expect(await client.reply()).toMatch(/^421/);
  });
});

test('a service that stops does not wait for headers', patience, async () => {
  const { port, worker } = await start({}, { proxyHeaderTimeout: '1m' });
  const socket = await open(port);
  socket.resume();
  await until('it is there', () => worker.connections === 1);
  const closed = once(socket, 'close');
  await worker.drain('stop', 30_000);
  await closed;
});

test('A-110: a peer that is not named is a client like any other, whatever it claims', async () => {
  const { port } = await start({ proxyProtocol: ['192.0.2.0/24'] });
  const client = await behind(port, '');
  expect(await client.reply()).toMatch(/^220/);
  expect(await client.command(line.trim())).toMatch(/^521 /);
  await client.ended();
  await until('it is logged', () => lineOf('session.cut') !== undefined);
  expect(lineOf('session.cut')).toMatchObject({ client: '127.0.0.1', reason: 'not-smtp' });
  expect(lineOf('session.cut')).not.toHaveProperty('proxy');
});

/** A proxy of one connection: its header and the first thing the client says go out in pieces of `size`, the rest as it comes. */
async function proxyBefore(port: number, size: number): Promise<number> {
  const server = createServer((client) => {
    const postern = connect({ port, host: '127.0.0.1', noDelay: true });
    for (const socket of [client, postern]) {
      socket.on('error', () => undefined);
      closers.push(() => socket.destroy());
    }
    client.once('data', (first: Buffer) => {
      const bytes = Buffer.concat([tcp4Header(), first]);
      for (let at = 0; at < bytes.length; at += size) postern.write(bytes.subarray(at, at + size));
      client.pipe(postern).pipe(client);
    });
  });
  closers.push(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}
