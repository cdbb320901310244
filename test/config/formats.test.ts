import { describe, expect, test } from 'vitest';
import {
  domainForms,
  isDnsServer,
  hiddenSecret,
  isDomain,
  isLocalPart,
  isLoginText,
  isMailAddress,
  isOpenWildcard,
  isReplyFilter,
  isToken,
  parseFingerprint,
  parseHop,
  parseNetworkHop,
} from '../../src/config/formats.js';

describe('next hops', () => {
  test.each([
    ['smtp://10.0.0.5:25', { kind: 'smtp', host: '10.0.0.5', port: 25, priority: 0, weight: 1 }],
    ['smtp://mail.example.org', { kind: 'smtp', host: 'mail.example.org', port: 25, priority: 0, weight: 1 }],
    ['lmtp://127.0.0.1', { kind: 'lmtp', host: '127.0.0.1', port: 24, priority: 0, weight: 1 }],
    ['smtp://[2001:db8::1]:2525', { kind: 'smtp', host: '2001:db8::1', port: 2525, priority: 0, weight: 1 }],
    ['lmtp://[::1]', { kind: 'lmtp', host: '::1', port: 24, priority: 0, weight: 1 }],
    [
      'smtp://mail.example.org/',
      { kind: 'smtp', host: 'mail.example.org', port: 25, priority: 0, weight: 1 },
    ],
    ['lmtp://mail_store:24', { kind: 'lmtp', host: 'mail_store', port: 24, priority: 0, weight: 1 }],
    ['maildir:./maildir', { kind: 'maildir', path: './maildir' }],
    ['maildir:/var/mail/all', { kind: 'maildir', path: '/var/mail/all' }],
    ['mx', { kind: 'mx', port: 25 }],
    ['mx:2525', { kind: 'mx', port: 2525 }],
  ])('%s', (text, hop) => {
    expect(parseHop(text)).toEqual(hop);
  });

  test.each([
    ['10.0.0.5:25', 'no scheme'],
    ['smtp:10.0.0.5', 'no slashes'],
    ['smtps://mail.example.org', 'no such kind'],
    ['smtp://', 'no host'],
    ['smtp://2001:db8::1', 'an IPv6 address without brackets: where would the port begin?'],
    ['smtp://[mail.example.org]:25', 'a name in brackets'],
    ['smtp://10.0.0.5:0', 'port 0'],
    ['smtp://10.0.0.5:65536', 'a port beyond 16 bits'],
    ['smtp://10.0.0.5:smtp', 'a port by name'],
    ['smtp://10.0.0.300', 'no address, and no name either: its last label is a number'],
    ['smtp://user:secret@mail.example.org', 'credentials, which there is no support for'],
    ['smtp://mail.example.org/path', 'a path'],
    ['smtp://mail example.org', 'a space'],
    ['mx:', 'no port'],
    ['mx:0', 'port 0'],
    ['mx:65536', 'a port beyond 16 bits'],
    ['mx://example.org', 'a host: the recipient names it'],
    ['MX', 'the word is in lower case, as the others'],
    ['maildir:', 'no path'],
    ['maildir://var/mail', 'slashes as of a URL'],
  ])('%s is none: %s', (text) => {
    expect(parseHop(text)).toBeUndefined();
  });
});

describe('domains', () => {
  test.each([
    ['example.org', ['example.org']],
    ['Example.ORG', ['example.org']],
    ['localhost', ['localhost']],
    ['*.example.org', ['*.example.org']],
    ['bücher.example', ['bücher.example', 'xn--bcher-kva.example']],
    ['xn--bcher-kva.example', ['bücher.example', 'xn--bcher-kva.example']],
    ['*.BÜCHER.example', ['*.bücher.example', '*.xn--bcher-kva.example']],
    ['[192.0.2.1]', ['[192.0.2.1]']],
    ['[IPv6:2001:DB8::1]', ['[ipv6:2001:db8::1]']],
  ])('%s is written %j by clients', (text, forms) => {
    expect(domainForms(text)).toEqual(forms);
  });

  test.each([
    ['', 'nothing'],
    ['.example.org', 'an empty label'],
    ['example..org', 'an empty label'],
    ['example.org.', 'a dot at the end, which addresses do not have'],
    ['exa mple.org', 'a space'],
    ['example.org:25', 'a port'],
    ['example.org/x', 'a path'],
    ['user@example.org', 'an address'],
    ['-example.org', 'a hyphen in front'],
    ['foo.*.example.org', 'a star in the middle'],
    ['*', 'a star alone'],
    ['192.0.2.1', 'an address without brackets'],
    ['[192.0.2]', 'no address in the brackets'],
    [`${'a'.repeat(64)}.org`, 'a label of 64'],
    [`${'a.'.repeat(126)}org`, 'more than 253 in all'],
  ])('%j is none: %s', (text) => {
    expect(domainForms(text)).toEqual([]);
  });

  test('253 characters are a domain, 254 are not', () => {
    const longest = `${'a'.repeat(61)}.`.repeat(4).slice(0, -1) + '.orgxx';
    expect(longest).toHaveLength(253);
    expect(isDomain(longest)).toBe(true);
    expect(isDomain(`${longest}x`)).toBe(false);
  });

  test.each(['*', '*.*', '*.', '*.com', '*.org', '*.xn--p1ai', '*.рф', '*.COM'])(
    '%s would be an open relay',
    (text) => {
      expect(isOpenWildcard(text)).toBe(true);
    },
  );

  test.each(['*.example.org', '*.test', '*.internal', '*.localhost', 'example.org', 'com'])(
    '%s is no open wildcard',
    (text) => {
      expect(isOpenWildcard(text)).toBe(false);
    },
  );
});

