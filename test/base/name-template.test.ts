import { describe, expect, it } from 'vitest';
import { literalPart, parseNameTemplate } from '../../src/base/name-template.js';

const bracket = (text: string): string => `[${text}]`;

describe('a template with a name', () => {
  const table: [template: string, user: string, filled: string | undefined, why: string][] = [
    ['uid={user},dc=x', 'a@b', 'uid=[a@b],dc=x', 'the whole name'],
    ['uid={local},o={domain}', 'a@b@c', 'uid=[a@b],o=[c]', 'its parts, at the last @'],
    ['uid={local}', 'a', 'uid=[a]', 'one without a domain is all local'],
    ['uid={local},o={domain}', 'a', undefined, 'no domain for it'],
    ['uid={local}', '@b', undefined, 'no local part for it'],
    ['uid={user}{user}', '{user}', 'uid=[{user}][{user}]', 'what is filled in is not read again'],
    ['uid={user}', '$&$1', 'uid=[$&$1]', 'nor taken for a pattern of replacement'],
  ];
  it.each(table)('%s for %s is %s: %s', (template, user, filled) => {
    expect(parseNameTemplate(template)?.fill(user, bracket)).toBe(filled);
  });

  it.each(['uid=x', 'o={domain}', 'uid={name}', 'uid={user', 'uid={user}}', 'uid={user}\0'])(
    '%j is none',
    (template) => {
      expect(parseNameTemplate(template)).toBeUndefined();
    },
  );

  it('has a part that is not the user', () => {
    expect(literalPart('{user}')).toBe('');
    expect(literalPart('uid={user},o={domain}')).toBe('uid=,o=');
  });
});
