import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.js';
import { faultsOf, smallest, testCertificate, testKey, writeConfig } from './harness.js';

const certificate = readFileSync(testCertificate, 'utf8');
const key = readFileSync(testKey, 'utf8');
const tls = `${smallest}tls:\n  certificate: a.crt\n  key: a.key\n`;

function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function lockedKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' })
    .toString();
}

describe('certificate and key', () => {
  test('that fit are accepted, their paths start at the folder of the config', () => {
    const file = writeConfig(tls, { 'a.crt': certificate, 'a.key': key });
    expect(loadConfig(file, {}).tls).toMatchObject({
      certificate: `${dirname(file)}/a.crt`,
      key: `${dirname(file)}/a.key`,
    });
  });

  test.each<[string, Record<string, string>, RegExp[]]>([
    [
      'that are not there',
      {},
      [
        /^postern\.yaml:9:16: tls\.certificate: found a file that cannot be read \(ENOENT.*\), expected a PEM file that this user may read$/,
        /^postern\.yaml:10:8: tls\.key: found a file that cannot be read \(ENOENT.*\), expected a PEM file/,
      ],
    ],
    [
      'that do not fit',
      { 'a.crt': certificate, 'a.key': newKey() },
      [
        /^postern\.yaml:10:8: tls\.key: found a key that does not fit the certificate \(.*\), expected the key that a\.crt was made with$/,
      ],
    ],
    [
      'that are in each other’s place',
      { 'a.crt': key, 'a.key': certificate },
      [
        /^postern\.yaml:9:16: tls\.certificate: found a file that holds no usable certificate \(.*\), expected PEM: BEGIN CERTIFICATE$/,
        /^postern\.yaml:10:8: tls\.key: found a file that holds no usable key \(.*\), expected PEM without a passphrase: BEGIN PRIVATE KEY$/,
      ],
    ],
    [
      'of which the key has a passphrase',
      { 'a.crt': certificate, 'a.key': lockedKey() },
      [/^postern\.yaml:10:8: tls\.key: found a file that holds no usable key/],
    ],
  ])('%s are refused', (_, files, faults) => {
    expect(faultsOf(tls, {}, files)).toEqual(faults.map((fault) => expect.stringMatching(fault)));
  });
});

test('a users file that is not there is told with the command that makes it', () => {
  const file = writeConfig(`${smallest}auth: { users: { file: users.yaml } }\n`);
  expect(() => loadConfig(file, {})).toThrow(
    `auth.users.file: found a file that cannot be read (ENOENT: no such file or directory, access '${dirname(file)}/users.yaml'), expected one made by \`postern users add NAME --config ${file}\``,
  );
});

test.each<[string, Record<string, string>, string]>([
  ['that is not there', {}, 'found a file that cannot be read (ENOENT'],
  [
    'that nobody would read',
    { 'w.txt': 'x'.repeat(65_537) },
    'found a file of 65537 bytes, expected at most 65536',
  ],
])('words of notifications %s are told', (_, files, fault) => {
  expect(faultsOf(`${smallest}notifications: { template: w.txt }\n`, {}, files)).toEqual([
    expect.stringContaining(`postern.yaml:8:28: notifications.template: ${fault}`),
  ]);
});

test('a recipients file that is not there is told', () => {
  const yaml = smallest.replace('route: disk', 'recipients: { file: none.txt }, route: disk');
  expect(faultsOf(yaml)).toEqual([
    expect.stringMatching(
      /^postern\.yaml:5:50: domains\[0\]\.recipients\.file: found a file that cannot be read \(ENOENT.*\), expected a text file with one address a line$/,
    ),
  ]);
});

test('a certificate that is a fault elsewhere does not hide other faults', () => {
  expect(faultsOf(`${tls}workers: 0\n`)).toHaveLength(3);
});
