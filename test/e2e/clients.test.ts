/**
 * Mail programs that other people wrote, sending through Postern into its Maildir: Python's smtplib, swaks, nodemailer.
 * Each message is looked for on disk with the text that was sent.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { peerPath, skipReason } from '../support/peers.js';
import { posternMain, startPostern, testCertificate, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { run } from '../support/program.js';

const user = 'joe@example.test';
const password = 'correct horse, battery staple';
let directory = '';
let postern: RunningPostern;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postern-clients-'));
  const file = join(directory, 'users.yaml');
  const added = await run(process.execPath, [posternMain, 'users', 'add', user, '--file', file], {
    input: `${password}\n`,
  });
  expect(added).toMatchObject({ code: 0 });
  postern = await startPostern({
    config: {
      tls: testCertificate,
      listeners: [
        { name: 'mx', role: 'inbound', tls: 'starttls' },
        { name: 'lmtp', protocol: 'lmtp', tls: 'starttls' },
        { name: 'submission', role: 'submission', tls: 'required', route: 'disk' },
        { name: 'submissions', role: 'submission', tls: 'implicit', route: 'disk' },
      ],
      auth: { users: { file } },
    },
  });
});

afterAll(async () => {
  await postern.dispose();
  rmSync(directory, { recursive: true, force: true });
});

/** The one delivered message that contains the text. */
async function delivered(text: string): Promise<string> {
  const folder = join(postern.dataDir, 'maildir/new');
  return until(`a message with ${text} is in the Maildir`, () => {
    const files = existsSync(folder) ? readdirSync(folder) : [];
    const messages = files.map((name) => readFileSync(join(folder, name), 'utf8'));
    const found = messages.filter((message) => message.includes(text));
    expect(found.length, `copies of ${text}`).toBeLessThanOrEqual(1);
    return found[0];
  });
}

function port(listener: string): string {
  return String(postern.ports[listener]);
}

async function python(script: string): Promise<void> {
  const args = [
    port('mx'),
    port('submission'),
    port('submissions'),
    port('lmtp'),
    testCertificate.certificate,
    user,
    password,
  ];
  const prologue =
    'import smtplib, ssl, sys\nfrom email.message import EmailMessage\n' +
    'mx, submission, submissions, lmtp = map(int, sys.argv[1:5])\n' +
    'tls = ssl.create_default_context(cafile=sys.argv[5])\nuser, password = sys.argv[6:8]\n';
  const ran = await run(peerPath('python3'), ['-c', prologue + script, ...args]);
  expect(ran.stderr).toBe('');
  expect(ran.code).toBe(0);
}

describe.skipIf(skipReason('python3'))('Python smtplib', () => {
  test('sends in plain, dots and all', async () => {
    await python(`
with smtplib.SMTP('127.0.0.1', mx) as s:
    refused = s.sendmail('py@client.test', ['a@example.test', 'b@example.test'],
        'Subject: py-plain\\r\\n\\r\\n.one\\r\\n..two\\r\\n.\\r\\nend\\r\\n')
    assert refused == {}, refused
`);
    expect(await delivered('Subject: py-plain')).toContain('\n\n.one\n..two\n.\nend\n');
  });

  test('C-110: checks the certificate, sends inside STARTTLS', async () => {
    await python(`
with smtplib.SMTP('localhost', mx) as s:
    s.starttls(context=tls)
    s.sendmail('py@client.test', ['a@example.test'], 'Subject: py-starttls\\r\\n\\r\\nx\\r\\n')
`);
    expect(await delivered('Subject: py-starttls')).toMatch(/with ESMTPS id/);
  });

  test.each(['PLAIN', 'LOGIN'])('logs in with %s and submits for another domain', async (mechanism) => {
    await python(`
with smtplib.SMTP('localhost', submission) as s:
    s.starttls(context=tls)
    s.ehlo()
    s.user, s.password = user, password
    s.auth('${mechanism}', s.auth_${mechanism.toLowerCase()})
    s.sendmail(user, ['someone@elsewhere.test'], 'Subject: py-auth-${mechanism}\\r\\n\\r\\nx\\r\\n')
`);
    expect(await delivered(`Subject: py-auth-${mechanism}`)).toMatch(/with ESMTPSA id/);
  });

  test('is told 535 for a wrong password, and 530 without one', async () => {
    await python(`
with smtplib.SMTP_SSL('localhost', submissions, context=tls) as s:
    try:
        s.login(user, 'wrong')
        raise SystemExit('the wrong password was taken')
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535, error
    s.rset()
    code, text = s.mail(user)
    assert code == 530, (code, text)
`);
  });

  test('C-105: hands over by LMTP, in plain and inside TLS', async () => {
    await python(`
for subject, secure in (('py-lmtp', False), ('py-lmtps', True)):
    with smtplib.LMTP('localhost', lmtp) as s:
        if secure:
            s.starttls(context=tls)
        refused = s.sendmail('py@client.test', ['a@example.test', 'b@elsewhere.test'], 'Subject: ' + subject + '\\r\\n\\r\\nx\\r\\n')
        assert refused['b@elsewhere.test'][0] == 550, refused
`);
    expect(await delivered('Subject: py-lmtp\n')).toContain(' with LMTP id ');
    expect(await delivered('Subject: py-lmtps\n')).toContain(' with LMTPS id ');
  });

  test('sends SMTPUTF8 and 8BITMIME', async () => {
    await python(`
m = EmailMessage()
m['Subject'], m['From'], m['To'] = 'py-utf8 Grüße', 'jörg@client.test', 'käthe@example.test'
m.set_content('schöne Grüße', cte='8bit')
with smtplib.SMTP('127.0.0.1', mx) as s:
    s.send_message(m)
`);
    const message = await delivered('py-utf8 Grüße');
    expect(message).toContain('To: käthe@example.test');
    expect(message).toContain('with UTF8SMTP id');
    expect(message).toContain('schöne Grüße');
  });

  test('C-047: is refused relaying for strangers, per recipient', async () => {
    await python(`
with smtplib.SMTP('127.0.0.1', mx) as s:
    refused = s.sendmail('py@client.test', ['a@example.test', 'b@elsewhere.test'], 'Subject: py-relay\\r\\n\\r\\nx\\r\\n')
    assert list(refused) == ['b@elsewhere.test'] and refused['b@elsewhere.test'][0] == 550, refused
`);
    expect(await delivered('Subject: py-relay')).not.toContain('elsewhere');
  });
});

