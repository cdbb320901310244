/** `postern send` against nodemailer's smtp-server, which shares no code with us. */
import { createServer, type AddressInfo, type Server } from 'node:net';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CommanderError } from 'commander';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { report, UsageError } from '../../src/cli/failure.js';
import { sendCommand } from '../../src/cli/send.js';
import { dotStuff } from '../../src/cli/smtp-dialogue.js';
import { composeMessage } from '../../src/cli/test-message.js';
import { ConfigError } from '../../src/config/faults.js';
import { freePort } from '../support/ports.js';
import { testCertificate } from '../support/postern.js';

interface Received {
  from: string;
  to: string[];
  user: string | undefined;
  secure: boolean;
  message: string;
}

const received: Received[] = [];
const opened: { close: () => void }[] = [];
const certificate = {
  cert: readFileSync(testCertificate.certificate),
  key: readFileSync(testCertificate.key),
};

beforeEach(() => {
  received.length = 0;
  delete process.env['POSTERN_SEND_PASSWORD'];
});

afterEach(() => {
  for (const server of opened.splice(0)) server.close();
  process.exitCode = undefined;
});

async function startServer(options: SMTPServerOptions = {}): Promise<number> {
  const server = new SMTPServer({
    ...certificate,
    authOptional: true,
    disabledCommands: [],
    onRcptTo(address, _session, done) {
      done(address.address.startsWith('nobody') ? new Error('5.1.1 no such user') : null);
    },
    onData(stream, session, done) {
      let message = '';
      stream.on('data', (chunk: Buffer) => (message += chunk.toString('utf8')));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        received.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          user: session.user,
          secure: session.secure,
          message,
        });
        done(null, 'kept');
      });
    },
    ...options,
  });
  server.on('error', () => undefined);
  opened.push({ close: () => server.close() });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return (server.server.address() as AddressInfo).port;
}

async function send(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const toOut = vi.spyOn(process.stdout, 'write').mockImplementation((text) => ((out += String(text)), true));
  const toErr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => ((err += String(text)), true));
  try {
    const command = sendCommand().exitOverride();
    await command.parseAsync(args, { from: 'user' });
    return { code: Number(process.exitCode), out, err };
  } catch (error) {
    if (error instanceof CommanderError) return { code: 2, out, err };
    if (error instanceof UsageError || error instanceof ConfigError) return { code: report(error), out, err };
    throw error;
  } finally {
    toOut.mockRestore();
    toErr.mockRestore();
  }
}

