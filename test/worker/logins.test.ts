/** What a log-in that fails leaves behind: one line in the log and one count, whatever it failed by. */
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';

import { replies } from '../../src/protocol/replies.js';
import { LoginGuard } from '../../src/worker/login-guard.js';
import type { Place } from '../../src/worker/login-turns.js';
import { Logins } from '../../src/worker/logins.js';
import type { Service } from '../../src/worker/service.js';
import { recordingLog } from '../support/recording-log.js';
import { SmtpClient } from '../support/smtp-client.js';
import { startWorker, type TestWorker } from './harness.js';

const journal = recordingLog();
let running: TestWorker;

beforeAll(async () => {
  running = await startWorker({
    listeners: [{ name: 'submission', role: 'submission', tls: 'starttls' }],
    users: { u: 'p' },
    mechanisms: ['PLAIN', 'LOGIN', 'SCRAM-SHA-256', 'CRAM-MD5'],
    limits: { authFailures: 100, errors: 100, exempt: [] },
    log: journal.log,
  });
});

afterAll(async () => {
  await running.close();
});

beforeEach(() => {
  journal.lines.length = 0;
});

async function inTls(): Promise<SmtpClient> {
  const client = await SmtpClient.greeted(running.port);
  await client.startTls();
  await client.command('EHLO client.test');
  return client;
}

function failures(): Record<string, unknown>[] {
  return journal.lines.filter(({ event }) => event === 'auth.failed');
}

function failuresCounted(mechanism: string): number {
  const samples = running.worker.snapshot()['postern_auth_total'] ?? [];
  const { value } = samples.find(({ labels }) => labels[0] === mechanism && labels[1] === 'failed') ?? {};
  return typeof value === 'number' ? value : 0;
}

function base64(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64');
}

test.each([
  { what: 'no base64', mechanism: 'PLAIN', lines: ['AUTH PLAIN A==='], code: 501 },
  { what: 'broken off', mechanism: 'LOGIN', lines: ['AUTH LOGIN', '*'], code: 501 },
  { what: 'too long a line', mechanism: 'LOGIN', lines: ['AUTH LOGIN', 'A'.repeat(13_000)], code: 500 },
  { what: 'a PLAIN without a NUL', mechanism: 'PLAIN', lines: [`AUTH PLAIN ${base64('u p')}`], code: 535 },
  { what: 'no password', mechanism: 'LOGIN', lines: [`AUTH LOGIN ${base64('u')}`, ''], code: 535 },
  { what: 'a first word of the client where the server has it', mechanism: 'CRAM-MD5', lines: [`AUTH CRAM-MD5 ${base64('u')}`], code: 501 },
  { what: 'no digest', mechanism: 'CRAM-MD5', lines: ['AUTH CRAM-MD5', base64('u')], code: 535 },
  { what: 'another nonce', mechanism: 'SCRAM-SHA-256', lines: [`AUTH SCRAM-SHA-256 ${base64('n,,n=u,r=a')}`, base64('c=biws,r=b,p=AAAA')], code: 535 },
  { what: 'a wrong password', mechanism: 'PLAIN', lines: [`AUTH PLAIN ${base64('\0u\0x')}`], code: 535 },
])('A-101 A-103 A-102: $mechanism that fails by $what has one line and one count', async ({ mechanism, lines, code }) => {
  const counted = failuresCounted(mechanism);
  running.worker.takeReport();
  const client = await inTls();
  let reply = '';
  for (const line of lines) reply = await client.command(line);
  expect(reply).toMatch(new RegExp(`^${code} `));
  expect(failures()).toMatchObject([{ mechanism, client: '127.0.0.1', listener: 'submission' }]);
  expect(failuresCounted(mechanism)).toBe(counted + 1);
  expect(running.worker.takeReport()?.events.authFailures).toMatchObject({ '127.0.0.1': 1 });
  client.destroy();
}); // prettier-ignore

test('the keys of an attempt are made once', async () => {
  const keysOf = vi.spyOn(LoginGuard.prototype, 'keysOf');
  const client = await inTls();
  expect(await client.command(`AUTH PLAIN ${base64('\0u\0y')}`)).toMatch(/^535 /);
  expect(keysOf).toHaveBeenCalledOnce();
  keysOf.mockRestore();
  client.destroy();
});

test('A-103: who has closed his side before his log-in was read does not wait in the line', async () => {
  const leave = vi.fn<() => void>();
  const place: Place = { kind: 'place', answer: Promise.resolve({ kind: 'busy' }), leave };
  const service = {
    loginGuard: { keysOf: () => ({}) },
    loginTurns: { begin: () => place },
    meters: { authTotal: { of: () => ({ value: 0 }) } },
    log: journal.log,
  } as unknown as Service; // oxlint-disable-line typescript/no-unsafe-type-assertion -- what a line is asked of
  const facts = { sid: 'S', listener: 'submission', client: '192.0.2.1' };
  const logins = new Logins(service, facts, { binding: () => undefined, identities: () => [] });
  logins.ended();
  const verdict = await logins.answer({
    kind: 'credentials',
    mechanism: 'PLAIN',
    authorizationId: '',
    authenticationId: 'u',
    password: 'p',
  });
  expect(leave).toHaveBeenCalledOnce();
  expect(verdict).toEqual({ ok: false, reply: replies.authUnavailable });
  expect(journal.lines).toMatchObject([
    { event: 'auth.limited', client: '192.0.2.1', user: 'u', by: 'checks' },
  ]);
});

test('SCRAM-PLUS on a channel that has gone meanwhile is our trouble (454), not a bug', () => {
  const service = {
    loginGuard: { keysOf: () => ({}), limitAt: () => undefined },
    saslChecks: { scram: { salt: () => ({ nonce: 'n', salt: Buffer.alloc(1), iterations: 4096 }) } },
  } as unknown as Service; // oxlint-disable-line typescript/no-unsafe-type-assertion -- what a salt is asked of
  const facts = { sid: 'S', listener: 'submission', client: '192.0.2.1' };
  const gone = { binding: () => undefined, identities: () => [] };
  const verdict = new Logins(service, facts, gone).answer({
    kind: 'scram-salt',
    mechanism: 'SCRAM-SHA-256-PLUS',
    family: 'SCRAM-SHA-256',
    authenticationId: 'u',
  });
  expect(verdict).toEqual({ ok: false, reply: replies.authUnavailable });
});
