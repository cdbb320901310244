/**
 * The name that a client asks for (SNI) chooses all that TLS is made of, over real sockets to a Worker in this process:
 * behind STARTTLS, from the start, and behind a proxy; whatever pieces the ClientHello comes in.
 */
import { randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { TLSSocket, type ConnectionOptions } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { clientAuthority, clientIdentity } from '../support/client-certificates.js';
import { helloBody, helloFor, hostName, message, records, serverName } from '../support/client-hello.js';
import { root, testCertificate } from '../support/postern.js';
import { until } from '../support/processes.js';
import { tcp4Header } from '../support/proxy-header.js';
import { recordingLog } from '../support/recording-log.js';
import { SmtpClient } from '../support/smtp-client.js';
import { startWorker, type TestWorker } from './harness.js';

const folder = join(root, 'test/support/tls/names');
const pair = (name: string): { certificate: string; key: string } => ({
  certificate: join(folder, `${name}.crt`),
  key: join(folder, `${name}.key`),
});
const fingerprint = (file: string): string => new X509Certificate(readFileSync(file)).fingerprint256;

/** By what a test calls them. */
const shown = {
  'the one for all': fingerprint(testCertificate.certificate),
  "the name's ECDSA one": fingerprint(pair('other').certificate),
  "the name's RSA one": fingerprint(pair('other-rsa').certificate),
  'the RSA one': fingerprint(pair('localhost-rsa').certificate),
};

const ways = ['implicit', 'starttls', 'implicit-proxied', 'starttls-proxied'] as const;
type Way = (typeof ways)[number] | 'implicit-require';

const tls = {
  sni: [
    { names: ['rsa.test'], ...pair('localhost-rsa') },
    { names: ['other.test', '*.other.test'], ...pair('other'), alternatives: [pair('other-rsa')] },
  ],
  clientCa: clientAuthority,
};
const proxyProtocol = ['127.0.0.0/8'];
const listeners = [
  { name: 'implicit', tls: 'implicit' },
  { name: 'starttls', tls: 'starttls' },
  { name: 'implicit-proxied', tls: 'implicit', proxyProtocol },
  { name: 'starttls-proxied', tls: 'starttls', proxyProtocol },
  { name: 'implicit-require', tls: 'implicit', clientCertificate: 'require' },
] as const;

const patience = { timeout: 15_000 };
const journal = recordingLog();
let worker: TestWorker;
const sockets: Socket[] = [];

beforeAll(async () => {
  worker = await startWorker({ listeners, tls, log: journal.log });
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await until('nobody is left', () => worker.worker.connections === 0);
});

afterAll(() => worker.close());

/** Connected, the PROXY header said, and up to the 220 of STARTTLS where there is one. */
async function atTheDoor(way: Way, at: TestWorker = worker): Promise<SmtpClient> {
  const plain = connect(at.ports[way] ?? 0, '127.0.0.1');
  plain.setNoDelay(true);
  sockets.push(plain);
  const client = SmtpClient.over(plain);
  await once(plain, 'connect');
  if (way.endsWith('proxied')) client.write(tcp4Header());
  if (way.startsWith('starttls')) {
    await client.reply();
    await client.command('EHLO t');
    expect(await client.command('STARTTLS')).toMatch(/^220/);
  }
  return client;
}

interface Visit {
  readonly client: SmtpClient;
  readonly socket: TLSSocket;
  /** Of the certificate that was shown. */
  readonly fingerprint: string;
}

async function visit(way: Way, options: ConnectionOptions, pace?: (plain: Socket) => Duplex): Promise<Visit> {
  const client = await atTheDoor(way);
  const line = pace?.(client.raw);
  await client.handshake(line === undefined ? options : { ...options, socket: line });
  const { raw } = client;
  if (!(raw instanceof TLSSocket)) throw new Error('no TLS');
  if (way.startsWith('implicit')) await client.reply();
  await client.command('NOOP');
  const { fingerprint256 } = raw.getPeerCertificate();
  return { client, socket: raw, fingerprint: fingerprint256 };
}

/** What is written goes out octet by octet, each in a turn of its own; all of it, or up to the first so many. */
function bytewise(plain: Socket, octets = Infinity): Duplex {
  let left = octets;
  const line = new Duplex({
    read: () => {
      if (plain.listenerCount('data') > 0) return;
      plain.on('data', (chunk) => line.push(chunk));
      plain.on('end', () => line.push(null));
    },
    write: (chunk: Buffer, _, done) => {
      const slow = chunk.subarray(0, Math.min(left, chunk.length));
      left -= slow.length;
      void (async () => {
        for (const octet of slow) {
          plain.write(Buffer.from([octet]));
          await turn();
        }
        plain.write(chunk.subarray(slow.length));
        done();
      })();
    },
  });
  return line;
}

const name = serverName(hostName('rsa.test'));
const onlyRsa = { sigalgs: 'RSA-PSS+SHA256:RSA+SHA256' };
const onlyEcdsa = { sigalgs: 'ECDSA+SHA256' };

describe.each(ways)('RFC 6066 §3: %s', (way) => {
  const versions = ['TLSv1.2', 'TLSv1.3'] as const;

  test.each<[string, ConnectionOptions, keyof typeof shown]>([
    ['a name with an RSA certificate, beside an ECDSA one for all', { servername: 'rsa.test' }, 'the RSA one'],
    ['a name with both', { servername: 'other.test' }, "the name's ECDSA one"],
    ['a name with both, from a client of RSA alone', { servername: 'other.test', ...onlyRsa }, "the name's RSA one"],
    ['its wildcard, from one of ECDSA alone', { servername: 'MX.other.test', ...onlyEcdsa }, "the name's ECDSA one"],
    ['a name that nobody has', { servername: 'nobody.test' }, 'the one for all'],
    ['no name', {}, 'the one for all'],
  ])('%s', async (_, options, certificate) => {
    for (const maxVersion of versions)
      expect((await visit(way, { ...options, maxVersion })).fingerprint).toBe(shown[certificate]);
  }); // prettier-ignore

  test('a certificate of a kind that the name does not have is not borrowed from the one for all', async () => {
    for (const maxVersion of versions)
      await expect(visit(way, { servername: 'rsa.test', ...onlyEcdsa, maxVersion })).rejects.toThrow(
        /handshake failure|alert/,
      );
  });

  test('a ClientHello that comes byte by byte', async () => {
    for (const maxVersion of versions) {
      const { client, fingerprint } = await visit(way, { servername: 'rsa.test', maxVersion }, bytewise);
      expect(fingerprint).toBe(shown['the RSA one']);
      expect(await client.command('EHLO t')).toMatch(/^250/);
    }
  });

  test('a ClientHello cut at any of its first octets', async () => {
    for (const octets of [1, 2, 4, 5, 6, 9, 43])
      expect(
        (await visit(way, { servername: 'rsa.test' }, (plain) => bytewise(plain, octets))).fingerprint,
      ).toBe(shown['the RSA one']);
  });

  test('a ClientHello beyond the bound gets the certificate for all and a session', async () => {
    // ALPN has room for what makes it long.
    const ALPNProtocols = Array.from({ length: 100 }, (_, at) => `${at}`.padStart(200, 'x'));
    const options = { servername: 'rsa.test', ALPNProtocols };
    for (const pace of [undefined, (plain: Socket) => bytewise(plain, 1000)]) {
      const { client, fingerprint } = await visit(way, options, pace);
      expect(fingerprint).toBe(shown['the one for all']);
      expect(await client.command('EHLO t')).toMatch(/^250/);
    }
  });

  test('a message through it', async () => {
    const { client } = await visit(way, { servername: 'rsa.test' });
    await client.command('EHLO t');
    expect(await client.send('Subject: x\r\n\r\nx', { to: 'b@ok.test' })).toMatch(/^250 2\.0\.0 Ok/);
  });

  test.each<[string, Buffer, string]>([
    ['A-022: plaintext', Buffer.from('RSET\r\nNOOP\r\n'), 'not-tls'],
    ['A-025: a record of another type', Buffer.from('1703010005abcdefabcd', 'hex'), 'other'],
    ['A-025: a hello with two names', records(message(helloBody([name, name]))), 'other'],
  ])(
    '%s in place of a ClientHello gets no reply, but what alert OpenSSL has for it',
    async (_, bytes, fault) => {
      const client = await atTheDoor(way);
      client.write(bytes);
      await client.ended();
      // OpenSSL has none for who speaks no TLS at all.
      expect(client.rest().slice(0, 2)).toBe(fault === 'not-tls' ? '' : '\x15\x03');
      await until('it is told', () => journal.lines.at(-1)?.event === 'session.cut');
      expect(journal.lines.at(-1)).toMatchObject({ reason: 'tls-failed', handshake: fault });
    },
  );

  test('A-052: a client that goes with half a ClientHello, by FIN or reset, leaves nothing behind', async () => {
    for (const farewell of ['end', 'resetAndDestroy'] as const) {
      const client = await atTheDoor(way);
      client.write(helloFor('rsa.test').subarray(0, 40));
      client.raw[farewell]();
      await until('it is gone', () => worker.worker.connections === 0);
    }
  });
});

test.each(['starttls', 'starttls-proxied'] as const)('A-052: %s: a client whose FIN came with its STARTTLS is not waited for', async (way) => {
  const plain = connect(worker.ports[way] ?? 0, '127.0.0.1');
  sockets.push(plain);
  if (way.endsWith('proxied')) plain.write(tcp4Header());
  plain.end('EHLO t\r\nSTARTTLS\r\n');
  plain.resume();
  await until('it is gone', () => worker.worker.connections === 0);
}); // prettier-ignore

test('A-025: half a ClientHello that drips is cut at the deadline of the handshake', patience, async () => {
  const slow = await startWorker({ listeners, tls, limits: { tlsHandshakeTimeout: '1s' }, log: journal.log });
  try {
    const stay = async (way: Way): Promise<void> => {
      const client = await atTheDoor(way, slow);
      client.write(helloFor('rsa.test').subarray(0, 20));
      const drip = setInterval(() => client.write('x'), 100);
      await client.ended();
      clearInterval(drip);
      expect(client.rest()).toBe('');
    };
    await Promise.all([stay('implicit'), stay('starttls')]);
    const late = { reason: 'timeout', limit: 'limits.tlsHandshakeTimeout', handshake: 'timeout' };
    const told = (): object[] => journal.lines.filter(({ limit }) => limit === late.limit);
    await until('both are told', () => told().length === 2);
    for (const line of told()) expect(line).toMatchObject(late);
  } finally {
    await slow.close();
  }
});

describe('client certificates at a name', () => {
  test.each(['rsa.test', 'other.test', 'nobody.test'])('%s: are asked for and checked as at the others', async (servername) => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const options = { servername, maxVersion };
      const joe = await visit('implicit-require', { ...options, ...clientIdentity('joe') });
      expect(await joe.client.command('EHLO t')).toMatch(/^250/);
      const stranger = await visit('implicit-require', { ...options, ...clientIdentity('stranger') });
      expect(await stranger.client.command('EHLO t')).toMatch(/^554/);
    }
  });
}); // prettier-ignore

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('session tickets at a name, %s', (maxVersion) => {
  async function ticketOf(way: Way, servername: string, options: ConnectionOptions = {}): Promise<Buffer> {
    const { socket } = await visit(way, { servername, maxVersion, ...options });
    return socket.getSession() ?? Buffer.alloc(0);
  }

  test.each([...ways])('%s: are good there', async (way) => {
    for (const servername of ['rsa.test', 'mx.other.test', 'nobody.test', '']) {
      const session = await ticketOf(way, servername);
      const { socket, client } = await visit(way, { servername, maxVersion, session });
      expect(socket.isSessionReused(), servername).toBe(true);
      expect(await client.command('EHLO t')).toMatch(/^250/);
    }
  });

  test.each([
    ['rsa.test', 'other.test', "the name's ECDSA one"],
    ['other.test', 'rsa.test', 'the RSA one'],
    ['rsa.test', 'nobody.test', 'the one for all'],
    ['nobody.test', 'rsa.test', 'the RSA one'],
    ['rsa.test', '', 'the one for all'],
  ] as const)('A-033, RFC 6066 §3: of %s are worth nothing at %j: a full handshake', async (one, another, certificate) => {
    const session = await ticketOf('implicit', one);
    const { socket, fingerprint } = await visit('implicit', { servername: another, maxVersion, session });
    expect(socket.isSessionReused()).toBe(false);
    expect(fingerprint).toBe(shown[certificate]);
  }); // prettier-ignore

  test('A-033: carry a client certificate to no other name', async () => {
    const identity = clientIdentity('joe');
    const session = await ticketOf('implicit-require', 'rsa.test', identity);
    const there = await visit('implicit-require', { servername: 'rsa.test', maxVersion, session });
    expect(await there.client.command('EHLO t')).toMatch(/^250/);
    const elsewhere = await visit('implicit-require', { servername: 'other.test', maxVersion, session });
    expect(elsewhere.socket.isSessionReused()).toBe(false);
    expect(await elsewhere.client.command('EHLO t')).toMatch(/^554/);
  });

  test('are worth nothing there once the secret is another', async () => {
    const session = await ticketOf('implicit', 'rsa.test');
    worker.worker.setTicketSecret(randomBytes(32));
    const { socket, fingerprint } = await visit('implicit', { servername: 'rsa.test', maxVersion, session });
    expect(socket.isSessionReused()).toBe(false);
    expect(fingerprint).toBe(shown['the RSA one']);
  });
});