test.each([
  ['127.0.0.2', true, 'one address'],
  ['127.0.0.[2..11]', true, 'a range'],
  ['127.[0..255].[1,3,5].[1..2,9]', true, 'ranges and lists together'],
  ['127.0.0.[11..2]', false, 'a range backwards'],
  ['127.0.0.256', false, 'no octet'],
  ['127.0.0', false, 'three octets'],
  ['127.0.0.[2', false, 'an open bracket'],
  ['127.0.0.[]', false, 'an empty list'],
  ['127.0.0.[1..2..3]', false, 'a range of three'],
  ['127.0.0.*', false, 'a star'],
  ['10.0.0.2', false, 'A-120: outside 127, which no list answers with'],
  ['[127].0.0.2', false, 'A-120: the first octet is a number, so that it cannot be another'],
])('reply filter %s: %s (%s)', (text, accepted) => {
  expect(isReplyFilter(text)).toBe(accepted);
});

test.each([
  ['127.0.0.1', true],
  ['127.0.0.1:5353', true],
  ['::1', true],
  ['[::1]:53', true],
  ['localhost', false],
  ['127.0.0.1:0', false],
  ['127.0.0.1:dns', false],
])('DNS server %s: %s', (text, accepted) => {
  expect(isDnsServer(text)).toBe(accepted);
});

test.each([
  ['joe@example.org', true],
  ['a.b+c@bücher.example', true],
  ['jöe@example.org', true],
  ['joe', false],
  ['@example.org', false],
  ['joe@', false],
  ['joe smith@example.org', false],
  ['<joe@example.org>', false],
  ['.joe@example.org', false],
])('mail address %s: %s', (text, accepted) => {
  expect(isMailAddress(text)).toBe(accepted);
});

test('a local part has at most 64 octets, counted in UTF-8 (RFC 5321 §4.5.3.1.1)', () => {
  expect(isLocalPart('a'.repeat(64))).toBe(true);
  expect(isLocalPart('a'.repeat(65))).toBe(false);
  expect(isLocalPart('ö'.repeat(33))).toBe(false);
});

test.each([
  ['0123456789abcdef', true, 'sixteen'],
  ['0123456789abcde', false, 'fifteen'],
  ['0123456789 abcdef', false, 'a space would end it in a header'],
  ['0123456789abcdéf', false, 'not ASCII'],
])('token %s: %s (%s)', (text, accepted) => {
  expect(isToken(text)).toBe(accepted);
});

describe('a next hop that shares with others', () => {
  test.each(['maildir:x', 'mx', 'mx:2525'])('is not %s', (text) => {
    expect(parseNetworkHop(text)).toBeUndefined();
  });
});

describe('names and passwords of a login (RFC 4616 §2)', () => {
  test.each([
    ['joe', true, 'a name'],
    ['größe und mehr', true, 'UTF-8 and spaces'],
    ['x'.repeat(255), true, '255 octets'],
    ['', false, 'nothing'],
    ['x'.repeat(256), false, '256 octets'],
    ['ü'.repeat(128), false, '256 octets in 128 characters'],
    ['a\0b', false, 'a NUL'],
    ['a\nb', false, 'a second line'],
    [hiddenSecret, false, 'what `config show` prints in its place'],
  ])('%j: %s, %s', (text, accepted) => {
    expect(isLoginText(text)).toBe(accepted);
  });
});

describe('fingerprints', () => {
  const hex = '0123456789abcdef'.repeat(4);
  const colons = hex.replaceAll(/(..)(?!$)/g, '$1:');

  test.each<[string, string | undefined, string]>([
    [hex, hex, 'digits'],
    [hex.toUpperCase(), hex, 'in upper case'],
    [colons, hex, 'with colons'],
    [colons.toUpperCase(), hex, 'as openssl prints it'],
    [hex.slice(1), undefined, 'a digit less'],
    [`${hex}0`, undefined, 'a digit more'],
    [hex.replace('f', 'g'), undefined, 'no digit'],
    [colons.replace(':', ''), undefined, 'a colon less'],
    [`sha256:${hex}`, undefined, 'a prefix'],
  ])('%s → %s: %s', (text, wanted) => {
    expect(parseFingerprint(text)).toBe(wanted);
  });
});
