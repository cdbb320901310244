/** Limits on guessing passwords, by clients of several addresses, over two workers. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { addUser } from '../../src/pool/users-file.js';
import { startPostern, testCertificate, type RunningPostern } from '../support/postern.js';
import { SmtpClient } from '../support/smtp-client.js';

// Reports of the workers and the answer to them, several times over: every worker knows.
const mergedMs = 1_000;
/** So many at once that each worker has some. */
const many = Array.from({ length: 12 }, (_, at) => at + 1);

let directory: string;
let postern: RunningPostern;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postern-login-limits-'));
  const users = join(directory, 'users.yaml');
  await addUser(users, 'alice', 'tiger');
  await addUser(users, 'bob', 'tiger');
  postern = await startPostern({
    config: {
      workers: 2,
      tls: testCertificate,
      auth: { users: { file: users } },
      routes: { disk: { to: 'maildir:./maildir' } },
      listeners: [{ name: 'submission', role: 'submission', tls: 'required', route: 'disk' }],
      limits: {
        exempt: [],
        authFailuresPerHostPerMinute: 4,
        authFailuresPerNetworkPerMinute: 0,
        authFailuresPerAccountPerMinute: 6,
      },
    },
  });
});

afterAll(async () => {
  await postern.dispose();
  rmSync(directory, { recursive: true });
});

/** The reply to AUTH, or to the connection where it gets no further. */
async function logIn(from: string, user: string, password: string): Promise<string> {
  const client = await SmtpClient.connect(postern.smtpPort, { localAddress: from });
  try {
    const greeting = await client.reply();
    if (!greeting.startsWith('220')) return greeting;
    await client.command('EHLO client.test');
    await client.startTls();
    await client.command('EHLO client.test');
    return await client.command(`AUTH PLAIN ${Buffer.from(`\0${user}\0${password}`).toString('base64')}`);
  } finally {
    client.destroy();
  }
}

test('A-103: an account that many clients guess at is shut to strangers, on all workers, and open to its owner', async () => {
  expect(await logIn('127.0.0.10', 'alice', 'tiger')).toMatch(/^235 /);
  for (let client = 0; client < 6; client++)
    expect(await logIn(`127.0.1.${client}`, 'alice', 'guess')).toMatch(/^535 5\.7\.8 /);
  await sleep(mergedMs);
  // Each a new one, and without the right password: whoever logged in would be no stranger.
  for (const reply of await Promise.all(many.map((n) => logIn(`127.0.4.${n}`, 'alice', 'guess'))))
    expect(reply).toMatch(/^454 4\.7\.0 Too many failed logins/);
  // From where he logged in before, on whichever worker he comes to; and for others nothing has changed.
  for (const reply of await Promise.all(many.map(() => logIn('127.0.0.10', 'alice', 'tiger'))))
    expect(reply).toMatch(/^235 /);
  expect(await logIn('127.0.2.1', 'bob', 'tiger')).toMatch(/^235 /);
  expect(await postern.metric('postern_auth_total', { result: 'limited' })).toBe(many.length);
  expect(postern.log.find(({ event }) => event === 'auth.limited')).toMatchObject({
    by: 'account',
    user: 'alice',
  });
});

test('A-103: a client that failed too often is refused at connect, on all workers; others are not', async () => {
  for (let attempt = 0; attempt < 4; attempt++)
    expect(await logIn('127.0.3.1', `nobody${attempt}`, 'guess')).toMatch(/^535 5\.7\.8 /);
  await sleep(mergedMs);
  // Not with a right password: whoever logged in from there would keep it open.
  for (const reply of await Promise.all(many.map(() => logIn('127.0.3.1', 'nobody', 'guess'))))
    expect(reply).toMatch(/^421 4\.7\.0 Too many authentication failures/);
  expect(await logIn('127.0.3.2', 'bob', 'tiger')).toMatch(/^235 /);
  expect(await postern.metric('postern_connections_refused_total', { reason: 'auth-failures' })).toBe(
    many.length,
  );
});
