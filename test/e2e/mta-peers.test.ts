/** What whole mail servers behind Postern store is what was sent: Dovecot LMTP, Postfix, Exim, OpenSMTPD, a raw sink. */
import { generateKeyPairSync } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterEach, describe, expect, test } from 'vitest';
import { dotStuff } from '../../src/cli/smtp-dialogue.js';
import { corpus, withoutTrace, type CorpusMessage } from '../support/mail-corpus.js';
import { mtaSkipReason, startMta, type MtaName } from '../support/mta-peers.js';
import { skipReason, startDovecotLmtp } from '../support/peers.js';
import { root, startPostern, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { run } from '../support/program.js';
import { SmtpClient } from '../support/smtp-client.js';

const opened: { stop: () => Promise<unknown> }[] = [];
let postern: RunningPostern | undefined;

afterEach(async () => {
  await postern?.dispose();
  postern = undefined;
  for (const peer of opened.splice(0)) await peer.stop();
});

async function posternTo(hop: string): Promise<RunningPostern> {
  postern = await startPostern({
    config: {
      workers: 1,
      domains: [{ names: ['example.test', 'xn--bcher-kva.test'], recipients: 'any', route: 'disk' }],
      routes: { disk: { to: hop, tls: 'off', retry: { first: '1s' } } },
      limits: { diskReserve: '1MiB', messageBytes: '40MiB' },
    },
  });
  return postern;
}

async function send(client: SmtpClient, message: CorpusMessage, parameters = '', to = 'joe@example.test') {
  await client.command(`MAIL FROM:<a@client.test>${message.eightBit ? ' BODY=8BITMIME' : ''}${parameters}`);
  expect(await client.command(`RCPT TO:<${to}>`)).toMatch(/^250/);
  expect(await client.command('DATA')).toMatch(/^354/);
  client.write(dotStuff(message.bytes));
  expect(await client.reply()).toMatch(/^250 2\.0\.0 Ok: queued as /);
}

async function sendCorpus(of: RunningPostern): Promise<void> {
  const client = await SmtpClient.greeted(of.smtpPort);
  for (const message of corpus) await send(client, message);
  client.destroy();
}

/** Equal after LF → CRLF and without that server's own fields on top; the first of the rest of them is ours. */
function expectCorpus(stored: readonly Buffer[]): void {
  const rest = stored.map((message) =>
    withoutTrace(message.toString('latin1')).rest.replaceAll('\n', '\r\n'),
  );
  const byName = new Map(rest.map((text) => [/^Subject: (.*)\r$/m.exec(text)?.[1], text]));
  expect(byName.size).toBe(corpus.length);
  for (const { name, bytes } of corpus)
    // Compared outside expect: a difference in 25 MiB would be printed whole.
    expect([name, byName.get(name) === bytes.toString('latin1')]).toEqual([name, true]);
}

async function queueIsEmpty(of: RunningPostern): Promise<void> {
  await until('the queue is empty', async () => (await of.metric('postern_queue_messages')) === 0, 60_000);
}

const utf8Recipient: CorpusMessage = {
  name: 'utf-8 recipient',
  eightBit: true,
  bytes: Buffer.from('From: a@client.test\r\nSubject: utf-8 recipient\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <u@client.test>\r\n\r\nhallo\r\n'),
}; // prettier-ignore

describe.each<{ name: MtaName; smtpUtf8: boolean }>([
  { name: 'postfix', smtpUtf8: true },
  { name: 'exim', smtpUtf8: true },
  { name: 'opensmtpd', smtpUtf8: false },
])('Postern → $name', ({ name, smtpUtf8 }) => {
  test.skipIf(mtaSkipReason(name))(
    'every message of the corpus is stored byte for byte below the trace fields (C-057, C-063, C-064, G-10)',
    { timeout: 120_000 },
    async () => {
      const peer = await startMta(name);
      opened.push(peer);
      const running = await posternTo(`smtp://127.0.0.1:${peer.port}`);
      await sendCorpus(running);
      await queueIsEmpty(running);
      await until('all are stored', () => peer.messages().length >= corpus.length, 60_000);
      expectCorpus(peer.messages());
    },
  );

  test.skipIf(mtaSkipReason(name))(
    smtpUtf8
      ? 'a UTF-8 recipient arrives'
      : 'a UTF-8 recipient is not handed over: the server does not announce SMTPUTF8 (C-102)',
    { timeout: 60_000 },
    async () => {
      const peer = await startMta(name);
      opened.push(peer);
      const running = await posternTo(`smtp://127.0.0.1:${peer.port}`);
      const client = await SmtpClient.greeted(running.smtpPort);
      await send(client, utf8Recipient, ' SMTPUTF8', 'jörg@bücher.test');
      client.destroy();
      if (smtpUtf8) {
        await until('it is stored', () => peer.messages().length === 1);
        expect(peer.messages()[0]?.toString()).toMatch(/j\u00f6rg@/);
      } else {
        await until('it has failed', () => running.log.some(({ event }) => event === 'relay.failed'));
        const failed = running.log.find(({ event }) => event === 'relay.failed');
        expect(String(failed?.['reply'])).toContain('5.6.7');
        expect(peer.messages()).toEqual([]);
      }
    },
  );
});

test.skipIf(skipReason('dovecot'))(
  'Postern → Dovecot LMTP: every message of the corpus is stored byte for byte below the trace fields',
  { timeout: 120_000 },
  async () => {
    const dovecot = await startDovecotLmtp();
    opened.push(dovecot);
    const running = await posternTo(`lmtp://127.0.0.1:${dovecot.port}`);
    await sendCorpus(running);
    await queueIsEmpty(running);
    expectCorpus(dovecot.messages('joe'));
  },
);

/** What came over the wire, in DATA as it is: dots stuffed, the end-of-data line included. */
async function rawSink(): Promise<{ port: number; wire: Buffer[]; stop: () => Promise<void> }> {
  const wire: Buffer[] = [];
  const server = createServer((socket) => serveRaw(socket, wire));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // oxlint-disable-next-line no-unsafe-type-assertion -- it listens on TCP
  const { port } = server.address() as AddressInfo;
  const stop = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  return { port, wire, stop };
}

function serveRaw(socket: Socket, wire: Buffer[]): void {
  let data: Buffer[] | undefined;
  socket.on('error', () => socket.destroy());
  socket.write('220 raw.test\r\n');
  socket.on('data', (chunk: Buffer) => {
    if (data === undefined) {
      const commands = chunk.toString('latin1').split('\r\n').slice(0, -1);
      for (const command of commands) {
        const isData = command === 'DATA';
        socket.write(isData ? '354 go\r\n' : command === 'QUIT' ? '221 bye\r\n' : '250 raw.test\r\n');
        if (isData) data = [];
        if (command === 'QUIT') socket.end();
      }
      return;
    }
    data.push(chunk);
    const all = Buffer.concat(data.slice(-2));
    if (!all.subarray(-5).equals(Buffer.from('\r\n.\r\n'))) return;
    wire.push(Buffer.concat(data));
    data = undefined;
    socket.write('250 kept\r\n');
  });
}

test('on the wire nothing changes but dots and the trace field, lines of 20 000 characters included (C-056, C-057, G-10)', async () => {
  const sink = await rawSink();
  opened.push(sink);
  const running = await posternTo(`smtp://127.0.0.1:${sink.port}`);
  const long = Buffer.from(`Subject: long\r\n\r\n${'y'.repeat(20_000)}\r\n.${'z'.repeat(5_000)}\r\n`);
  const messages = [
    { name: 'long', bytes: long, eightBit: false },
    ...corpus.filter(({ name }) => name !== '25 MiB' && !/8-bit|utf-8/.test(name)),
  ];
  const client = await SmtpClient.greeted(running.smtpPort);
  for (const message of messages) await send(client, message);
  client.destroy();
  await queueIsEmpty(running);
  const received = sink.wire.map((bytes) =>
    bytes.toString('latin1').replace(/^Received:.*\r\n(?:\t.*\r\n)*/, ''),
  );
  expect(received.sort()).toEqual(messages.map(({ bytes }) => dotStuff(bytes).toString('latin1')).sort());
});

const dkimPython = '/usr/bin/python3';
const dkimSkip = (await run(dkimPython, ['-c', 'import dkim']).catch(() => ({ code: 1 }))).code !== 0;

test.skipIf(dkimSkip)(
  'a DKIM signature made before Postern verifies behind it (promise 4, G-10)',
  async () => {
    const sink = await rawSink();
    opened.push(sink);
    const running = await posternTo(`smtp://127.0.0.1:${sink.port}`);
    const { privateKey, publicKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'der' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const signer = createTransport({
      host: '127.0.0.1',
      port: running.smtpPort,
      secure: false,
      ignoreTLS: true,
      dkim: { domainName: 'client.test', keySelector: 's', privateKey },
    });
    await signer.sendMail({
      from: 'a@client.test',
      to: 'joe@example.test',
      subject: 'signed  with   blanks',
      text: 'One.\n.\n..two\ntrailing blanks   \n\n\n',
      html: '<p>Grüße</p>',
    });
    signer.close();
    await queueIsEmpty(running);
    const [stuffed] = sink.wire;
    const message =
      stuffed
        ?.toString('latin1')
        .replace(/\.\r\n$/, '')
        .replaceAll(/^\.\./gm, '.') ?? '';
    const record = `v=DKIM1; k=rsa; p=${publicKey.toString('base64')}`;
    const verify = (text: string) =>
      run(dkimPython, [join(root, 'test/support/verify-dkim.py'), record], {
        input: Buffer.from(text, 'latin1'),
      });
    expect(message).toMatch(/^Received: /);
    expect((await verify(message)).stdout).toBe('True');
    expect((await verify(message.replace('One.', 'Two.'))).stdout).toBe('False');
  },
);
