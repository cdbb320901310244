import { describe, expect, test } from 'vitest';
import { parseOauthBearer, parseXoauth2 } from '../../../src/protocol/sasl/bearer-messages.js';
import { newExchange } from '../../../src/protocol/sasl/mechanisms.js';
import { replies } from '../../../src/protocol/replies.js';

const token = 'vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==';
/** RFC 7628 §4.1, a client's first message; ^A is 0x01. */
const rfcExample = `n,a=user@example.com,^Ahost=server.example.com^Aport=143^Aauth=Bearer ${token}^A^A`;
const bytes = (text: string): Buffer => Buffer.from(text.replaceAll('^A', '\x01'), 'latin1');

describe('OAUTHBEARER (RFC 7628 §3.1)', () => {
  test.each([
    ['the example of the RFC', rfcExample, 'user@example.com'],
    ['no user', `n,,^Aauth=Bearer ${token}^A^A`, ''],
    ['a comma in the user', `n,a=a=2Cb,^Aauth=Bearer ${token}^A^A`, 'a,b'],
    ['the scheme in any case', `y,,^Aauth=bEARER ${token}^A^A`, ''],
    ['a key that nobody knows', `n,,^Afoo=^Aauth=Bearer ${token}^A^A`, ''],
  ])('%s', (_, text, authorizationId) => {
    expect(parseOauthBearer(bytes(text))).toEqual({ authorizationId, token });
  });

  test.each([
    ['nothing', ''],
    ['no header', `auth=Bearer ${token}^A^A`],
    ['a channel binding', `p=tls-exporter,,^Aauth=Bearer ${token}^A^A`],
    ['a header without its last comma', `n,a=u^Aauth=Bearer ${token}^A^A`],
    ['a header with more', `n,a=u,x^Aauth=Bearer ${token}^A^A`],
    ['a bare equals sign in the user', `n,a=a=b,^Aauth=Bearer ${token}^A^A`],
    ['an empty user', `n,a=,^Aauth=Bearer ${token}^A^A`],
    ['no token', 'n,,^Ahost=x^A^A'],
    ['two tokens', `n,,^Aauth=Bearer a^Aauth=Bearer b^A^A`],
    ['another scheme', `n,,^Aauth=Basic ${token}^A^A`],
    ['a token with a space', 'n,,^Aauth=Bearer a b^A^A'],
    ['a token with a comma', 'n,,^Aauth=Bearer a,b^A^A'],
    ['an empty token', 'n,,^Aauth=Bearer ^A^A'],
    ['one ^A at the end', `n,,^Aauth=Bearer ${token}^A`],
    ['something behind the end', `n,,^Aauth=Bearer ${token}^A^Ax`],
    ['a pair without =', `n,,^Ahost^Aauth=Bearer ${token}^A^A`],
    ['seventeen pairs', `n,,${'^Ax=1'.repeat(16)}^Aauth=Bearer ${token}^A^A`],
    ['a NUL', `n,a=u\0,^Aauth=Bearer ${token}^A^A`],
    ['octets that are not UTF-8', `n,a=\xff,^Aauth=Bearer ${token}^A^A`],
  ])('is refused: %s', (_, text) => {
    expect(parseOauthBearer(bytes(text))).toBeUndefined();
  });

  test('64 KiB of ^A are read in one go', () => {
    expect(parseOauthBearer(bytes(`n,,${'^A'.repeat(65_536)}`))).toBeUndefined();
  });
});

describe('XOAUTH2', () => {
  test('names the user', () => {
    expect(parseXoauth2(bytes(`user=someuser@example.com^Aauth=Bearer ${token}^A^A`))).toEqual({
      authorizationId: 'someuser@example.com',
      token,
    });
  });

  test.each([
    ['no user', `user=^Aauth=Bearer ${token}^A^A`],
    ['no user key', `auth=Bearer ${token}^A^A`],
    ['one ^A at the end', `user=u^Aauth=Bearer ${token}^A`],
  ])('is refused: %s', (_, text) => {
    expect(parseXoauth2(bytes(text))).toBeUndefined();
  });
});

describe.each([
  { mechanism: 'OAUTHBEARER', message: rfcExample, refusal: { status: 'invalid_token' }, close: '\x01' },
  {
    mechanism: 'XOAUTH2',
    message: `user=user@example.com^Aauth=Bearer ${token}^A^A`,
    refusal: { status: '401', schemes: 'Bearer' },
    close: '',
  },
] as const)('$mechanism', ({ mechanism, message, refusal, close }) => {
  test('asks whose token it is, and takes the answer', () => {
    const exchange = newExchange(mechanism, [mechanism]);
    expect(exchange.begin(undefined)).toMatchObject({ kind: 'challenge', reply: { name: 'authContinue' } });
    expect(exchange.respond(bytes(message))).toEqual({
      kind: 'question',
      question: { kind: 'token', mechanism, authorizationId: 'user@example.com', token },
    });
    expect(exchange.answer({ ok: true, user: 'u' })).toMatchObject({ kind: 'succeeded', user: 'u' });
  });

  test('a refused token is told as JSON, and 535 follows whatever the client says then (RFC 7628 §3.2.2)', () => {
    const exchange = newExchange(mechanism, [mechanism]);
    exchange.begin(bytes(message));
    const step = exchange.answer({ ok: false, reply: replies.authFailed });
    const line = step.kind === 'challenge' ? step.reply.bytes.toString('latin1') : '';
    expect(JSON.parse(Buffer.from(line.slice(4), 'base64').toString('utf8'))).toEqual(refusal);
    expect(exchange.respond(Buffer.from(close))).toEqual({ kind: 'failed', reply: replies.authFailed });
  });

  test('a source that cannot be asked is 454 at once (C-120)', () => {
    const exchange = newExchange(mechanism, [mechanism]);
    exchange.begin(bytes(message));
    expect(exchange.answer({ ok: false, reply: replies.authUnavailable })).toEqual({
      kind: 'failed',
      reply: replies.authUnavailable,
    });
  });

  test('what is no message of it gets 535, and nobody is asked', () => {
    expect(newExchange(mechanism, [mechanism]).begin(Buffer.from('x'))).toMatchObject({
      kind: 'failed',
      reply: { name: 'authFailed' },
    });
  });
});
