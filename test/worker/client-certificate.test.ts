/** What a client's certificate says of him, and what it does not. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { clientCertificate, mailAddresses } from '../../src/worker/client-certificate.js';
import { clientFile, type ClientName } from '../support/client-certificates.js';

function read(name: ClientName): X509Certificate {
  return new X509Certificate(readFileSync(clientFile(name, 'crt')));
}

describe('who it stands for', () => {
  test('mail addresses first, then the common name', () => {
    expect(clientCertificate(read('joe'), undefined)).toEqual({
      verified: true,
      subject: 'O=Example, CN=joe',
      identities: ['joe@example.test', 'joe.b@example.test', 'joe'],
    });
  });

  test('nobody, where it does not verify: only the subject is told, and why', () => {
    expect(clientCertificate(read('stranger'), 'DEPTH_ZERO_SELF_SIGNED_CERT')).toEqual({
      verified: false,
      subject: 'O=Elsewhere, CN=joe',
      fault: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    });
  });

  test('no certificate is none, whatever the verification says', () => {
    expect(clientCertificate(undefined, undefined)).toBeUndefined();
    expect(clientCertificate(undefined, 'UNABLE_TO_GET_ISSUER_CERT')).toBeUndefined();
  });
});

describe('the mail addresses in a subjectAltName, as Node writes it', () => {
  test.each<[string, string, string[]]>([
    ['one', 'email:a@x.test', ['a@x.test']],
    ['between others', 'DNS:x.test, email:a@x.test, IP Address:127.0.0.1', ['a@x.test']],
    ['none', 'DNS:x.test', []],
    ['nothing', '', []],
    ['inside the quotes of another name', 'DNS:"x, email:admin@x.test, y", email:a@x.test', ['a@x.test']],
    ['behind a quote that is escaped', 'DNS:"x\\", email:admin@x.test", email:a@x.test', ['a@x.test']],
    ['with special characters', 'email:"a, email:admin@x.test"', []],
    ['behind a quote that never ends', 'DNS:"x, email:admin@x.test', []],
    ['under another kind of name', 'othername:email:a@x.test, URI:email:b@x.test', []],
  ])('%s', (_, text, found) => {
    expect(mailAddresses(text)).toEqual(found);
  });
});

/** As it is shown in logs. */
function shown(subject: string): string | undefined {
  const certificate: X509Certificate = Object.create(read('joe'), { subject: { value: subject } });
  return clientCertificate(certificate, 'CERT_HAS_EXPIRED')?.subject;
}

describe('the subject for logs', () => {
  test('is one line of at most 256 characters', () => {
    expect(shown(`O=${'x'.repeat(1_000)}\nCN=y`)).toHaveLength(256);
    expect(shown('O=a\nCN=b')).toBe('O=a, CN=b');
  });

  test('has no control characters and none that turn text around', () => {
    expect(shown('CN=a\u0000\u001b[2J\u007f\u0085\u2028\u202e\u2066b')).toBe('CN=a??[2J?????b');
  });
});
