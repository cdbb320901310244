/** The `tls` section of the table (schema.ts): the certificates that listeners show, and what they ask of clients. */
import { choice, listOf, path, section, text } from './fields.js';
import { domainForms, isCipherList } from './formats.js';

const pair = {
  certificate: path().describe('PEM file with the certificate, then its chain.'),
  key: path().describe('PEM file with the private key, without a passphrase.'),
};

// Kinds of key that TLS tells apart: RSA, ECDSA, Ed25519. One is in `certificate`.
const maxAlternatives = 2;

const alternatives = listOf(section(pair), 'certificates', 0, maxAlternatives)
  .prefault([])
  .describe(
    'The same names with another kind of key (RSA beside ECDSA); each client gets the kind that it can use.',
  );

const named = section({
  names: listOf(
    text(
      'a host name such as mx.example.org, or *.example.org',
      (value) => !value.startsWith('[') && domainForms(value).length > 0,
    ),
    'host names',
    1,
    100,
  ).describe('Names that clients ask for (SNI); *.example.org is one label below example.org.'),
  ...pair,
  alternatives,
});

export const tls = section({
  ...pair,
  alternatives,
  // Each one that was asked for is held in memory by every worker and listener, some 20 KiB.
  sni: listOf(named, 'certificates', 0, 1_000)
    .prefault([])
    .describe('Certificates for clients that ask for one of these names; all others get `certificate`.'),
  clientCa: path()
    .optional()
    .describe(
      'PEM file of the authorities that client certificates must come from; for listeners with `clientCertificate`.',
    ),
  minVersion: choice(['TLSv1.2', 'TLSv1.3'])
    .prefault('TLSv1.2')
    .describe('Oldest version that is spoken; older ones than TLSv1.2 never are (RFC 8996).'),
  ciphers: text('an OpenSSL cipher list such as ECDHE+AESGCM:ECDHE+CHACHA20', isCipherList)
    .optional()
    .describe(
      'OpenSSL cipher list, for clients too old for ours. Left out: AEAD with forward secrecy alone, the order of the server.',
    ),
});
