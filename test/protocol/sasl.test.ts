import { describe, expect, test } from 'vitest';
import { AuthDialogue } from '../../src/protocol/auth-dialogue.js';
import { decodeBase64 } from '../../src/protocol/sasl/base64.js';
import type { SaslStep } from '../../src/protocol/sasl/exchange.js';
import type { Mechanism, Reply } from '../../src/protocol/types.js';
import { options } from './harness.js';

const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');

function dialogue(): AuthDialogue {
  return new AuthDialogue({ ...options, secure: true, mechanisms: ['PLAIN', 'LOGIN'] });
}

function begin(mechanism: Mechanism, initial: string): SaslStep | Reply {
  return dialogue().begin(mechanism, initial);
}

describe('strict base64 (C-116 A-100)', () => {
  test.each([
    ['', ''],
    ['AA==', '\0'],
    ['AAA=', '\0\0'],
    ['AAAA', '\0\0\0'],
    ['+/+/', '\xfb\xff\xbf'],
    ['AHUAcA==', '\0u\0p'],
  ])('%j is %j', (text, decoded) => {
    expect(decodeBase64(text)?.toString('latin1')).toBe(decoded);
  });

  test.each([
    ['padding alone', '='],
    ['padding alone', '===='],
    ['one digit', 'A'],
    ['three digits and no padding', 'AAA'],
    ['too little padding', 'AA='],
    ['too much padding', 'AAA=='],
    ['something behind the padding', 'AA==AA=='],
    ['padding in the middle', 'A=AA'],
    ['a space', 'A A='],
    ['a NUL', 'AGE\0'],
    ['the URL alphabet', '_-AA'],
    ['unused bits that are set', 'AB=='],
    ['unused bits that are set', 'AAB='],
    ['a line end', 'AAAA\r\n'],
    ['a letter beyond ASCII', 'AAAÄ'],
  ])('%s: %j is none', (_, text) => {
    expect(decodeBase64(text)).toBeUndefined();
  });
});

describe('PLAIN (A-101)', () => {
  test.each([
    ['no authorization identity', '\0u\0p', { authorizationId: '', authenticationId: 'u', password: 'p' }],
    [
      'an authorization identity of its own, for the caller to judge',
      'x\0u\0p',
      { authorizationId: 'x', authenticationId: 'u', password: 'p' },
    ],
    [
      'UTF-8',
      Buffer.from('\0ü\0π').toString('latin1'),
      { authorizationId: '', authenticationId: 'ü', password: 'π' },
    ],
    ['spaces and signs', '\0u v\0p=*', { authorizationId: '', authenticationId: 'u v', password: 'p=*' }],
  ])('%s', (_, payload, credentials) => {
    expect(begin('PLAIN', base64(payload))).toEqual({
      kind: 'question',
      question: { kind: 'credentials', mechanism: 'PLAIN', ...credentials },
    });
  });

  test.each([
    ['nothing', ''],
    ['no NUL', 'up'],
    ['one NUL', '\0u'],
    ['three NULs', '\0u\0p\0'],
    ['an empty name', '\0\0p'],
    ['an empty password', '\0u\0'],
    ['octets that are not UTF-8', '\0\xff\0p'],
  ])('%s reads as a wrong password', (_, payload) => {
    expect(begin('PLAIN', base64(payload) || '=')).toMatchObject({
      kind: 'failed',
      reply: { name: 'authFailed' },
    });
  });

  test('without an initial response it asks with an empty challenge (C-115)', () => {
    const step = begin('PLAIN', '');
    expect('kind' in step && step.kind === 'challenge' && step.reply.bytes.toString()).toBe('334 \r\n');
  });
});

describe('LOGIN', () => {
  test('name, then password', () => {
    const exchange = dialogue();
    expect(exchange.begin('LOGIN', '')).toMatchObject({ kind: 'challenge', reply: { name: 'authUserName' } });
    expect(exchange.respond(base64('u'))).toMatchObject({
      kind: 'challenge',
      reply: { name: 'authPassword' },
    });
    expect(exchange.respond(base64('p'))).toEqual({
      kind: 'question',
      question: {
        kind: 'credentials',
        mechanism: 'LOGIN',
        authorizationId: '',
        authenticationId: 'u',
        password: 'p',
      },
    });
  });

  test('a NUL in a name is refused: it could become another name further on', () => {
    expect(begin('LOGIN', base64('u\0x'))).toMatchObject({
      kind: 'failed',
      reply: { name: 'authFailed' },
    });
  });

  test('* cancels at either step (C-114)', () => {
    const exchange = dialogue();
    exchange.begin('LOGIN', base64('u'));
    expect(exchange.respond('*')).toMatchObject({ kind: 'failed', reply: { name: 'authCancelled' } });
  });
});