async function swaks(subject: string, ...args: string[]): Promise<string> {
  const ran = await run(peerPath('swaks'), [
    '--server', '127.0.0.1', '--from', 'swaks@client.test', '--to', 'a@example.test', '--helo', 'client.test',
    '--header', `Subject: ${subject}`, ...args,
  ]); // prettier-ignore
  expect(ran, ran.stdout).toMatchObject({ code: 0 });
  await delivered(`Subject: ${subject}`);
  return ran.stdout;
}

describe.skipIf(skipReason('swaks'))('swaks', () => {
  test('sends in plain', async () => {
    await swaks('swaks-plain', '--port', port('mx'));
  });

  test('C-081: sends pipelined', async () => {
    const dialogue = await swaks('swaks-pipelined', '--port', port('mx'), '--pipeline');
    expect(dialogue).toMatch(/-> MAIL FROM.*\n.*-> RCPT TO.*\n.*-> DATA/);
  });

  test('RFC 2033: hands over by LMTP to two recipients, and gets a reply for each', async () => {
    const dialogue = await swaks('swaks-lmtp', '--port', port('lmtp'), '--protocol', 'LMTP', '--to', 'a@example.test,b@example.test'); // prettier-ignore
    expect(dialogue.match(/<-\s+250 2\.0\.0 <[ab]@example\.test> Ok: queued as/g)).toHaveLength(2);
  });

  test('sends inside STARTTLS', async () => {
    expect(await swaks('swaks-starttls', '--port', port('mx'), '--tls')).toContain('TLS started');
  });

  test('sends inside TLS from the first byte, with AUTH', async () => {
    await swaks('swaks-implicit', '--port', port('submissions'), '--tlsc', '--auth', 'PLAIN', '--auth-user', user, '--auth-password', password); // prettier-ignore
  });

  test.each(['PLAIN', 'LOGIN'])('AUTH %s under TLS', async (mechanism) => {
    const dialogue = await swaks(`swaks-${mechanism}`, '--port', port('submission'), '--tls', '--auth', mechanism, '--auth-user', user, '--auth-password', password); // prettier-ignore
    expect(dialogue).toContain('235 2.7.0');
  });

  test('is not offered AUTH in plain', async () => {
    const ran = await run(peerPath('swaks'), ['--server', '127.0.0.1', '--port', port('submission'), '--to', 'a@example.test', '--auth', 'PLAIN', '--auth-user', user, '--auth-password', password]); // prettier-ignore
    expect(ran.code).not.toBe(0);
    expect(ran.stdout).not.toMatch(/-> +AUTH/);
    expect(ran.stdout).not.toMatch(/<- .*250[- ]AUTH/);
  });
});

describe('nodemailer', () => {
  test('sends a pool of messages with attachments, each arrives once', async () => {
    const transport = createTransport({
      host: '127.0.0.1',
      port: Number(port('mx')),
      pool: true,
      maxConnections: 3,
      ignoreTLS: true,
    });
    const attachment = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i % 251));
    const numbers = Array.from({ length: 12 }, (_, i) => i);
    const sent = await Promise.all(
      numbers.map((n) =>
        transport.sendMail({
          from: 'nm@client.test',
          to: 'a@example.test',
          subject: `nodemailer-${n}-of-12`,
          text: '.\n..\n',
          attachments: [{ filename: 'x.bin', content: attachment }],
        }),
      ),
    );
    transport.close();
    for (const [n, info] of sent.entries()) {
      expect(info.response).toMatch(/^250 2\.0\.0 Ok: queued as [0-9A-Z]{16}$/);
      const message = await delivered(`Subject: nodemailer-${n}-of-12`);
      const encoded = /\n\n([A-Za-z0-9+/=\n]{80000,}?)\n--/.exec(message)?.[1] ?? '';
      expect(Buffer.from(encoded, 'base64').equals(attachment)).toBe(true);
    }
  });

  test.each([
    ['submission', false],
    ['submissions', true],
  ])('logs in on %s with the certificate checked', async (listener, secure) => {
    const transport = createTransport({
      host: 'localhost',
      port: Number(port(listener)),
      secure,
      requireTLS: !secure,
      tls: { ca: readFileSync(testCertificate.certificate) },
      auth: { user, pass: password },
    });
    await transport.verify();
    await transport.sendMail({
      from: user,
      to: 'x@elsewhere.test',
      subject: `nodemailer-${listener}`,
      text: 'x',
    });
    transport.close();
    await delivered(`Subject: nodemailer-${listener}\n`);
  });
});

test('the metrics count every message and every login by mechanism', async () => {
  expect(await postern.metric('postern_auth_total', { mechanism: 'PLAIN', result: 'ok' })).toBeGreaterThan(0);
  const accepted = await postern.metric('postern_messages_accepted_total');
  expect(accepted).toBe(readdirSync(join(postern.dataDir, 'maildir/new')).length);
});
