import { describe, expect, test } from 'vitest';
import { CramMd5Check } from '../../../src/policy/cram-md5-check.js';
import { newExchange } from '../../../src/protocol/sasl/mechanisms.js';

/** RFC 2195 §2. */
const challenge = '<1896.697170952@postoffice.reston.mci.net>';
const digest = 'b913a602c7eda7a495b4e6e7334d3890';
const meters = { authTotal: { of: () => ({ value: 0 }) } };
const users = { secretOf: (name: string) => (name === 'tim' ? 'tanstaaftanstaaf' : undefined) };
const check = new CramMd5Check({ users, hostname: 'mx.test', meters });

function begun() {
  const exchange = newExchange('CRAM-MD5', ['CRAM-MD5']);
  expect(exchange.begin(undefined)).toEqual({
    kind: 'question',
    question: { kind: 'cram-md5-challenge', mechanism: 'CRAM-MD5' },
  });
  const step = exchange.answer({ ok: true, sasl: { kind: 'cram-md5-challenge', challenge } });
  expect(step.kind === 'challenge' && step.reply.bytes.toString('latin1')).toBe(
    '334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n',
  );
  return exchange;
}

describe('CRAM-MD5 (RFC 2195)', () => {
  test('the example of the RFC', () => {
    const exchange = begun();
    const step = exchange.respond(Buffer.from('dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw', 'base64'));
    expect(step).toMatchObject({
      kind: 'question',
      question: { kind: 'cram-md5-digest', authenticationId: 'tim', challenge },
    });
    if (step.kind !== 'question' || step.question.kind !== 'cram-md5-digest') throw new Error('no digest');
    expect(check.check('tim', challenge, step.question.digest)).toEqual({ kind: 'ok', user: 'tim' });
    expect(exchange.answer({ ok: true, user: 'tim' })).toMatchObject({ kind: 'succeeded', user: 'tim' });
  });

  test('C-119: the server speaks first, so an initial response gets 501 5.7.0, an empty one too', () => {
    for (const initial of [Buffer.from('tim'), Buffer.alloc(0)])
      expect(newExchange('CRAM-MD5', ['CRAM-MD5']).begin(initial)).toMatchObject({
        kind: 'failed',
        reply: { code: 501, enhanced: '5.7.0' },
      });
  });

  test('a name may have spaces', () => {
    expect(begun().respond(Buffer.from(`tim the first ${digest}`))).toMatchObject({
      question: { authenticationId: 'tim the first' },
    });
  });

  test.each([
    ['nothing', ''],
    ['no name', ` ${digest}`],
    ['no space', digest],
    ['digits in upper case', `tim ${digest.toUpperCase()}`],
    ['a digit too few', `tim ${digest.slice(1)}`],
    ['a digit too many', `tim ${digest}0`],
    ['a NUL in the name', `t\0im ${digest}`],
    ['a name that is not UTF-8', `\xff ${digest}`],
  ])('reads as a wrong password: %s', (_, text) => {
    expect(begun().respond(Buffer.from(text, 'latin1'))).toMatchObject({
      kind: 'failed',
      reply: { name: 'authFailed' },
    });
  });

  test('an unknown name, another challenge and a wrong digest fail alike (A-104)', () => {
    const right = Buffer.from(digest, 'hex');
    expect(check.check('tom', challenge, right)).toEqual({ kind: 'failed' });
    expect(check.check('tim', '<1.2@mx.test>', right)).toEqual({ kind: 'failed' });
    expect(check.check('tim', challenge, Buffer.alloc(16))).toEqual({ kind: 'failed' });
  });

  test('no challenge comes twice, and each has the form of a Message-ID', () => {
    const made = Array.from({ length: 1000 }, () => check.challenge());
    expect(new Set(made).size).toBe(1000);
    for (const text of made) expect(text).toMatch(/^<[0-9a-f]{36}\.\d+@mx\.test>$/);
  });
});
