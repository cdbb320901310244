/** Guesses that come all at once over connections of their own, at a worker whose check takes its time. */
import { expect, test, vi } from 'vitest';

import { Authenticator } from '../../src/policy/authenticate.js';
import type { AuthResult } from '../../src/policy/login.js';
import { until } from '../support/processes.js';
import { SmtpClient } from '../support/smtp-client.js';
import { startWorker } from './harness.js';

test('A-103: eight guesses at once at a user who has three in a minute: three are checked', async () => {
  const answers: ((result: AuthResult) => void)[] = [];
  vi.spyOn(Authenticator.prototype, 'check').mockImplementation(
    () => new Promise((resolve) => answers.push(resolve)),
  );
  const running = await startWorker({
    listeners: [{ name: 'submission', role: 'submission', tls: 'required' }],
    users: { joe: 'tiger' },
    limits: { authFailuresPerAccountPerMinute: 3, exempt: [] },
  });
  try {
    const clients = await Promise.all(
      Array.from({ length: 8 }, async (_, at) => {
        const client = await SmtpClient.greeted(running.port, { localAddress: `127.0.${at + 1}.1` });
        await client.startTls();
        await client.command('EHLO client.test');
        return client;
      }),
    );
    const guess = `AUTH PLAIN ${Buffer.from('\0joe\0lion').toString('base64')}`;
    const replies = clients.map((client) => client.command(guess));
    await until('three are checked', () => answers.length === 3);
    for (const answer of answers) answer({ kind: 'failed' });
    const codes = (await Promise.all(replies)).map((reply) => reply.slice(0, 9));
    expect(codes.toSorted()).toEqual([
      ...Array.from({ length: 5 }, () => '454 4.7.0'),
      ...Array.from({ length: 3 }, () => '535 5.7.8'),
    ]);
    expect(answers).toHaveLength(3);
    for (const client of clients) client.destroy();
  } finally {
    vi.restoreAllMocks();
    await running.close();
  }
});
