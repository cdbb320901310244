/** EXTERNAL over real sockets: whom a client certificate lets in, and who is not even offered it. */
import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { clientAuthority, clientIdentity, type ClientName } from '../support/client-certificates.js';
import { SmtpClient } from '../support/smtp-client.js';
import { startWorker, type TestWorker } from './harness.js';

let running: TestWorker;

beforeAll(async () => {
  running = await startWorker({
    listeners: [
      { name: 'ask', role: 'submission', tls: 'implicit', clientCertificate: 'ask' },
      {
        name: 'require',
        role: 'submission',
        tls: 'implicit',
        clientCertificate: 'require',
        xclient: ['127.0.0.1'],
      },
    ],
    tls: { clientCa: clientAuthority },
    users: { 'joe@example.test': 'p' },
    mechanisms: ['EXTERNAL', 'PLAIN'],
  });
});

afterAll(async () => {
  await running.close();
});

async function visit(
  certificate?: ClientName,
  port = running.port,
): Promise<{ client: SmtpClient; ehlo: string }> {
  const shown = certificate === undefined ? {} : clientIdentity(certificate);
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...shown });
  await once(socket, 'secureConnect');
  const client = SmtpClient.over(socket);
  await client.reply();
  return { client, ehlo: await client.command('EHLO client.test') };
}

const external = (name: string): string => `AUTH EXTERNAL ${Buffer.from(name).toString('base64') || '='}`;

test.each([
  ['', 235],
  ['joe@example.test', 235],
  ['joe.b@example.test', 535],
  ['joe', 535],
  ['eve@example.test', 535],
])(
  'EXTERNAL: the certificate of joe, asked to be %j, gets %d: his names in the users file alone',
  async (name, code) => {
    const { client, ehlo } = await visit('joe');
    expect(ehlo).toContain('AUTH EXTERNAL PLAIN');
    expect(await client.command(external(name))).toMatch(new RegExp(`^${code} `));
    const mail = await client.command('MAIL FROM:<joe@example.test>');
    expect(mail).toMatch(code === 235 ? /^250 / : /^530 /);
    client.destroy();
  },
);

test('EXTERNAL takes its initial response in a line of its own', async () => {
  const { client } = await visit('joe');
  expect(await client.command('AUTH EXTERNAL')).toBe('334 ');
  expect(await client.command('')).toMatch(/^235 2\.7\.0 /);
  client.destroy();
});

test.each([undefined, 'stranger', 'expired'] as const)(
  'EXTERNAL is not offered with the certificate %s (C-113)',
  async (name) => {
    const { client, ehlo } = await visit(name);
    expect(ehlo).not.toContain('EXTERNAL');
    expect(await client.command(external(''))).toMatch(/^504 5\.5\.4 /);
    client.destroy();
  },
);

test('A-113: the certificate of a peer lets it in and its client not log in: behind XCLIENT there is no EXTERNAL', async () => {
  const { client, ehlo } = await visit('joe', running.ports['require']);
  expect(ehlo).toContain('AUTH EXTERNAL PLAIN');
  expect(await client.command('XCLIENT ADDR=192.0.2.1')).toMatch(/^220 /);
  const again = await client.command('EHLO client.test');
  expect(again).toContain('AUTH PLAIN');
  expect(again).not.toContain('EXTERNAL');
  expect(await client.command(external(''))).toMatch(/^504 5\.5\.4 /);
  client.destroy();
});
