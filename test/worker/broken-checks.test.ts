/** A bug in the check of a login costs that login 454 and the operator a line in the log, not the worker its life. */
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';

import { Authenticator } from '../../src/policy/authenticate.js';
import { CramMd5Check } from '../../src/policy/cram-md5-check.js';
import { ScramCheck } from '../../src/policy/scram-check.js';
import { SmtpClient } from '../support/smtp-client.js';
import { startWorker, type TestWorker } from './harness.js';

const log: string[] = [];
let running: TestWorker;

beforeAll(async () => {
  running = await startWorker({
    listeners: [{ name: 'submission', role: 'submission', tls: 'required' }],
    users: { joe: 'tiger' },
    mechanisms: ['SCRAM-SHA-256', 'PLAIN', 'CRAM-MD5'],
    log: pino({}, { write: (line: string) => log.push(line) }),
  });
});

afterAll(() => running.close());

afterEach(() => {
  vi.restoreAllMocks();
  log.length = 0;
});

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

const fault = new TypeError('not foreseen');

test.each<[string, string, () => void]>([
  [
    'PLAIN, whose check rejects later',
    `AUTH PLAIN ${base64('\0joe\0tiger')}`,
    () => vi.spyOn(Authenticator.prototype, 'check').mockRejectedValue(fault),
  ],
  [
    'SCRAM, whose check throws at once',
    `AUTH SCRAM-SHA-256 ${base64('n,,n=joe,r=abc')}`,
    () =>
      vi.spyOn(ScramCheck.prototype, 'salt').mockImplementation(() => {
        throw fault;
      }),
  ],
  [
    'CRAM-MD5, likewise',
    'AUTH CRAM-MD5',
    () =>
      vi.spyOn(CramMd5Check.prototype, 'challenge').mockImplementation(() => {
        throw fault;
      }),
  ],
])(
  '%s: 454, a line in the log without the password, and the session goes on',
  async (_, command, breakIt) => {
    const client = await SmtpClient.greeted(running.port);
    await client.startTls();
    await client.command('EHLO client.test');
    breakIt();
    expect(await client.command(command)).toMatch(/^454 4\.7\.0 /);
    const line = log.find((text) => text.includes('auth.broken')) ?? '';
    expect(JSON.parse(line)).toMatchObject({ level: 50, listener: 'submission', err: 'not foreseen' });
    expect(line).not.toContain('tiger');
    vi.restoreAllMocks();
    expect(await client.command(`AUTH PLAIN ${base64('\0joe\0tiger')}`)).toMatch(/^235 /);
    client.destroy();
  },
);
