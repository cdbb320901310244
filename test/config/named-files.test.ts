import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { namedFiles } from '../../src/config/named-files.js';
import { load, smallest, testCertificate, testKey, withTls } from './harness.js';

test('a config without files names none', () => {
  expect(namedFiles(load(smallest))).toEqual([]);
});

test('users, certificates and keys, authorities and words of notifications are named, each once', () => {
  const more = `${smallest.replace("'maildir:./maildir'", 'smtp://10.0.0.5, tls: verified, tlsCa: ca.pem')}${withTls}auth: { users: { file: users.yaml } }\nnotifications: { template: words.txt }\n`;
  const others = {
    'users.yaml': 'users: {}\n',
    'ca.pem': readFileSync(testCertificate, 'utf8'),
    'words.txt': 'x\n',
  };
  const files = namedFiles(load(more, {}, others));
  expect(files.map((file) => basename(file))).toEqual([
    'users.yaml',
    basename(testCertificate),
    basename(testKey),
    'ca.pem',
    'words.txt',
  ]);
});
