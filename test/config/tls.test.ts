/** The `tls` section: several certificates, and the authorities of clients. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.js';
import { faultsOf, root, smallest, testCertificate, testKey, writeConfig } from './harness.js';

const read = (name: string): string => readFileSync(join(root, 'test/support/tls', name), 'utf8');
const files = {
  'a.crt': readFileSync(testCertificate, 'utf8'),
  'a.key': readFileSync(testKey, 'utf8'),
  'rsa.crt': read('names/localhost-rsa.crt'),
  'rsa.key': read('names/localhost-rsa.key'),
  'other.crt': read('names/other.crt'),
  'other.key': read('names/other.key'),
  'authority.crt': read('clients/authority.crt'),
};
const main = 'certificate: a.crt, key: a.key';
const other = 'certificate: other.crt, key: other.key';
const rsa = 'certificate: rsa.crt, key: rsa.key';

/** @param listener more keys of the only listener */
function withTls(tls: string, listener = ''): string {
  return `${smallest.replace('port: 2525', `port: 2525${listener}`)}tls: { ${main}${tls} }\n`;
}

function faults(tls: string, listener = '', others: Readonly<Record<string, string>> = {}): string[] {
  return faultsOf(withTls(tls, listener), {}, { ...files, ...others });
}

describe('several certificates', () => {
  test('by name, with another kind of key beside', () => {
    const yaml = withTls(
      `, sni: [{ names: [Other.test, '*.bücher.test'], ${other}, alternatives: [{ ${rsa} }] }, { names: [x.test], ${rsa} }], alternatives: [{ ${rsa} }]`,
    );
    const file = writeConfig(yaml, files);
    const at = (name: string): string => join(dirname(file), name);
    expect(loadConfig(file, {}).tls).toEqual({
      certificate: at('a.crt'),
      key: at('a.key'),
      alternatives: [{ certificate: at('rsa.crt'), key: at('rsa.key') }],
      sni: [
        {
          names: ['other.test', '*.xn--bcher-kva.test'],
          certificate: at('other.crt'),
          key: at('other.key'),
          alternatives: [{ certificate: at('rsa.crt'), key: at('rsa.key') }],
        },
        // Of a kind that the certificate for all does not need to have.
        { names: ['x.test'], certificate: at('rsa.crt'), key: at('rsa.key'), alternatives: [] },
      ],
      clientCa: undefined,
      minVersion: 'TLSv1.2',
      ciphers: undefined,
    });
  });

  test.each<[string, string, RegExp]>([
    [
      'a file that is not there',
      ', sni: [{ names: [x.test], certificate: no.crt, key: other.key }]',
      /tls\.sni\[0\]\.certificate: found a file that cannot be read \(ENOENT.*\), expected a PEM file that this user may read$/,
    ],
    [
      'a key of another certificate',
      ', sni: [{ names: [x.test], certificate: other.crt, key: a.key }]',
      /tls\.sni\[0\]\.key: found a key that does not fit the certificate \(.*\), expected the key that other\.crt was made with$/,
    ],
    [
      'an EC key beside an RSA certificate, which OpenSSL itself takes',
      ', sni: [{ names: [x.test], certificate: rsa.crt, key: a.key }]',
      /tls\.sni\[0\]\.key: found a key that does not fit the certificate, expected the key that rsa\.crt was made with$/,
    ],
    [
      'an RSA key beside an EC certificate',
      ', sni: [{ names: [x.test], certificate: other.crt, key: rsa.key }]',
      /tls\.sni\[0\]\.key: found a key that does not fit the certificate, expected the key that other\.crt was made with$/,
    ],
    [
      'an alternative with the same kind of key, which would take its place',
      `, alternatives: [{ ${other} }]`,
      /tls\.alternatives\[0\]\.certificate: found another certificate with an ECDSA key, expected another kind than `certificate` has$/,
    ],
    [
      'an alternative of a name with the same kind of key',
      `, sni: [{ names: [x.test], ${other}, alternatives: [{ ${main} }] }]`,
      /tls\.sni\[0\]\.alternatives\[0\]\.certificate: found another certificate with an ECDSA key, expected another kind than `certificate` has$/,
    ],
    [
      'a name that two certificates have',
      `, sni: [{ names: [x.test], ${other} }, { names: [y.test, X.test], ${other} }]`,
      /tls\.sni\[1\]\.names\[1\]: found 'X\.test', expected each name once: tls\.sni\[0\]\.names\[0\] has this one$/,
    ],
    [
      'an address in place of a name',
      `, sni: [{ names: ['[127.0.0.1]'], ${other} }]`,
      /tls\.sni\[0\]\.names\[0\]: found '\[127\.0\.0\.1\]', expected a host name such as mx\.example\.org, or \*\.example\.org$/,
    ],
    [
      'ciphers that nobody knows',
      ', ciphers: NOSUCH',
      /tls\.ciphers: found 'NOSUCH', expected ciphers that OpenSSL knows \(.*\): `openssl ciphers` lists them$/,
    ],
    [
      'an old version',
      ', minVersion: TLSv1.1',
      /tls\.minVersion: found 'TLSv1\.1', expected one of TLSv1\.2, TLSv1\.3$/,
    ],
  ])('%s', (_, tls, fault) => {
    expect(faults(tls)).toEqual([expect.stringMatching(fault)]);
  });
});

describe('client certificates', () => {
  const ca = ', clientCa: authority.crt';

  test.each(['ask', 'require'])('%s, with authorities', (wanted) => {
    const yaml = withTls(ca, `, tls: required, clientCertificate: ${wanted}`);
    const file = writeConfig(yaml, files);
    const config = loadConfig(file, {});
    expect(config.tls?.clientCa).toBe(join(dirname(file), 'authority.crt'));
    expect(config.listeners[0]?.clientCertificate).toBe(wanted);
  });

  test.each<[string, string, string, RegExp]>([
    [
      'without authorities',
      '',
      ', clientCertificate: ask',
      /listeners\[0\]\.clientCertificate: found 'ask' without authorities, expected `clientCa: FILE` under `tls`/,
    ],
    [
      'authorities that no listener asks for',
      ca,
      '',
      /tls\.clientCa: found it, but no listener asks for certificates, expected `clientCertificate: ask` or `require` on one$/,
    ],
    [
      'required where a client may stay without TLS',
      ca,
      ', clientCertificate: require',
      /listeners\[0\]\.clientCertificate: found 'require', expected ask, or `tls: required` beside it/,
    ],
    [
      'where there is no TLS',
      ca,
      ', tls: off, clientCertificate: ask',
      /listeners\[0\]\.clientCertificate: found 'ask', expected off: without TLS no client shows a certificate$/,
    ],
    [
      'authorities in a file without any',
      ', clientCa: a.key',
      ', clientCertificate: ask',
      /tls\.clientCa: found a file that holds no usable certificate \(there is none\), expected PEM: BEGIN CERTIFICATE$/,
    ],
  ])('%s', (_, tls, listener, fault) => {
    expect(faults(tls, listener)).toEqual([expect.stringMatching(fault)]);
  });
});
