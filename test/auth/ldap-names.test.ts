import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeDnValue, escapeFilterValue } from '../../src/auth/ldap-names.js';

/** All of Unicode, and more often what is syntax somewhere. */
const unit = fc.oneof(
  fc.constantFrom(' ', ',', '+', '"', '\\', '<', '>', ';', '=', '#', '*', '(', ')', '\0', '{', '}'),
  fc.nat(0x10_ff_ff).map((codePoint) => String.fromCodePoint(codePoint)),
);

describe('a name in a DN (RFC 4514)', () => {
  const table: [name: string, escaped: string][] = [
    ['alice', 'alice'],
    ['alice@example.org', 'alice@example.org'],
    ['a,dc=evil', 'a\\2cdc\\3devil'],
    ['a+uid=admin', 'a\\2buid\\3dadmin'],
    [' #"\\<>;', '\\20\\23\\22\\5c\\3c\\3e\\3b'],
    ['é', '\\c3\\a9'],
    ['\0', '\\00'],
    ['😀', '\\f0\\9f\\98\\80'],
  ];
  it.each(table)('%j becomes %j', (name, escaped) => {
    expect(escapeDnValue(name)).toBe(escaped);
  });

  it('has no syntax in it, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit }), (name) => {
        expect(escapeDnValue(name)).toMatch(/^(?:[A-Za-z0-9._@-]|\\[0-9a-f]{2})*$/);
      }),
    );
  });
});

describe('a name in a filter (RFC 4515)', () => {
  const table: [name: string, escaped: string][] = [
    ['alice', 'alice'],
    ['*', '\\2a'],
    ['a)(uid=*', 'a\\29\\28uid\\3d\\2a'],
    ['\\2a', '\\5c2a'],
    ['\0', '\\00'],
    ['é', 'é'],
  ];
  it.each(table)('%j becomes %j', (name, escaped) => {
    expect(escapeFilterValue(name)).toBe(escaped);
  });

  it('has no syntax in it, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit }), (name) => {
        expect(escapeFilterValue(name)).toMatch(/^(?:[A-Za-z0-9._@-]|\\[0-9a-f]{2}|[^\0-\x7f])*$/); // oxlint-disable-line no-control-regex -- all of ASCII but these
      }),
    );
  });
});
