/**
 * TLS as the tools of operators and attackers see it: openssl, Python's ssl and sslscan against workers that share
 * their listeners. What certificates, tickets and client certificates do is told in test/worker/tls.test.ts.
 */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { errorCodeOf } from '../../src/base/errors.js';
import { clientAuthority, clientFile } from '../support/client-certificates.js';
import { peerPath, skipReason } from '../support/peers.js';
import { root, startPostern, type RunningPostern } from '../support/postern.js';
import { memoryOf, until } from '../support/processes.js';
import { Program, run } from '../support/program.js';
import { SmtpClient } from '../support/smtp-client.js';

const tlsFolder = join(root, 'test/support/tls');
let folder: string;
let postern: RunningPostern;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postern-tls-'));
  for (const name of ['localhost', 'names/other', 'names/other-rsa', 'names/localhost-rsa'])
    for (const end of ['crt', 'key'])
      cpSync(join(tlsFolder, `${name}.${end}`), join(folder, `${name.replace('names/', '')}.${end}`));
  postern = await startPostern({
    config: {
      tls: {
        ...pair('localhost'),
        alternatives: [pair('localhost-rsa')],
        sni: [
          { names: ['other.test', '*.other.test'], ...pair('other'), alternatives: [pair('other-rsa')] },
          { names: ['rsa.test'], ...pair('other-rsa') },
        ],
        clientCa: clientAuthority,
      },
      listeners: [
        { name: 'mx', tls: 'starttls' },
        { name: 'smtps', tls: 'implicit' },
        { name: 'partners', tls: 'implicit', clientCertificate: 'require' },
      ],
      // openssl s_client says all that it has at once.
      policy: { unauthorizedPipelining: 'tolerate' },
    },
  });
});

afterAll(async () => {
  await postern.dispose();
  rmSync(folder, { recursive: true, force: true });
});

