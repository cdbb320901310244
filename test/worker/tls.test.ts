/** Certificates by name, client certificates and session tickets, over real sockets to a Worker in this process. */
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { clientAuthority, clientIdentity } from '../support/client-certificates.js';
import { until } from '../support/processes.js';
import { root, testCertificate } from '../support/postern.js';
import { SmtpClient } from '../support/smtp-client.js';
import { startWorker, type TestWorker } from './harness.js';

const folder = join(root, 'test/support/tls');
const other = { certificate: join(folder, 'names/other.crt'), key: join(folder, 'names/other.key') };
const rsa = {
  certificate: join(folder, 'names/localhost-rsa.crt'),
  key: join(folder, 'names/localhost-rsa.key'),
};
const versions = ['TLSv1.2', 'TLSv1.3'] as const;
const listeners = [
  { name: 'open', tls: 'implicit' },
  { name: 'ask', tls: 'implicit', clientCertificate: 'ask' },
  { name: 'require', tls: 'implicit', clientCertificate: 'require' },
  { name: 'starttls', tls: 'required', clientCertificate: 'require' },
] as const;
const tls = {
  alternatives: [rsa],
  sni: [{ names: ['other.test', '*.other.test'], ...other }],
  clientCa: clientAuthority,
};
const ticketSecret = randomBytes(32);

const log: string[] = [];
let first: TestWorker;
let second: TestWorker;
let trustsOthers: TestWorker;
const sockets: TLSSocket[] = [];

beforeAll(async () => {
  first = await startWorker({
    listeners,
    tls,
    ticketSecret,
    log: pino({ level: 'info' }, { write: (line: string) => log.push(line) }),
  });
  second = await startWorker({ listeners, tls, ticketSecret });
  // As after a reload: the same listeners and secret, other authorities.
  const clientCa = testCertificate.certificate;
  trustsOthers = await startWorker({ listeners, tls: { ...tls, clientCa }, ticketSecret });
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  for (const worker of [first, second, trustsOthers]) await worker.close();
});

interface Visit {
  readonly socket: TLSSocket;
  readonly client: SmtpClient;
  readonly greeting: string;
  /** To come back with. */
  readonly session: Buffer;
}

/** In TLS at a listener, greeted, with the ticket that it gave. */
async function visit(worker: TestWorker, listener: string, options: ConnectionOptions = {}): Promise<Visit> {
  const port = worker.ports[listener] ?? 0;
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  sockets.push(socket);
  let session: Buffer | undefined;
  socket.on('session', (ticket: Buffer) => (session = ticket));
  await once(socket, 'secureConnect');
  const client = SmtpClient.over(socket);
  const greeting = await client.reply();
  await until('a ticket', () => session !== undefined || socket.isSessionReused());
  return { socket, client, greeting, session: session ?? Buffer.alloc(0) };
}

function metric(worker: TestWorker, name: string): number {
  const samples = worker.worker.snapshot()[name] ?? [];
  return samples.reduce((sum, { value }) => sum + (typeof value === 'number' ? value : 0), 0);
}

describe('the certificate that is shown', () => {
  test.each([
    ['other.test', 'other.test'],
    ['MX.other.test', 'other.test'],
    ['a.b.other.test', 'localhost'],
    ['mx.example.test', 'localhost'],
    ['', 'localhost'],
  ])('to who asks for %j is that of %s', async (servername, subject) => {
    const { socket } = await visit(first, 'open', servername === '' ? {} : { servername });
    expect(socket.getPeerCertificate().subject.CN).toBe(subject);
  });

  test('is the RSA one for a client that knows no ECDSA, at one and the same name', async () => {
    const ecdsa = await visit(first, 'open', { maxVersion: 'TLSv1.2' });
    expect(ecdsa.socket.getCipher().name).toMatch(/^ECDHE-ECDSA-/);
    const ciphers = 'ECDHE-RSA-AES128-GCM-SHA256';
    const { socket } = await visit(first, 'open', { maxVersion: 'TLSv1.2', ciphers });
    expect(socket.getCipher().name).toBe(ciphers);
  });

  test('a name of 255 octets, and one that is no name, leave the worker whole', async () => {
    for (const servername of ['a'.repeat(255), '*.other.test', '..', 'x y\u00e9'])
      await visit(first, 'open', { servername });
  });
});

