import { describe, expect, it } from 'vitest';

import { userOf } from '../../../src/policy/tokens/claims.js';

const rules = { userClaim: 'sub', scope: undefined };

describe('the user of a token', () => {
  it('is the claim that the config names, in its one spelling', () => {
    expect(userOf({ sub: 'jose\u0301', email: 'x' }, rules)).toEqual({ user: 'jos\u00e9' });
    expect(userOf({ sub: 'x', email: 'joe@x.test' }, { ...rules, userClaim: 'email' })).toEqual({
      user: 'joe@x.test',
    });
  });

  it.each([
    ['no claim', {}],
    ['a number', { sub: 5 }],
    ['nothing', { sub: '' }],
    ['a control character', { sub: 'a\nb' }],
    ['a name that objects have', JSON.parse('{"__proto__":"x"}')],
  ])('is nobody with %s', (_, claims) => {
    expect(userOf(claims, rules)).toHaveProperty('why');
  });

  it('is nobody whose email is not verified', () => {
    const byMail = { ...rules, userClaim: 'email' };
    expect(userOf({ email: 'joe@x.test', email_verified: false }, byMail)).toHaveProperty('why');
    expect(userOf({ email: 'joe@x.test', email_verified: true }, byMail)).toHaveProperty('user');
  });

  it.each([
    [{ scope: 'mail.send mail.read' }, true],
    [{ scp: ['mail.send'] }, true],
    [{ scp: 'mail.send' }, true],
    [{ scope: 'mail.sender' }, false],
    [{ scope: ['mail.read', 5] }, false],
    [{}, false],
  ])('needs the scope: %j gives it: %s', (claims, given) => {
    const found = userOf({ sub: 'joe', ...claims }, { ...rules, scope: 'mail.send' });
    expect('user' in found).toBe(given);
  });
});
