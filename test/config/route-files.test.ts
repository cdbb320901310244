import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { faultsOf, load, smallest, temporaryFolder, testCertificate } from './harness.js';

const certificate = readFileSync(testCertificate, 'utf8');
const withCa = `${smallest}  office: { to: smtp://10.0.0.5, tls: verified, tlsCa: ca.pem }\n`;
const withPassword = `${smallest}  office: { to: smtp://10.0.0.5, tls: required, auth: { user: u, passwordFile: p.txt } }\n`;

describe('certificate authorities', () => {
  test('are named by the whole path', () => {
    const file = join(temporaryFolder(), 'none.pem');
    expect(load(withCa, {}, { 'ca.pem': certificate }).routes['office']?.tlsCa).toMatch(/^\/.*\/ca\.pem$/);
    expect(faultsOf(withCa.replace('ca.pem', file))).toHaveLength(1);
  });

  test('may be several, with words between', () => {
    expect(() => load(withCa, {}, { 'ca.pem': `one\n${certificate}two\n${certificate}` })).not.toThrow();
  });

  test.each<[string, Record<string, string>, RegExp]>([
    ['that are not there', {}, /found a file that cannot be read \(ENOENT.*\), expected a PEM file/],
    ['that are none', { 'ca.pem': 'x' }, /found a file that holds no usable certificate \(there is none\)/],
    [
      'of which the second is damaged, which TLS would skip',
      { 'ca.pem': certificate + certificate.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA') },
      /found a file that holds no usable certificate \(/,
    ],
  ])('%s are refused', (_, files, fault) => {
    expect(faultsOf(withCa, {}, files)).toEqual([expect.stringMatching(fault)]);
    expect(faultsOf(withCa, {}, files)[0]).toMatch(/^postern\.yaml:8:56: routes\.office\.tlsCa: /);
  });
});

describe('a password file', () => {
  test.each([
    ['geheim\n', 'geheim'],
    ['geheim\r\n', 'geheim'],
    ['geheim', 'geheim'],
    [' ge heim \n', ' ge heim '],
    ['größe\n', 'größe'],
  ])('%j holds the password %j', (text, password) => {
    expect(load(withPassword, {}, { 'p.txt': text }).routes['office']?.auth).toEqual({ user: 'u', password });
  });

  test.each<[string, Record<string, string>, string]>([
    ['that is not there', {}, 'found a file that cannot be read (ENOENT'],
    ['that is empty', { 'p.txt': '\n' }, 'found a file without a usable password'],
    ['of two lines', { 'p.txt': 'geheim\ngeheim\n' }, 'found a file without a usable password'],
    ['with a NUL', { 'p.txt': 'ge\0heim' }, 'found a file without a usable password'],
    ['that is too long', { 'p.txt': 'x'.repeat(259) }, 'found a file of 259 bytes, expected at most 258'],
    ['one octet too long', { 'p.txt': 'x'.repeat(256) }, 'found a file without a usable password'],
  ])('%s is refused, and not repeated', (_, files, fault) => {
    const told = faultsOf(withPassword, {}, files);
    expect(told).toEqual([
      expect.stringContaining(`postern.yaml:8:80: routes.office.auth.passwordFile: ${fault}`),
    ]);
    expect(told.join()).not.toContain('geheim');
  });
});
