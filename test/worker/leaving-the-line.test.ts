/** Clients that go while their log-in waits for the answers of others: at a worker whose check takes its time. */
import type { Socket } from 'node:net';

import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';

import { Authenticator } from '../../src/policy/authenticate.js';
import type { AuthResult } from '../../src/policy/login.js';
import { LoginTurns } from '../../src/worker/login-turns.js';
import { until } from '../support/processes.js';
import { recordingLog } from '../support/recording-log.js';
import { SmtpClient } from '../support/smtp-client.js';
import { startWorker, type TestWorker } from './harness.js';

const journal = recordingLog();
const answers: ((result: AuthResult) => void)[] = [];
/** Who stays in the line is sent away after ten seconds, with the same words. */
const beforeItEndsMs = 8_000;
const begin = vi.spyOn(LoginTurns.prototype, 'begin');
const login = `AUTH PLAIN ${Buffer.from('\0joe\0tiger').toString('base64')}`;
let running: TestWorker;

beforeAll(async () => {
  vi.spyOn(Authenticator.prototype, 'check').mockImplementation(
    () => new Promise((resolve) => answers.push(resolve)),
  );
  running = await startWorker({
    listeners: [{ name: 'submission', role: 'submission', tls: 'required' }],
    users: { joe: 'tiger' },
    limits: { authFailuresPerAccountPerMinute: 1, exempt: [] },
    log: journal.log,
  });
});

afterAll(async () => {
  vi.restoreAllMocks();
  await running.close();
});

beforeEach(() => {
  answers.length = 0;
  begin.mockClear();
  journal.lines.length = 0;
});

interface Comer {
  readonly client: SmtpClient;
  /** Under its TLS. */
  readonly tcp: Socket;
}

async function from(localAddress: string): Promise<Comer> {
  const client = await SmtpClient.greeted(running.port, { localAddress });
  const tcp = client.raw;
  await client.startTls();
  await client.command('EHLO client.test');
  return { client, tcp };
}

/** Who was not checked, and why. */
function limited(): unknown[] {
  return journal.lines.filter(({ event }) => event === 'auth.limited').map(({ client, by }) => [client, by]);
}

/** `go` while a check for the same user is under way. @param network where nobody has logged in yet */
async function whileInLine(network: string, go: (comer: Comer) => void): Promise<SmtpClient> {
  const [first, leaver, next] = [
    await from(`${network}.1`),
    await from(`${network}.2`),
    await from(`${network}.3`),
  ];
  const firstReply = first.client.command(login);
  await until('the first is checked', () => answers.length === 1);
  leaver.client.write(`${login}\r\n`);
  await until('the second is in the line', () => begin.mock.calls.length === 2);
  go(leaver);
  await until('he has left it', () => limited().length > 0, beforeItEndsMs);
  expect(limited()).toEqual([[`${network}.2`, 'checks']]);
  const nextReply = next.client.command(login);
  await until('the third is in the line', () => begin.mock.calls.length === 3);
  answers[0]?.({ kind: 'ok', user: 'joe' });
  expect(await firstReply).toMatch(/^235 /);
  await until('the third is checked', () => answers.length === 2);
  answers[1]?.({ kind: 'ok', user: 'joe' });
  expect(await nextReply).toMatch(/^235 /);
  expect(answers).toHaveLength(2);
  first.client.destroy();
  next.client.destroy();
  return leaver.client;
}

test('A-103: who has gone is checked by nobody, and keeps nobody waiting', async () => {
  await whileInLine('127.1.1', ({ client }) => client.destroy());
});

test('A-103: nor who was cut off', async () => {
  await whileInLine('127.1.3', ({ tcp }) => tcp.resetAndDestroy());
});

test('A-103: who has closed his side gets 454 at once: what he logs in for can no longer come', async () => {
  const client = await whileInLine('127.1.2', ({ client }) => void client.raw.end());
  expect(await client.reply()).toMatch(/^454 4\.7\.0 /);
  client.destroy();
});
