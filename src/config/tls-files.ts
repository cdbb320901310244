/** The files that `tls` names: certificates, keys, authorities of clients. Looked at when the config is loaded, so that
 *  a wrong one is told then and not at the first handshake. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { describeError } from '../base/errors.js';
import type { Parts } from './checks.js';
import type { Path } from './faults.js';
import { readPem } from './files.js';
import { checkCa } from './route-files.js';
import type { FaultList } from './validate.js';

interface FilePair {
  readonly certificate: string;
  readonly key: string;
}

/** @param base the folder that relative paths start at */
export function checkTlsFiles({ tls }: Parts, base: string, list: FaultList): void {
  if (tls === undefined) return;
  checkCertificate(['tls'], tls, base, list);
  tls.sni.forEach((named, index) => checkCertificate(['tls', 'sni', index], named, base, list));
  if (tls.clientCa !== undefined) checkCa(['tls', 'clientCa'], resolve(base, tls.clientCa), list);
  const error = tls.ciphers === undefined ? undefined : contextError({ ciphers: tls.ciphers });
  if (error !== undefined)
    list.expected(
      ['tls', 'ciphers'],
      `ciphers that OpenSSL knows (${error}): \`openssl ciphers\` lists them`,
    );
}

/** A certificate and those that stand beside it. */
function checkCertificate(
  path: Path,
  { alternatives, ...pair }: FilePair & { readonly alternatives: readonly FilePair[] },
  base: string,
  list: FaultList,
): void {
  const kinds = new Map([[checkPair(path, pair, base, list), 'certificate']]);
  alternatives.forEach((alternative, index) => {
    const place = [...path, 'alternatives', index];
    const kind = checkPair(place, alternative, base, list);
    if (kind === undefined) return;
    const first = kinds.get(kind);
    // OpenSSL keeps one for each kind: the second would silently take the place of the first.
    if (first === undefined) kinds.set(kind, `alternatives[${index}]`);
    else
      list.add(
        [...place, 'certificate'],
        `found another certificate with ${keyName(kind)} key, expected another kind than \`${first}\` has`,
      );
  });
}

function keyName(kind: string): string {
  return kind === 'ec' ? 'an ECDSA' : kind === 'rsa' ? 'an RSA' : `an ${kind}`;
}

/** @returns the kind of its key: 'rsa', 'ec', 'ed25519'; undefined where it was not usable */
function checkPair(path: Path, pair: FilePair, base: string, list: FaultList): string | undefined {
  const cert = readPem([...path, 'certificate'], resolve(base, pair.certificate), list);
  const key = readPem([...path, 'key'], resolve(base, pair.key), list);
  if (cert === undefined || key === undefined) return undefined;
  // 7 ms on Node 20, and there may be a thousand: what exactly is wrong is asked only when something is.
  const error = contextError({ cert, key });
  const owner = error === undefined ? new X509Certificate(cert) : undefined;
  // OpenSSL itself takes an RSA certificate with an EC key, and then serves neither.
  if (owner?.checkPrivateKey(createPrivateKey(key)) === true) return owner.publicKey.asymmetricKeyType;
  const certificateError = contextError({ cert });
  const keyError = contextError({ key });
  if (certificateError !== undefined)
    list.add(
      [...path, 'certificate'],
      `found a file that holds no usable certificate (${certificateError}), expected PEM: BEGIN CERTIFICATE`,
    );
  if (keyError !== undefined)
    list.add(
      [...path, 'key'],
      `found a file that holds no usable key (${keyError}), expected PEM without a passphrase: BEGIN PRIVATE KEY`,
    );
  if (certificateError === undefined && keyError === undefined)
    list.add(
      [...path, 'key'],
      `found a key that does not fit the certificate${error === undefined ? '' : ` (${error})`}, expected the key that ${pair.certificate} was made with`,
    );
  return undefined;
}

function contextError(options: Parameters<typeof createSecureContext>[0]): string | undefined {
  try {
    createSecureContext(options);
    return undefined;
  } catch (error) {
    return describeError(error);
  }
}