describe('postern send', () => {
  it('sends to several recipients and shows both sides', async () => {
    const port = await startServer();
    const sent = await send('--server', `127.0.0.1:${port}`, '--to', 'a@example.test', '--to', '<b@example.test>', '--from', 'me@example.test'); // prettier-ignore
    expect(sent.code).toBe(0);
    expect(received).toMatchObject([{ from: 'me@example.test', to: ['a@example.test', 'b@example.test'] }]);
    expect(sent.out).toContain('C: RCPT TO:<a@example.test>');
    expect(sent.out).toMatch(/^S: 250-/m);
    expect(sent.out).toContain('Accepted: ');
  });

  it('stuffs dots and sends any line end as CRLF', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'postern-send-'));
    const file = join(directory, 'mail.eml');
    writeFileSync(file, 'Subject: dots\n\n.one\r\n..two\r.');
    try {
      const port = await startServer();
      const sent = await send('--server', `127.0.0.1:${port}`, '--to', 'a@example.test', '--file', file);
      expect(sent.code).toBe(0);
      expect(received[0]?.message).toBe('Subject: dots\r\n\r\n.one\r\n..two\r\n.\r\n');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('sends UTF-8 text and subject', async () => {
    const port = await startServer();
    await send('--server', `127.0.0.1:${port}`, '--to', 'a@example.test', '--subject', 'Grüße\nBcc: x', '--body', 'schön'); // prettier-ignore
    const message = received[0]?.message ?? '';
    expect(message).toContain(`Subject: =?utf-8?B?${Buffer.from('Grüße Bcc: x').toString('base64')}?=\r\n`);
    expect(message.endsWith('\r\n\r\nschön\r\n')).toBe(true);
  });

  it('says which refusal ended it, exit 1', async () => {
    const port = await startServer();
    const sent = await send('--server', `127.0.0.1:${port}`, '--to', 'nobody@example.test');
    expect(sent.code).toBe(1);
    expect(sent.err).toContain('refused every recipient: 550');
    expect(received).toEqual([]);
  });

  it('is exit 1 when some recipients were refused, and says who got it', async () => {
    const port = await startServer();
    const sent = await send('--server', `127.0.0.1:${port}`, '--to', 'nobody@example.test', '--to', 'a@example.test'); // prettier-ignore
    expect(sent.code).toBe(1);
    expect(sent.err).toContain('sent to a@example.test, but 1 of 2');
    expect(received).toMatchObject([{ to: ['a@example.test'] }]);
  });

  it('says what to do when nothing listens, exit 1', async () => {
    const sent = await send('--server', `127.0.0.1:${await freePort()}`, '--to', 'a@example.test');
    expect(sent.code).toBe(1);
    expect(sent.err).toContain('nothing listens on 127.0.0.1:');
    expect(sent.err).toContain('postern start');
  });

  it('says so when the peer is no SMTP server', async () => {
    const server: Server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    opened.push({ close: () => server.close() });
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const { port } = server.address() as AddressInfo;
    const sent = await send('--server', `127.0.0.1:${port}`, '--to', 'a@example.test');
    expect(sent.code).toBe(1);
    expect(sent.err).toContain('does not speak SMTP');
  });

  it('wants --insecure for a self-signed certificate', async () => {
    const port = await startServer();
    const args = ['--server', `127.0.0.1:${port}`, '--to', 'a@example.test', '--tls', 'starttls'];
    const sent = await send(...args);
    expect(sent.code).toBe(1);
    expect(sent.err).toContain('--insecure');
    expect((await send(...args, '--insecure')).code).toBe(0);
    expect(received).toMatchObject([{ secure: true }]);
  });

  it('speaks TLS from the first byte', async () => {
    const port = await startServer({ secure: true });
    const sent = await send('--server', `127.0.0.1:${port}`, '--to', 'a@example.test', '--tls', 'implicit', '--insecure'); // prettier-ignore
    expect(sent.code).toBe(0);
    expect(received).toMatchObject([{ secure: true }]);
  });

  it.each(['PLAIN', 'LOGIN'])(
    'authenticates by %s with a password from the environment, which it does not show',
    async (method) => {
      const port = await startServer({
        authMethods: [method],
        onAuth: ({ username, password }, _session, done) =>
          done(null, password === 'secret words' ? { user: username ?? '' } : {}),
      });
      process.env['POSTERN_SEND_PASSWORD'] = 'secret words';
      const sent = await send('--server', `127.0.0.1:${port}`, '--to', 'a@example.test', '--user', 'joe', '--tls', 'starttls', '--insecure'); // prettier-ignore
      expect(sent.code).toBe(0);
      expect(received).toMatchObject([{ user: 'joe' }]);
      for (const form of ['secret words', Buffer.from('secret words'), Buffer.from('\0joe\0secret words')])
        expect(sent.out).not.toContain(typeof form === 'string' ? form : form.toString('base64'));
    },
  );

  it('is exit 1 with a word about the password when it is wrong', async () => {
    const port = await startServer({ onAuth: (_auth, _session, done) => done(new Error('no')) });
    process.env['POSTERN_SEND_PASSWORD'] = 'wrong';
    const sent = await send('--server', `127.0.0.1:${port}`, '--to', 'a@example.test', '--user', 'joe', '--tls', 'starttls', '--insecure'); // prettier-ignore
    expect(sent.code).toBe(1);
    expect(sent.err).toContain('535');
    expect(sent.err).toContain('password is wrong');
  });

  it.each([
    ['a server without a port number', ['--server', 'a:b:c', '--to', 'a@example.test']],
    ['an address that would end the command', ['--to', 'a@example.test>\r\nRSET']],
    ['a file and a body', ['--to', 'a@example.test', '--file', 'x', '--body', 'y']],
    ['an unreadable file', ['--to', 'a@example.test', '--file', '/nonexistent/mail']],
    ['a config that is not there', ['--to', 'a@example.test', '--config', '/nonexistent/postern.yaml']],
    ['no recipient', ['--from', 'a@example.test']],
  ])('refuses %s before it connects', async (_what, args) => {
    const sent = await send(...args);
    expect(sent.code).toBe(2);
    expect(sent.err).not.toBe('');
  });

  it('takes address, port and TLS of the first listener of --config', async () => {
    const port = await startServer({ secure: true });
    const directory = mkdtempSync(join(tmpdir(), 'postern-send-'));
    const file = join(directory, 'postern.yaml');
    const listener = { name: 'mx', address: '0.0.0.0', port, role: 'inbound', tls: 'implicit' };
    writeFileSync(file, JSON.stringify({ tls: testCertificate, listeners: [listener] }));
    try {
      const sent = await send('--config', file, '--to', 'a@example.test', '--insecure');
      expect(sent).toMatchObject({ code: 0, err: '' });
      expect(received).toMatchObject([{ secure: true }]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('with --quiet prints nothing when all went well', async () => {
    const port = await startServer();
    const sent = await send('--server', `127.0.0.1:${port}`, '--to', 'a@example.test', '--quiet');
    expect(sent).toEqual({ code: 0, out: '', err: '' });
  });
});

describe('dotStuff', () => {
  it.each([
    ['', '.\r\n', 'an empty message ends at once'],
    ['.', '..\r\n.\r\n', 'a lone dot without line end'],
    ['a\r\n.b\r\n', 'a\r\n..b\r\n.\r\n', 'a dot at the start of a line'],
    ['a.b\r\n', 'a.b\r\n.\r\n', 'a dot elsewhere stays'],
    ['\r\n.\r\n.\r\n', '\r\n..\r\n..\r\n.\r\n', 'dots in a row'],
  ])('%j → %j (%s)', (message, stuffed) => {
    expect(dotStuff(Buffer.from(message)).toString()).toBe(stuffed);
  });
});

describe('composeMessage', () => {
  it('folds a long subject that is not ASCII into encoded words of at most 75 bytes', () => {
    const message = composeMessage({
      from: 'a@example.test',
      to: ['b@example.test'],
      subject: 'ü'.repeat(100),
      body: 'x',
      date: new Date(0),
    });
    const words = message.toString().match(/=\?utf-8\?B\?[^?]+\?=/g) ?? [];
    expect(words.length).toBeGreaterThan(1);
    for (const word of words) expect(word.length).toBeLessThanOrEqual(75);
    expect(message.toString()).toContain('Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n');
  });
});
