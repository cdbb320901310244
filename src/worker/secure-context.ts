/**
 * What TLS is made of: the PEM files that the config names, read once when the worker opens, and contexts of them. A
 * reload replaces workers, so what was read never changes under a session. Who gets which context: tls-door.ts.
 */
import { constants, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { PosternError, describeError } from '../base/errors.js';
import type { CertificatePair, ServerCertificate, TlsConfig } from '../config/config.js';

/** A certificate with its key, and those beside it with keys of other kinds. */
export interface CertificateMaterial {
  readonly cert: readonly Buffer[];
  readonly key: readonly Buffer[];
}

export interface TlsMaterial {
  readonly preset: CertificateMaterial;
  readonly named: readonly (CertificateMaterial & { readonly names: readonly string[] })[];
  readonly clientCa: Buffer | undefined;
  readonly minVersion: TlsConfig['minVersion'];
  readonly ciphers: string;
  /** When the first of each use ends: 'default', 'sni', 'client-ca'. */
  readonly expiresAtMs: ReadonlyMap<string, number>;
}

/** What differs between listeners. */
interface ContextOptions {
  /** Of whom client certificates are asked: then the authorities matter. */
  readonly clientCa: Buffer | undefined;
  /** At most 32 characters: a session is taken up again only where this is the same. */
  readonly sessionIdContext: string;
  /** 48 bytes. */
  readonly ticketKeys: Buffer;
}

// AEAD and forward secrecy alone. The order is the server's, so that AES comes first where it is fast; clients without
// AES in hardware put ChaCha20 first, and SSL_OP_PRIORITIZE_CHACHA follows them.
const ourCiphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

// The hybrid with ML-KEM keeps what is recorded today from a quantum computer of tomorrow; OpenSSL knows it from 3.5 on.
const classicGroups = 'X25519:prime256v1:secp384r1';
const groups = isUsable(`X25519MLKEM768:${classicGroups}`)
  ? `X25519MLKEM768:${classicGroups}`
  : classicGroups;

function isUsable(ecdhCurve: string): boolean {
  try {
    createSecureContext({ ecdhCurve });
    return true;
  } catch {
    return false;
  }
}

// Renegotiation is an old way to burn our CPU; nobody needs it.
const secureOptions = constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_PRIORITIZE_CHACHA;

/** @throws PosternError TLS_UNUSABLE with the files named */
export function readTlsMaterial(tls: TlsConfig): TlsMaterial {
  const preset = readCertificate(tls);
  const named = tls.sni.map((one) => ({ names: one.names, ...readCertificate(one) }));
  const clientCa = tls.clientCa === undefined ? undefined : readCa(tls.clientCa);
  return {
    preset,
    named,
    clientCa,
    expiresAtMs: new Map([
      ...firstEnd('default', preset.cert),
      ...firstEnd(
        'sni',
        named.flatMap(({ cert }) => cert),
      ),
      ...firstEnd('client-ca', clientCa === undefined ? [] : [clientCa]),
    ]),
    minVersion: tls.minVersion,
    ciphers: tls.ciphers ?? ourCiphers,
  };
}

export function openContext(
  material: TlsMaterial,
  { cert, key }: CertificateMaterial,
  { clientCa, sessionIdContext, ticketKeys }: ContextOptions,
): SecureContext {
  const options: SecureContextOptions = {
    cert: [...cert],
    key: [...key],
    minVersion: material.minVersion,
    ciphers: material.ciphers,
    ecdhCurve: groups,
    honorCipherOrder: true,
    secureOptions,
    sessionIdContext,
    ticketKeys,
  };
  if (clientCa !== undefined) options.ca = clientCa;
  return createSecureContext(options);
}

/** Nothing where there are none. Of a chain or a list it looks at the first. */
function firstEnd(use: string, pems: readonly Buffer[]): [string, number][] {
  const ends = pems.map((pem) => Date.parse(new X509Certificate(pem).validTo));
  return ends.length === 0 ? [] : [[use, Math.min(...ends)]];
}

function readCertificate({ alternatives, ...pair }: ServerCertificate): CertificateMaterial {
  const pairs = [pair, ...alternatives].map(readPair);
  return { cert: pairs.map(({ cert }) => cert), key: pairs.map(({ key }) => key) };
}

/** The config check made a context of each; that they fit is looked at again, since files change: a renewal may be half done. */
function readPair({ certificate, key: keyFile }: CertificatePair): { cert: Buffer; key: Buffer } {
  try {
    const cert = readFileSync(certificate);
    const key = readFileSync(keyFile);
    if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
      throw new Error('the key does not fit the certificate');
    return { cert, key };
  } catch (error) {
    throw new PosternError(
      'TLS_UNUSABLE',
      `TLS cannot use certificate ${certificate} with key ${keyFile}: ${describeError(error)}. ` +
        'Check that both files exist, are readable by this user and belong together.',
      error,
    );
  }
}

function readCa(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new PosternError(
      'TLS_UNUSABLE',
      `TLS cannot use the client authorities in ${file}: ${describeError(error)}. Check that it is readable by this user.`,
      error,
    );
  }
}
