import { expect, test } from 'vitest';
import { CertificateCheck } from '../../../src/policy/certificate-check.js';
import { newExchange } from '../../../src/protocol/sasl/mechanisms.js';

const meters = { authTotal: { of: () => ({ value: 0 }) } };

test.each([
  ['nothing', '', ''],
  ['a user', 'joe@example.org', 'joe@example.org'],
])('EXTERNAL asks whose certificate it is, with %s (RFC 4422 appendix A)', (_, sent, authorizationId) => {
  const exchange = newExchange('EXTERNAL', ['EXTERNAL']);
  expect(exchange.begin(undefined)).toMatchObject({ kind: 'challenge', reply: { name: 'authContinue' } });
  expect(exchange.respond(Buffer.from(sent))).toEqual({
    kind: 'question',
    question: { kind: 'certificate', mechanism: 'EXTERNAL', authorizationId },
  });
  expect(exchange.answer({ ok: true, user: 'joe' })).toMatchObject({ kind: 'succeeded', user: 'joe' });
});

test.each(['a\0b', '\xff'])('EXTERNAL: %j is nobody', (sent) => {
  expect(newExchange('EXTERNAL', ['EXTERNAL']).begin(Buffer.from(sent, 'latin1'))).toMatchObject({
    kind: 'failed',
    reply: { name: 'authFailed' },
  });
});

test.each([
  ['its first identity, where the client names none', '', ['joe@x.test', 'Joe'], 'joe@x.test'],
  ['another identity of it', 'Joe', ['joe@x.test', 'Joe'], 'Joe'],
  ['nobody else', 'eve@x.test', ['joe@x.test'], undefined],
  ['nobody, without an identity', '', [], undefined],
  ['nobody, where an identity is no user name', '', ['a\0b'], undefined],
  ['nobody who is not in the users file', '', ['tom@x.test'], undefined],
])('a certificate stands for %s', (_, authorizationId, identities, user) => {
  const check = new CertificateCheck({ isUser: (name) => name !== 'tom@x.test', meters });
  const result = check.check(authorizationId, identities);
  expect(result).toMatchObject(user === undefined ? { kind: 'failed' } : { kind: 'ok', user });
});
