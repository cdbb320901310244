/**
 * Programs that speak for clients: Debian's HAProxy with the config of deploy/haproxy, swaks with PROXY and XCLIENT.
 * Loopback addresses stand for the clients, 127.0.0.1 is the proxy.
 */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { peerPath, skipReason, startHaproxy, type Peer } from '../support/peers.js';
import { freePort } from '../support/ports.js';
import { posternMain, root, startPostern, testCertificate, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { run } from '../support/program.js';
import { SmtpClient } from '../support/smtp-client.js';

const user = 'joe@example.test';
const password = 'correct horse';
let directory = '';
let postern: RunningPostern;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postern-proxies-'));
  const file = join(directory, 'users.yaml');
  const added = await run(process.execPath, [posternMain, 'users', 'add', user, '--file', file], {
    input: `${password}\n`,
  });
  expect(added).toMatchObject({ code: 0 });
  const proxyProtocol = ['127.0.0.1/32'];
  postern = await startPostern({
    config: {
      tls: testCertificate,
      auth: { users: { file } },
      limits: { exempt: [], connectionsPerHost: 20, connectionsPerNetwork: 20 },
      listeners: [
        { name: 'mx', tls: 'starttls', proxyProtocol },
        { name: 'submissions', role: 'submission', tls: 'implicit', route: 'disk', proxyProtocol },
        { name: 'filtered', tls: 'off', xclient: ['127.0.0.1/32'] },
      ],
    },
  });
});

afterAll(async () => {
  await postern.dispose();
  rmSync(directory, { recursive: true, force: true });
});

function port(listener: string): string {
  return String(postern.ports[listener] ?? 0);
}

/** The log line of the message with this sender. */
function acceptedFrom(from: string): Promise<Record<string, unknown>> {
  return until(`a message from ${from} is accepted`, () =>
    postern.log.find((line) => line.event === 'message.accepted' && line['from'] === from),
  );
}

function storedMessage(subject: string): Promise<string> {
  const folder = join(postern.dataDir, 'maildir/new');
  return until(`${subject} is delivered`, () =>
    readdirSync(folder)
      .map((name) => readFileSync(join(folder, name), 'latin1'))
      .find((text) => text.includes(`Subject: ${subject}\r\n`) || text.includes(`Subject: ${subject}\n`)),
  );
}

async function sendFrom(client: SmtpClient, name: string): Promise<void> {
  const sent = await client.send(`Subject: ${name}\r\n\r\nx`, { from: `${name}@client.test` });
  expect(sent).toMatch(/^250 2\.0\.0 Ok: queued/);
}

async function connectInTls(
  localAddress: string,
  to: number,
  options: ConnectionOptions = {},
): Promise<TLSSocket> {
  const socket = connect({ port: to, host: '127.0.0.1', localAddress });
  const secure = connectTls({ socket, rejectUnauthorized: false, ...options });
  await once(secure, 'secureConnect');
  return secure;
}

const noHaproxy = skipReason('haproxy');

