/**
 * SASL over the wire, with clients that other people wrote: GNU SASL for SCRAM and its channel binding, nodemailer for
 * XOAUTH2; and with our own where one has to do wrong. Tokens are asked about at an endpoint in this process.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addUser } from '../../src/pool/users-file.js';
import { json, startEndpoint, type HttpEndpoint } from '../support/http-endpoint.js';
import { peerPath, skipReason } from '../support/peers.js';
import { startPostern, testCertificate, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { run } from '../support/program.js';
import { ScramClient } from '../support/scram-client.js';
import { SmtpClient } from '../support/smtp-client.js';

const password = 'correct horse, battery staple';
let directory: string;
let endpoint: HttpEndpoint;
let postern: RunningPostern;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postern-sasl-'));
  const users = join(directory, 'users.yaml');
  await addUser(users, 'alice', password, { extras: ['SCRAM-SHA-1', 'CRAM-MD5'] });
  endpoint = await startEndpoint((response, body) => {
    const token = new URLSearchParams(body).get('token');
    json(token === 'good-token' ? { active: true, username: 'joe@example.test' } : { active: false })(
      response,
      body,
    );
  });
  postern = await startPostern({
    config: {
      workers: 1,
      tls: testCertificate,
      auth: {
        mechanisms: [
          'SCRAM-SHA-256', 'SCRAM-SHA-1', 'OAUTHBEARER', 'XOAUTH2', 'CRAM-MD5', 'PLAIN', 'LOGIN',
        ], // prettier-ignore
        users: { file: users },
        tokens: { introspection: { url: endpoint.url } },
      },
      listeners: [
        { name: 'submission', role: 'submission', tls: 'required', route: 'disk' },
        { name: 'submissions', role: 'submission', tls: 'implicit', route: 'disk' },
      ],
      limits: { authFailures: 50, errors: 60 },
    },
  });
});

afterAll(async () => {
  await postern.dispose();
  await endpoint.close();
  rmSync(directory, { recursive: true });
});

interface Secure {
  readonly socket: TLSSocket;
  readonly client: SmtpClient;
  readonly ehlo: string;
}

async function insideTls(maxVersion: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3'): Promise<Secure> {
  const port = postern.ports['submissions'] ?? 0;
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion });
  await once(socket, 'secureConnect');
  const client = SmtpClient.over(socket);
  await client.reply();
  return { socket, client, ehlo: await client.command('EHLO client.test') };
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const decoded = (reply: string): string => Buffer.from(reply.slice(4), 'base64').toString('utf8');

function exporter({ socket }: Secure): Buffer {
  return socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
}

function bearer(user: string, token: string): string {
  const header = `n,${user === '' ? '' : `a=${user}`},`;
  return base64(`${header}\x01host=localhost\x01port=465\x01auth=Bearer ${token}\x01\x01`);
}

async function gsasl(mechanism: string, given: string, ...more: string[]) {
  const port = String(postern.ports['submission']);
  const ca = ['--x509-ca-file', testCertificate.certificate];
  const who = ['-m', mechanism, '-a', 'alice', '-p', given];
  // Not --starttls: it means STARTTLS before EHLO. It uses what EHLO offers.
  return run(peerPath('gsasl'), ['--smtp', ...ca, ...who, ...more, 'localhost', port]);
}

describe.skipIf(skipReason('gsasl'))('GNU SASL', () => {
  test.each(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1-PLUS', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'CRAM-MD5'])(
    'C-113: logs in with %s, and not with another password',
    async (mechanism) => {
      const right = await gsasl(mechanism, password, ...(mechanism.endsWith('-PLUS') ? [] : ['--no-cb']));
      expect(right).toMatchObject({ code: 0 });
      expect(right.stdout + right.stderr).toContain('235 2.7.0');
      const wrong = await gsasl(
        mechanism,
        'another one',
        ...(mechanism.endsWith('-PLUS') ? [] : ['--no-cb']),
      );
      expect(wrong.code).not.toBe(0);
      expect(wrong.stdout + wrong.stderr).not.toContain('235 2.7.0');
    },
  );

  test('RFC 5802 §6: finds no -PLUS inside TLS 1.2', async () => {
    const priority = ['--priority', 'NORMAL:-VERS-ALL:+VERS-TLS1.2'];
    const without = await gsasl('SCRAM-SHA-256', password, '--no-cb', ...priority);
    expect(without).toMatchObject({ code: 0 });
    const plus = await gsasl('SCRAM-SHA-256-PLUS', password, ...priority);
    expect(plus.stdout + plus.stderr).not.toContain('235 2.7.0');
  });
});

describe('SCRAM', () => {
  test('C-113: -PLUS is announced inside TLS 1.3 alone', async () => {
    const modern = await insideTls();
    expect(modern.ehlo).toContain('AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-1 ');
    modern.client.destroy();
    const older = await insideTls('TLSv1.2');
    expect(older.ehlo).toContain('AUTH SCRAM-SHA-256 SCRAM-SHA-1 ');
    expect(older.ehlo).not.toContain('-PLUS');
    older.client.destroy();
  });

  test('the channel of another connection, as a man in the middle has it, is refused; the own one is taken', async () => {
    const [own, other] = [await insideTls(), await insideTls()];
    const log = async (binding: Buffer): Promise<string> => {
      const flag = 'p=tls-exporter';
      const scram = new ScramClient({ hash: 'sha256', user: 'alice', password, flag, binding });
      const challenge = await own.client.command(`AUTH SCRAM-SHA-256-PLUS ${base64(scram.first)}`);
      const answer = await own.client.command(base64(scram.final(decoded(challenge))));
      if (!answer.startsWith('334')) return answer;
      expect(decoded(answer)).toBe(`v=${scram.signature}`);
      return own.client.command('');
    };
    expect(await log(exporter(other))).toMatch(/^535 5\.7\.8 /);
    expect(await log(exporter(own))).toMatch(/^235 2\.7\.0 /);
    own.client.destroy();
    other.client.destroy();
  });

  test('an unknown user is told a salt of his own, the same each time, and no other reply than alice (A-104)', async () => {
    const { client } = await insideTls();
    const facts = async (user: string): Promise<string[]> => {
      const scram = new ScramClient({ hash: 'sha256', user, password: 'wrong' });
      const challenge = await client.command(`AUTH SCRAM-SHA-256 ${base64(scram.first)}`);
      const [, salt = '', iterations = ''] = /,s=([^,]+),i=(\d+)$/.exec(decoded(challenge)) ?? [];
      const answer = await client.command(base64(scram.final(decoded(challenge))));
      return [salt, `${salt.length} ${iterations} ${answer}`];
    };
    const [alice, nobody, again, other] = [
      await facts('alice'),
      await facts('nobody'),
      await facts('nobody'),
      await facts('other'),
    ];
    expect(nobody).toEqual(again);
    expect(new Set([alice[0], nobody[0], other[0]]).size).toBe(3);
    expect(nobody[1]).toBe(alice[1]);
    client.destroy();
  });
});

describe('bearer tokens', () => {
  test('nodemailer sends with XOAUTH2', async () => {
    const transport = createTransport({
      host: '127.0.0.1',
      port: postern.ports['submissions'] ?? 0,
      secure: true,
      tls: { rejectUnauthorized: false },
      auth: { type: 'OAuth2', user: 'joe@example.test', accessToken: 'good-token' },
    });
    const sent = await transport.sendMail({
      from: 'joe@example.test',
      to: 'a@elsewhere.test',
      subject: 't',
      text: 'x',
    });
    expect(sent.response).toMatch(/^250 2\.0\.0 Ok: queued/);
    transport.close();
  });

  test('OAUTHBEARER: a good token is 235, a wrong one JSON and 535, another’s name 535, none of them in the log (C-120)', async () => {
    const { client } = await insideTls();
    const refused = await client.command(`AUTH OAUTHBEARER ${bearer('', 'stolen-token')}`);
    expect(JSON.parse(decoded(refused))).toEqual({ status: 'invalid_token' });
    expect(await client.command('AQ==')).toMatch(/^535 5\.7\.8 /);
    await client.command(`AUTH OAUTHBEARER ${bearer('eve@example.test', 'good-token')}`);
    expect(await client.command('AQ==')).toMatch(/^535 5\.7\.8 /);
    expect(await client.command(`AUTH OAUTHBEARER ${bearer('joe@example.test', 'good-token')}`)).toMatch(
      /^235 2\.7\.0 /,
    );
    expect(await client.command('MAIL FROM:<joe@example.test>')).toMatch(/^250 /);
    client.destroy();
    const lines = await until('the refusal is in the log', () => {
      const text = JSON.stringify(postern.log);
      return text.includes('it is not active') ? text : undefined;
    });
    expect(lines).not.toMatch(/stolen-token|good-token/);
  });

  test('an endpoint in trouble is 454, for a token of 8 KiB too (C-117 C-120)', async () => {
    const { answer } = endpoint;
    endpoint.answer = (response) => response.writeHead(500).end();
    const { client } = await insideTls();
    const long = base64(`n,,\x01auth=Bearer ${'a'.repeat(8_192)}\x01\x01`);
    expect(await client.command(`AUTH OAUTHBEARER ${long}`)).toMatch(/^454 4\.7\.0 /);
    endpoint.answer = answer;
    client.destroy();
  });
});
