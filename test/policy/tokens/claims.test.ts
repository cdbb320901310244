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

  it.each([
    [undefined, 'user'],
    [true, 'user'],
    ['true', 'user'],
    [false, 'why'],
    ['false', 'why'],
    ['False', 'why'],
    [0, 'why'],
    [null, 'why'],
    ['', 'why'],
  ])('is nobody whose email is not verified: email_verified %j gives a %s', (verified, what) => {
    const claims = {
      email: 'joe@x.test',
      ...(verified === undefined ? {} : { email_verified: verified }),
    };
    expect(userOf(claims, { ...rules, userClaim: 'email' })).toHaveProperty(what);
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