describe.skipIf(noHaproxy)(`HAProxy${noHaproxy === undefined ? '' : ` (${noHaproxy})`}`, () => {
  let haproxy: Peer;
  const ports = { smtp: 0, submissions: 0, v1: 0, ended: 0 };

  beforeAll(async () => {
    for (const name of ['smtp', 'submissions', 'v1', 'ended'] as const) ports[name] = await freePort();
    const pem = join(directory, 'haproxy.pem');
    writeFileSync(pem, readFileSync(testCertificate.certificate, 'utf8') + readFileSync(testCertificate.key, 'utf8'));
    const example = readFileSync(join(root, 'deploy/haproxy/haproxy.cfg'), 'utf8');
    haproxy = await startHaproxy(
      example
        .replace('bind :25', `bind 127.0.0.1:${ports.smtp}`)
        .replace('bind :465', `bind 127.0.0.1:${ports.submissions}`)
        .replaceAll(/10\.0\.0\.1[12]:25/g, `127.0.0.1:${port('mx')}`)
        .replaceAll(/10\.0\.0\.1[12]:465/g, `127.0.0.1:${port('submissions')}`)
        .replaceAll('inter 5s', 'inter 200ms') + others(pem),
      ports.smtp,
    );
  }); // prettier-ignore

  /** What the example has not: version 1, and TLS that HAProxy ends itself. */
  function others(pem: string): string {
    return `
listen v1
    bind 127.0.0.1:${ports.v1}
    option smtpchk HELO haproxy.example.test
    server mx 127.0.0.1:${port('mx')} send-proxy check inter 200ms
listen ended
    bind 127.0.0.1:${ports.ended} ssl crt ${pem} ca-file ${testCertificate.certificate} verify optional crt-ignore-err all
    server mx 127.0.0.1:${port('mx')} send-proxy-v2-ssl-cn proxy-v2-options authority,crc32c check inter 200ms
`;
  }

  afterAll(async () => {
    await haproxy.stop();
  });

  test('v2: the client’s own address is in the log and in Received', async () => {
    const client = await SmtpClient.greeted(ports.smtp, { localAddress: '127.0.0.7' });
    await sendFrom(client, 'v2');
    client.destroy();
    expect(await acceptedFrom('v2@client.test')).toMatchObject({ client: '127.0.0.7', proxy: '127.0.0.1' });
    expect(await storedMessage('v2')).toMatch(/^Received: from client\.test \(\[127\.0\.0\.7\]\)/m);
  });

  test('v1: likewise', async () => {
    const client = await SmtpClient.greeted(ports.v1, { localAddress: '127.0.0.8' });
    await client.startTls();
    await client.command('EHLO client.test');
    await sendFrom(client, 'v1');
    client.destroy();
    expect(await acceptedFrom('v1@client.test')).toMatchObject({ client: '127.0.0.8', proxy: '127.0.0.1' });
  });

  test('TLS that HAProxy ended is shown with its SNI and certificate, and is none of ours', async () => {
    const socket = await connectInTls('127.0.0.9', ports.ended, {
      servername: 'mx.example.test',
      cert: readFileSync(testCertificate.certificate),
      key: readFileSync(testCertificate.key),
    });
    const client = SmtpClient.over(socket);
    await client.reply();
    expect(await client.command('EHLO client.test')).toContain('STARTTLS');
    await sendFrom(client, 'ended');
    client.destroy();
    const line = await acceptedFrom('ended@client.test');
    expect(line).toMatchObject({
      client: '127.0.0.9',
      proxied: { sni: 'mx.example.test', tls: expect.stringMatching(/^TLSv1\.[23]$/), clientCertName: expect.any(String) },
    });
    expect(line).not.toHaveProperty('tls');
  }); // prettier-ignore

  test('TLS that goes through is ours: AUTH, and the client’s address', async () => {
    const socket = await connectInTls('127.0.0.10', ports.submissions);
    const client = SmtpClient.over(socket);
    await client.reply();
    await client.command('EHLO client.test');
    const plain = Buffer.from(`\0${user}\0${password}`).toString('base64');
    expect(await client.command(`AUTH PLAIN ${plain}`)).toMatch(/^235/);
    await sendFrom(client, 'through');
    client.destroy();
    const line = await acceptedFrom('through@client.test');
    expect(line).toMatchObject({ client: '127.0.0.10', proxy: '127.0.0.1', user });
    expect(line).toHaveProperty('tls');
  });

  test('a reload and the death of a worker behind it keep clients and checks going', async () => {
    const staying = await SmtpClient.greeted(ports.smtp, { localAddress: '127.0.0.11' });
    // In a transaction: a client that is idle for long is sent away after a reload.
    expect(await staying.command('MAIL FROM:<staying@client.test>')).toMatch(/^250 /);
    expect((await postern.cli('reload')).code).toBe(0);
    await until('the reload is done', () => postern.log.some(({ event }) => event === 'reload.done'));
    expect(await staying.command('RCPT TO:<a@example.test>')).toMatch(/^250 /);
    expect(await staying.command('DATA')).toMatch(/^354 /);
    staying.write('Subject: x\r\n\r\nstayed\r\n.\r\n');
    expect(await staying.reply()).toMatch(/^250 2\.0\.0 Ok: queued/);
    staying.destroy();
    const [victim] = postern.workerPids().toReversed();
    if (victim !== undefined) process.kill(victim, 'SIGKILL');
    for (const name of ['after1', 'after2', 'after3']) {
      const client = await until('a worker greets', () => SmtpClient.greeted(ports.smtp, { localAddress: '127.0.0.12' }).catch(() => undefined));
      await sendFrom(client, name);
      client.destroy();
      expect(await acceptedFrom(`${name}@client.test`)).toMatchObject({ client: '127.0.0.12' });
    }
  }); // prettier-ignore

  test('its checks, with LOCAL and UNKNOWN, are no faults: none is refused, cut or counted on a client', async () => {
    const before = await postern.metric('postern_connections_total');
    await until('many checks were made', async () => (await postern.metric('postern_connections_total')) > before + 20);
    expect(haproxy.program.output).not.toMatch(/Server \S+ is DOWN/);
    expect(await postern.metric('postern_connections_refused_total')).toBe(0);
    const noise = postern.log.filter(({ event }) => event === 'connection.refused' || event === 'session.cut');
    expect(noise.filter((line) => line['client'] === '127.0.0.1')).toEqual([]);
  }); // prettier-ignore
});

const noSwaks = skipReason('swaks');

async function swaks(from: string, ...args: string[]): Promise<string> {
  const ran = await run(peerPath('swaks'), [
    '--server', '127.0.0.1', '--from', `${from}@client.test`, '--to', 'a@example.test', '--helo', 'client.test', ...args,
  ]); // prettier-ignore
  expect(ran, ran.stdout).toMatchObject({ code: 0 });
  return ran.stdout;
}

describe.skipIf(noSwaks)(`swaks${noSwaks === undefined ? '' : ` (${noSwaks})`}`, () => {
  const ends = ['--proxy-source', '192.0.2.1', '--proxy-source-port', '40000', '--proxy-dest', '198.51.100.2', '--proxy-dest-port', '25']; // prettier-ignore

  test.each([
    ['1', ['--proxy-family', 'TCP4']],
    ['2', ['--proxy-family', 'AF_INET', '--proxy-protocol', 'STREAM', '--proxy-command', 'PROXY']],
  ])('sends a PROXY header, version %s', async (version, more) => {
    await swaks(`proxy-${version}`, '--port', port('mx'), '--proxy-version', version, ...more, ...ends);
    expect(await acceptedFrom(`proxy-${version}@client.test`)).toMatchObject({ client: '192.0.2.1', clientPort: 40_000 });
  }); // prettier-ignore

  test('names its client by XCLIENT', async () => {
    const dialogue = await swaks(
      'xclient', '--port', port('filtered'), '--xclient-helo', 'h.example.org', '--xclient-delim',
      '--xclient-name', 'c.example.org', '--xclient-addr', '192.0.2.7',
    ); // prettier-ignore
    expect(dialogue).toMatch(/-> XCLIENT HELO=h\.example\.org\n<- {2}220 /);
    expect(await acceptedFrom('xclient@client.test')).toMatchObject({
      client: '192.0.2.7',
      clientName: 'c.example.org',
      xclient: '127.0.0.1',
    });
  });
});