describe('what is spoken', () => {
  test.each<[string, ConnectionOptions]>([
    ['CBC', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' }],
    ['no forward secrecy', { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' }],
    ['TLS 1.1', { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }],
  ])('not %s', async (_, options) => {
    const before = metric(first, 'postern_tls_handshake_failures_total');
    const port = first.ports['open'] ?? 0;
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
    await expect(once(socket, 'secureConnect')).rejects.toThrow(/alert|protocol/);
    await until('it is counted', () => metric(first, 'postern_tls_handshake_failures_total') === before + 1);
  });

  test('no protocol is agreed on by ALPN', async () => {
    const { socket } = await visit(first, 'open', { ALPNProtocols: ['h2', 'smtp'] });
    expect(socket.alpnProtocol).toBe(false);
  });
});

describe('client certificates', () => {
  test.each([...versions])('%s: one that verifies is let in and logged', async (version) => {
    const { client } = await visit(first, 'require', { ...clientIdentity('joe'), maxVersion: version });
    await client.command('EHLO t');
    expect(await client.command('MAIL FROM:<a@x.test>')).toMatch(/^250/);
    await client.command('RSET');
    expect(await client.send('Subject: x\r\n\r\nx', { to: 'b@ok.test' })).toMatch(/^250 2\.0\.0 Ok/);
    const line = log.findLast((text) => text.includes('message.accepted')) ?? '{}';
    expect(JSON.parse(line)).toMatchObject({ clientCert: 'O=Example, CN=joe', listener: 'require' });
  });

  test.each<[string, ConnectionOptions, string | undefined]>([
    ['none', {}, undefined],
    ["a stranger's of the same name", clientIdentity('stranger'), 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['an expired one', clientIdentity('expired'), 'CERT_HAS_EXPIRED'],
    ["a server's", clientIdentity('server'), 'INVALID_PURPOSE'],
  ])('where one is required, with %s every command but QUIT gets 554', async (_, options, fault) => {
    for (const version of versions) {
      const { client } = await visit(first, 'require', { ...options, maxVersion: version });
      for (const command of ['EHLO t', 'HELO t', 'NOOP', 'MAIL FROM:<a@x.test>', 'RSET', 'VRFY x'])
        expect(await client.command(command), command).toMatch(/^554 5\.7\.1/);
      expect(await client.command('QUIT')).toMatch(/^221/);
      await client.ended();
    }
    const told = log.filter((line) => line.includes('tls.client-certificate')).at(-1) ?? '{}';
    if (fault !== undefined) expect(JSON.parse(told)).toMatchObject({ verified: false, fault });
  });

  test('RFC 3207 §4.1: so it is behind STARTTLS, where plaintext is 530', async () => {
    const client = await SmtpClient.greeted(first.ports['starttls'] ?? 0);
    expect(await client.command('MAIL FROM:<a@x.test>')).toMatch(/^530/);
    await client.startTls();
    expect(await client.command('EHLO t')).toMatch(/^554 5\.7\.1/);
    client.destroy();
  });

  test.each<[string, ConnectionOptions]>([
    ['none', {}],
    ['one that does not verify', clientIdentity('stranger')],
  ])('where one is asked for, %s is no obstacle', async (_, options) => {
    const { client } = await visit(first, 'ask', options);
    expect(await client.command('EHLO t')).toMatch(/^250/);
    expect(await client.command('MAIL FROM:<a@x.test>')).toMatch(/^250/);
  });

  test('at a name of tls.sni the authorities are the same', async () => {
    const options = { servername: 'mx.other.test' };
    const good = await visit(first, 'require', { ...options, ...clientIdentity('joe') });
    expect(await good.client.command('EHLO t')).toMatch(/^250/);
    const bad = await visit(first, 'require', { ...options, ...clientIdentity('stranger') });
    expect(await bad.client.command('EHLO t')).toMatch(/^554/);
  });
});

describe.each([...versions])('session tickets, %s', (maxVersion) => {
  test('are good at the same listener of another worker, also with a name of tls.sni', async () => {
    for (const servername of ['localhost', 'mx.other.test']) {
      const before = metric(second, 'postern_tls_resumptions_total');
      const { session } = await visit(first, 'open', { maxVersion, servername });
      const { socket, client } = await visit(second, 'open', { maxVersion, servername, session });
      expect(socket.isSessionReused()).toBe(true);
      expect(await client.command('EHLO t')).toMatch(/^250/);
      await until('it is counted', () => metric(second, 'postern_tls_resumptions_total') === before + 1);
    }
  });

  test('A-033: are worth nothing at another listener: a full handshake', async () => {
    const { session } = await visit(first, 'open', { maxVersion });
    for (const listener of ['ask', 'require']) {
      const { socket } = await visit(first, listener, { maxVersion, session });
      expect(socket.isSessionReused()).toBe(false);
    }
  });

  test('are worth nothing once the secret is another', async () => {
    const { session } = await visit(first, 'open', { maxVersion });
    second.worker.setTicketSecret(randomBytes(32));
    const { socket } = await visit(second, 'open', { maxVersion, session });
    expect(socket.isSessionReused()).toBe(false);
    second.worker.setTicketSecret(ticketSecret);
    expect((await visit(second, 'open', { maxVersion, session })).socket.isSessionReused()).toBe(true);
  });

  test('carry the verified certificate of the first handshake', async () => {
    const { session } = await visit(first, 'require', { ...clientIdentity('joe'), maxVersion });
    const { socket, client } = await visit(second, 'require', { maxVersion, session });
    expect(socket.isSessionReused()).toBe(true);
    expect(await client.command('EHLO t')).toMatch(/^250/);
  });

  test.each<[string, ConnectionOptions]>([
    ['no certificate', {}],
    ['one that does not verify', clientIdentity('stranger')],
  ])('of a session with %s make nobody verified', async (_, options) => {
    const { session } = await visit(first, 'require', { ...options, maxVersion });
    const { socket, client } = await visit(second, 'require', { maxVersion, session });
    expect(socket.isSessionReused()).toBe(true);
    expect(await client.command('EHLO t')).toMatch(/^554/);
  });

  test('are worth nothing where other authorities are trusted', async () => {
    const { session } = await visit(first, 'require', { ...clientIdentity('joe'), maxVersion });
    const { socket, client } = await visit(trustsOthers, 'require', { maxVersion, session });
    expect(socket.isSessionReused()).toBe(false);
    expect(await client.command('EHLO t')).toMatch(/^554/);
  });
});