function pair(name: string): { certificate: string; key: string } {
  return { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
}

function port(listener: string): number {
  return postern.ports[listener] ?? 0;
}

/** `openssl s_client` that says QUIT at once; what it printed. */
async function sClient(listener: string, ...args: string[]): Promise<string> {
  const more = listener === 'mx' ? ['-starttls', 'smtp'] : [];
  // -ign_eof: it waits for the server to close, and the Q of QUIT is no command of its own.
  const command = ['s_client', '-ign_eof', '-connect', `127.0.0.1:${port(listener)}`, ...more, ...args];
  const { stdout, stderr } = await run(peerPath('openssl'), command, { input: 'QUIT\r\n' });
  return `${stdout}\n${stderr}`;
}

/** The messages in the Maildir. */
function delivered(): string[] {
  const folder = join(postern.dataDir, 'maildir', 'new');
  return existsSync(folder)
    ? readdirSync(folder).map((name) => readFileSync(join(folder, name), 'latin1'))
    : [];
}

async function inTls(
  listener: string,
  servername = 'localhost',
): Promise<{ socket: TLSSocket; client: SmtpClient }> {
  const socket = connectTls({
    servername,
    port: port(listener),
    host: '127.0.0.1',
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
  });
  await once(socket, 'secureConnect');
  const client = SmtpClient.over(socket);
  await client.reply();
  return { socket, client };
}

/** What the listener for partners answers to EHLO. */
async function talk(...args: string[]): Promise<string> {
  const command = ['s_client', '-quiet', '-connect', `127.0.0.1:${port('partners')}`, ...args];
  const { stdout } = await run(peerPath('openssl'), command, { input: 'EHLO t\r\nQUIT\r\n' });
  return stdout;
}

describe.skipIf(skipReason('openssl'))('openssl s_client', () => {
  test.each(['mx', 'smtps'])('%s: gets the certificate of the name that it asks for', async (listener) => {
    expect(await sClient(listener, '-servername', 'mail.other.test')).toContain('subject=CN = other.test');
    expect(await sClient(listener, '-servername', 'elsewhere.test')).toContain('subject=CN = localhost');
    expect(await sClient(listener, '-noservername')).toContain('subject=CN = localhost');
  });

  test.each(['mx', 'smtps'])('%s: gets of a name the kind of key that it can use', async (listener) => {
    const shown = async (name: string, sigalgs: string): Promise<string> => {
      const output = await sClient(listener, '-servername', name, '-sigalgs', sigalgs);
      return output.match(/^subject=CN = .*|^Peer signature type: .*/gm)?.join(', ') ?? output;
    };
    const [ecdsa, rsa] = ['ECDSA+SHA256', 'RSA-PSS+SHA256:RSA+SHA256'];
    const signed = 'Peer signature type: ';
    expect(await shown('other.test', ecdsa)).toBe(`subject=CN = other.test, ${signed}ECDSA`);
    expect(await shown('other.test', rsa)).toBe(`subject=CN = other.test, ${signed}RSA-PSS`);
    // The certificate for all has the kind that is taken first of the two.
    const both = `${ecdsa}:${rsa}`;
    expect(await shown('rsa.test', both)).toBe(`subject=CN = other.test, ${signed}RSA-PSS`);
    expect(await shown('elsewhere.test', both)).toBe(`subject=CN = localhost, ${signed}ECDSA`);
    expect(await shown('rsa.test', ecdsa)).toContain('handshake failure');
  });

  test.each(['-tls1_2', '-tls1_3'])(
    '%s: takes its session up again on whichever worker it meets, also on one that replaced another',
    async (version) => {
      const session = join(folder, `session${version}`);
      const first = await sClient('mx', version, '-sess_out', session);
      expect(first).toContain('New, TLSv1.');
      const [victim = 0] = postern.workerPids();
      process.kill(victim, 'SIGKILL');
      await until('it is replaced', async () => {
        const pids = postern.workerPids();
        return !pids.includes(victim) && (await postern.metric('postern_workers_ready')) === 2;
      });
      for (let times = 0; times < 6; times++)
        expect(await sClient('mx', version, '-sess_in', session)).toContain('Reused, TLSv1.');
      // RFC 6066 §3: not at a name with another certificate.
      const elsewhere = ['-sess_in', session, '-servername', 'rsa.test'];
      expect(await sClient('mx', version, ...elsewhere)).toContain('New, TLSv1.');
      // A-033, with the tool of who would try it.
      expect(await sClient('smtps', version, '-sess_in', session)).toContain('New, TLSv1.');
    },
  );

  test('is allowed no early data', async () => {
    const session = join(folder, 'session-early');
    await sClient('smtps', '-tls1_3', '-sess_out', session);
    const shown = await run(peerPath('openssl'), ['sess_id', '-in', session, '-noout', '-text']);
    expect(shown.stdout).toMatch(/Max Early Data: 0\b/);
    const data = join(folder, 'early-data');
    writeFileSync(data, 'EHLO early\r\n');
    const answered = await sClient('smtps', '-tls1_3', '-sess_in', session, '-early_data', data);
    expect(answered).toContain('Early data was not sent');
    expect(answered).not.toContain('250-');
  });

  test('A-026: asks to renegotiate and is refused', async () => {
    const args = ['s_client', '-tls1_2', '-connect', `127.0.0.1:${port('smtps')}`];
    const program = new Program(peerPath('openssl'), args, { openInput: true });
    await until('the greeting', () => program.output.includes('220 '));
    program.child.stdin?.write('R\n');
    await program.exited;
    expect(program.output).toContain('RENEGOTIATING');
    expect(program.output).toContain('no renegotiation');
  });

  test('with a client certificate is let in, without one told 554', async () => {
    const joe = ['-cert', clientFile('joe', 'crt'), '-key', clientFile('joe', 'key')];
    expect(await talk(...joe)).toMatch(/^250 /m);
    expect(await talk()).toMatch(/^554 5\.7\.1 /m);
  });
});

test('A-026: a hundred clients that ask to renegotiate are all refused, memory stays, and others are served meanwhile', async () => {
  const { client } = await inTls('smtps');
  let refused = 0;
  let before: number[] = [];
  for (let times = 0; times < 150; times++) {
    // Sessions and code of the first fifty are there to stay.
    if (times === 50) before = postern.workerPids().map((pid) => memoryOf(pid, 'RssAnon'));
    const { socket } = await inTls('smtps');
    const error = await new Promise<Error>((resolve) => {
      socket.once('error', resolve);
      socket.renegotiate({ rejectUnauthorized: false }, () => undefined);
    });
    if (errorCodeOf(error) === 'ERR_SSL_NO_RENEGOTIATION') refused++;
    socket.destroy();
  }
  expect(refused).toBe(150);
  const after = postern.workerPids().map((pid) => memoryOf(pid, 'RssAnon'));
  // A hundred handshakes’ keys and buffers, if they were kept, are more.
  for (const [at, bytes] of after.entries()) expect(bytes - (before[at] ?? 0)).toBeLessThan(16 * 2 ** 20);
  expect(await client.command('NOOP')).toMatch(/^250/);
  client.destroy();
});

describe('A-027: a connection that is cut right behind the end of a message', () => {
  test.each(['end', 'resetAndDestroy'] as const)(
    'by %s without close_notify queues it once or not at all',
    async (cut) => {
      const before = await postern.metric('postern_messages_accepted_total');
      const times = 10;
      for (let time = 0; time < times; time++) {
        const plain = connect(port('smtps'), '127.0.0.1');
        plain.on('error', () => undefined);
        const socket = connectTls({ socket: plain, rejectUnauthorized: false });
        socket.on('error', () => undefined);
        const client = SmtpClient.over(socket);
        await client.reply();
        for (const line of ['EHLO t', 'MAIL FROM:<a@x.test>', 'RCPT TO:<b@example.test>'])
          await client.command(line);
        expect(await client.command('DATA')).toMatch(/^354/);
        socket.write(`Subject: cut-${cut}-${time}\r\n\r\nx\r\n.\r\n`, () => plain[cut]());
        await client.ended();
      }
      await until('all are gone', async () => (await postern.metric('postern_connections_open')) === 0);
      const accepted = (await postern.metric('postern_messages_accepted_total')) - before;
      expect(accepted).toBeLessThanOrEqual(times);
      await until('the queue is empty', async () => (await postern.metric('postern_queue_messages')) === 0);
      // What was accepted is what left, each once and whole.
      const subjects = delivered().flatMap(
        (text) => new RegExp(`^Subject: (cut-${cut}-\\d)\n\nx\n$`, 'm').exec(text)?.[1] ?? [],
      );
      expect(subjects).toHaveLength(accepted);
      expect(new Set(subjects).size).toBe(accepted);
    },
  );
});

describe.skipIf(skipReason('python3'))("Python's ssl", () => {
  test('checks the certificate of each name, and takes its session up again', async () => {
    const script = `
import smtplib, socket, ssl, sys
mx, smtps = map(int, sys.argv[1:3])
default, other = sys.argv[3:5]

def handshake(context, name, session=None):
    with socket.create_connection(('127.0.0.1', smtps)) as plain:
        with context.wrap_socket(plain, server_hostname=name, session=session) as s:
            assert s.recv(100).startswith(b'220 '), name
            s.sendall(b'QUIT\\r\\n')
            while s.recv(100): pass
            return s.version(), s.session_reused, s.session

trusted = ssl.create_default_context(cafile=default)
trusted.load_verify_locations(other)
for name in ('localhost', 'mail.other.test'):
    version, reused, session = handshake(trusted, name)
    assert (version, reused) == ('TLSv1.3', False), (version, reused)
    for _ in range(4):
        _, reused, session = handshake(trusted, name, session)
        assert reused, name
try:
    handshake(ssl.create_default_context(cafile=default), 'mail.other.test')
    raise SystemExit('a certificate of nobody was taken')
except ssl.SSLCertVerificationError:
    pass
`;
    const args = [port('mx'), port('smtps')].map(String);
    const files = ['localhost', 'other'].map((name) => pair(name).certificate);
    const ran = await run(peerPath('python3'), ['-c', script, ...args, ...files]);
    expect(ran.stderr).toBe('');
    expect(ran.code).toBe(0);
    expect(
      await postern.metric('postern_tls_handshake_failures_total', { reason: 'certificate-refused' }),
    ).toBeGreaterThan(0);
  });
});

describe.skipIf(skipReason('sslscan'))('sslscan', () => {
  test.each([
    ['mx', ['--starttls-smtp']],
    ['smtps', []],
  ])('finds nothing weak on %s', async (listener, args) => {
    const where = `127.0.0.1:${port(listener)}`;
    const { stdout } = await run(peerPath('sslscan'), [...args, '--xml=-', where]);
    const rows = (name: string): Record<string, string>[] =>
      [...stdout.matchAll(new RegExp(`<${name} ([^>]*?)/?>`, 'g'))].map(([, attributes = '']) =>
        Object.fromEntries(
          [...attributes.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
        ),
      );
    const spoken = rows('protocol').filter(({ enabled }) => enabled === '1');
    expect(spoken.map(({ type, version }) => `${type} ${version}`)).toEqual(['tls 1.2', 'tls 1.3']);
    const ciphers = rows('cipher');
    expect(ciphers.length).toBeGreaterThanOrEqual(9);
    // sslscan calls all suites of TLS 1.3 acceptable: they are AEAD with forward secrecy by definition.
    for (const { cipher, sslversion, strength, bits } of ciphers) {
      expect([sslversion, strength], cipher).toEqual([
        sslversion,
        sslversion === 'TLSv1.3' ? 'acceptable' : 'strong',
      ]);
      expect(Number(bits), cipher).toBeGreaterThanOrEqual(128);
    }
    expect(rows('renegotiation')).toEqual([{ supported: '0', secure: '0' }]);
    expect(rows('heartbleed').filter(({ vulnerable }) => vulnerable !== '0')).toEqual([]);
    expect(rows('compression').filter(({ supported }) => supported !== '0')).toEqual([]);
    expect(rows('group').filter(({ bits }) => Number(bits) < 128)).toEqual([]);
  });
});

// Last: it changes the certificate.
test('a renewed certificate is shown after `postern reload`, and no session is cut', async () => {
  const soonest = (): Promise<number> =>
    postern.metric('postern_tls_certificate_expiry_seconds', { certificate: 'sni' });
  expect(await soonest()).toBe(
    Date.parse(new X509Certificate(readFileSync(join(folder, 'other.crt'))).validTo) / 1000,
  );
  const { socket, client } = await inTls('smtps');
  // In a transaction: a client that only stays would be asked to come again (promise 8).
  await client.command('EHLO t');
  expect(await client.command('MAIL FROM:<a@x.test>')).toMatch(/^250/);
  const before = socket.getPeerCertificate().fingerprint256;
  for (const name of ['localhost', 'other'])
    cpSync(join(tlsFolder, 'hops/good.crt'), join(folder, `${name}.crt`));
  const refused = await postern.cli('reload');
  expect(refused.code).not.toBe(0);
  expect(refused.stderr + refused.stdout).toContain('a key that does not fit the certificate');
  for (const name of ['localhost', 'other'])
    cpSync(join(tlsFolder, 'hops/hop.key'), join(folder, `${name}.key`));
  expect(await postern.cli('reload')).toMatchObject({ code: 0 });
  const after = await inTls('smtps');
  const shown = after.socket.getPeerCertificate();
  expect(before).not.toBe(shown.fingerprint256);
  const renewed = new X509Certificate(readFileSync(join(folder, 'localhost.crt')));
  expect(shown.fingerprint256).toBe(renewed.fingerprint256);
  const atName = await inTls('smtps', 'mail.other.test');
  expect(atName.socket.getPeerCertificate().fingerprint256).toBe(renewed.fingerprint256);
  expect(await client.command('RCPT TO:<b@example.test>')).toMatch(/^250/);
  client.destroy();
  for (const one of [after, atName]) one.client.destroy();
});
