import { pino } from 'pino';
import { expect, test } from 'vitest';

import type { AuthConfig } from '../../src/config/config.js';
import { servedMechanisms } from '../../src/worker/sasl-checks.js';

test('with a backend SCRAM is not announced, and the log says why', () => {
  const lines: { event?: string; mechanism?: string }[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const bounds = { timeoutMs: 1_000, concurrent: 1, waiting: 1, plaintext: false };
  const auth: AuthConfig = {
    mechanisms: ['SCRAM-SHA-256', 'PLAIN', 'LOGIN'],
    usersFile: undefined,
    backend: { kind: 'dovecot', target: { path: '/run/d' }, service: 'smtp', ...bounds },
    cacheMs: 0,
    tokens: undefined,
  };
  expect(servedMechanisms(auth, undefined, log)).toEqual(['PLAIN', 'LOGIN']);
  expect(lines).toMatchObject([{ level: 30, event: 'auth.not-announced', mechanism: 'SCRAM-SHA-256' }]);
});
