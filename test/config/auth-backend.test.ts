/** `auth.backend`: what is told of a wrong one, and what a right one becomes. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.js';
import { configShow } from '../../src/config/show.js';
import { faultsOf, load, smallest, testCertificate, writeConfig } from './harness.js';

const others = {
  'token.txt': 'token-of-sixteen\n',
  'secret.txt': 'secret-of-twenty-char\n',
  'password.txt': 'tiger\n',
  'empty.txt': '\n',
  'ca.pem': readFileSync(testCertificate, 'utf8'),
  'users.yaml': 'users: {}\n',
};

function withBackend(backend: string, more = ''): string {
  return `${smallest}auth: { backend: ${backend}${more} }\n`;
}

describe('a backend', () => {
  const wrong: [backend: string, fault: RegExp, why: string][] = [
    ['nobody', /auth\.backend: found 'nobody', expected users, or a map of dovecot, http or ldap/, 'no such word'],
    ['{}', /found 0 of dovecot, http and ldap, expected one/, 'none'],
    ['{ dovecot: { socket: /run/d }, http: { url: https://a.test/ } }', /found 2 of dovecot, http and ldap, expected one/, 'two'],
    ['{ radius: {} }', /unknown key/, 'another'],
    ['{ dovecot: {} }', /auth\.backend\.dovecot\.socket/, 'no socket'],
    ['{ dovecot: { socket: auth-client } }', /a path, or host:port/, 'neither a path nor a port'],
    ['{ dovecot: { socket: mail.example.test:12345 } }', /no encryption/, 'passwords in the clear (A-102)'],
    ['{ http: { url: ftp://a.test/ } }', /https/, 'no HTTP'],
    ['{ http: { url: http://a.test/ } }', /https, a host that is this machine, or `plaintext: true`/, 'passwords in the clear (A-102)'],
    ['{ http: { url: https://u:p@a.test/ } }', /without a user/, 'a secret that would be shown'],
    ['{ http: { url: https://a.test/, token: short } }', /token: found something else, expected 16 to 256/, 'a secret that could be guessed, not shown'],
    ['{ http: { url: https://a.test/, token: token-of-sixteen, tokenFile: token.txt } }', /expected one of them/, 'two tokens'],
    ['{ http: { url: https://a.test/, secretFile: empty.txt } }', /without a usable secret/, 'a file without one'],
    ['{ http: { url: https://a.test/, ca: users.yaml } }', /no usable certificate/, 'authorities that are none'],
    ['{ http: { url: http://localhost/, ca: ca.pem } }', /there is no certificate/, 'authorities for nothing'],
    ['{ ldap: { url: ldap://d.test, dn: "uid={user},o=x", startTls: false } }', /true, ldaps:\/\/, or `plaintext: true`/, 'passwords in the clear (A-102)'],
    ['{ ldap: { url: ldap://d.test } }', /found neither, expected either `dn` or `search`/, 'nobody to bind as'],
    ['{ ldap: { url: ldap://d.test, dn: "{user}" } }', /a DN with \{user\}/, 'a name that could be that of a mechanism'],
    ['{ ldap: { url: ldap://d.test, dn: "uid={name},o=x" } }', /a DN with \{user\}/, 'no such place'],
    ['{ ldap: { url: ldap://d.test, search: { base: o=x, filter: "mail={user}" } } }', /a filter with \{user\}/, 'no filter'],
    ['{ ldap: { url: ldap://d.test, search: { base: o=x, filter: "(mail={user})", bindDn: cn=p } } }', /found neither, expected either `password` or `passwordFile`/, 'a bind without a password would be one as nobody'],
    ['{ ldap: { url: ldap://d.test, search: { base: o=x, filter: "(mail={user})", password: tiger } } }', /found a password without `bindDn`/, 'a password of nobody'],
    ['{ ldap: { url: https://d.test, dn: "uid={user},o=x" } }', /ldap:\/\/host:port or ldaps:\/\/host:port/, 'no directory'],
  ]; // prettier-ignore
  test.each(wrong)('%s is wrong: %s', (backend, fault) => {
    expect(faultsOf(withBackend(backend), {}, others).join('\n')).toMatch(fault);
  });

  test.each([
    [
      '[SCRAM-SHA-256]',
      /auth\.mechanisms: found none that `auth\.backend` can be asked with, expected PLAIN or LOGIN/,
    ],
    ['[SCRAM-SHA-256, CRAM-MD5]', /expected PLAIN or LOGIN/],
  ])('with the mechanisms %s would be asked by nobody', (mechanisms, fault) => {
    const yaml = withBackend('{ dovecot: { socket: /run/d } }', `, mechanisms: ${mechanisms}`);
    expect(faultsOf(yaml, {}, others).join('\n')).toMatch(fault);
  });

  test.each([
    ['http: { url: "https://me:hush@a.test/" }', 'https://…@a.test/'],
    ['http: { url: "https://me:hu/sh@b@a.test/" }', 'https://…@a.test/'],
    ['ldap: { url: "ldap://me:hush@d.test", dn: "uid={user},o=x" }', 'ldap://…@d.test'],
    ['http: { url: "http://a.test/?key=hush" }', 'http://a.test/?…'],
  ])('{ %s }: the password or query in a URL is not shown', (backend, shown) => {
    const faults = faultsOf(withBackend(`{ ${backend} }`), {}, others).join('\n');
    expect(faults).toContain(`'${shown}'`);
    expect(faults).not.toMatch(/hush|me:/);
  });

  test('stands alone: a users file beside it would not be asked', () => {
    const yaml = withBackend('{ dovecot: { socket: /run/d } }', ', users: { file: users.yaml }');
    expect(faultsOf(yaml, {}, others).join('\n')).toMatch(/expected one of the two/);
  });

  const bounds = { timeoutMs: 10_000, concurrent: 20, waiting: 500, plaintext: false };
  const right: [backend: string, resolved: object][] = [
    ['{ dovecot: { socket: /run/dovecot/auth-client } }', { kind: 'dovecot', target: { path: '/run/dovecot/auth-client' }, service: 'smtp', ...bounds }],
    ["{ dovecot: { socket: '[::1]:99', timeout: 3s, concurrent: 7, waiting: 0 } }", { kind: 'dovecot', target: { host: '::1', port: 99 }, service: 'smtp', timeoutMs: 3_000, concurrent: 7, waiting: 0, plaintext: false }],
    ['{ http: { url: "http://[::1]:8080/check", tokenFile: token.txt, secretFile: secret.txt } }', { kind: 'http', url: 'http://[::1]:8080/check', ca: undefined, token: 'token-of-sixteen', secret: 'secret-of-twenty-char', ...bounds }],
    ['{ http: { url: http://auth.test/, plaintext: true } }', { kind: 'http', url: 'http://auth.test/', ca: undefined, token: undefined, secret: undefined, ...bounds, plaintext: true }],
    ['{ ldap: { url: ldap://d.test, dn: "uid={local},ou={domain},o=x" } }', { kind: 'ldap', secure: false, host: 'd.test', port: 389, startTls: true, ca: undefined, find: { dn: 'uid={local},ou={domain},o=x' }, ...bounds }],
    ['{ ldap: { url: ldaps://d.test, search: { base: o=x, filter: "(mail={user})", bindDn: cn=p, passwordFile: password.txt } } }', { kind: 'ldap', secure: true, host: 'd.test', port: 636, startTls: true, ca: undefined, find: { search: { base: 'o=x', filter: '(mail={user})', account: { dn: 'cn=p', password: 'tiger' } } }, ...bounds }],
  ]; // prettier-ignore
  test.each(right)(
    '%s is understood, and shown as what loads to the same but for secrets',
    (backend, resolved) => {
      const { auth } = load(withBackend(backend), {}, others);
      expect(auth.backend).toEqual(resolved);
      const shown = configShow(load(withBackend(backend), {}, others));
      expect(shown).not.toMatch(/token-of-sixteen|secret-of-twenty|tiger/);
      if (!shown.includes('not shown')) expect(loadConfig(writeConfig(shown), {}).auth).toEqual(auth);
    },
  );

  test('makes users able to log in on a submission listener', () => {
    const submission =
      '\nlisteners:\n  - { name: sub, address: 127.0.0.1, port: 587, role: submission, route: disk, tls: required }\n';
    const yaml = `${smallest.replace(/\nlisteners:\n.*\n/, submission)}tls: { certificate: ca.pem, key: key.pem }\nauth: { backend: { dovecot: { socket: /run/d } } }\n`;
    const key = readFileSync(testCertificate.replace(/crt$/, 'key'), 'utf8');
    expect(load(yaml, {}, { ...others, 'key.pem': key }).auth.backend).toMatchObject({ kind: 'dovecot' });
  });
});
