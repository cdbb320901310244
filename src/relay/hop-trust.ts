/**
 * Whom a route believes: the check of a next hop's certificate under `tls: verified`. Either any of the pinned
 * fingerprints, then CA, name and dates do not matter; or a chain to the route's CAs and the hop's own name in the
 * certificate (RFC 9525: subjectAltName alone, whole-label wildcards, never the common name). One per route.
 */
import type { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';

import { describeError, PosternError } from '../base/errors.js';

/** Where systems keep the CAs that their administrator trusts: Debian, Red Hat, Alpine and macOS. Node's own list knows
 *  nothing of a CA that was added there; it is used where none of these files is. */
const systemCaFiles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
] as const;

export class HopTrust {
  readonly #caFile: string | undefined;
  readonly #fingerprints: readonly string[];
  #context: Promise<SecureContext> | undefined;

  /**
   * @param caFile PEM; undefined: the system's
   * @param fingerprints SHA-256 over the DER of the certificate, lower-case hex
   */
  constructor(caFile: string | undefined, fingerprints: readonly string[]) {
    this.#caFile = caFile;
    this.#fingerprints = fingerprints;
  }

  /** Made once: parsing a system's CAs takes milliseconds. @throws PosternError RELAY_TLS when the file cannot be used */
  context(): Promise<SecureContext> {
    this.#context ??= this.#makeContext();
    // An operator who repairs the file need not restart.
    this.#context.catch(() => (this.#context = undefined));
    return this.#context;
  }

  /** What is wrong with the certificate of a finished handshake; undefined: it is the hop's. @param host as configured
   *  or from MX */
  fault(socket: TLSSocket, host: string): string | undefined {
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) return 'none was sent';
    if (this.#fingerprints.length > 0) return this.#fingerprintFault(certificate);
    if (!socket.authorized) return String(socket.authorizationError);
    return isNamed(certificate, host) ? undefined : `it is for ${certificate.subjectAltName ?? 'no name'}`;
  }

  #fingerprintFault(certificate: X509Certificate): string | undefined {
    const fingerprint = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
    return this.#fingerprints.includes(fingerprint) ? undefined : `its SHA-256 ${fingerprint} is not pinned`;
  }

  async #makeContext(): Promise<SecureContext> {
    // Pinned: no CA is asked.
    if (this.#fingerprints.length > 0) return createSecureContext();
    try {
      const ca = this.#caFile === undefined ? await systemCa() : await readFile(this.#caFile);
      return createSecureContext(ca === undefined ? {} : { ca });
    } catch (error) {
      throw new PosternError('RELAY_TLS', `4.7.5 tlsCa cannot be used: ${describeError(error)}`, error);
    }
  }
}

async function systemCa(): Promise<Buffer | undefined> {
  for (const file of systemCaFiles) {
    const ca = await readFile(file).catch(() => undefined);
    if (ca !== undefined) return ca;
  }
  return undefined;
}

function isNamed(certificate: X509Certificate, host: string): boolean {
  if (isIP(host) !== 0) return certificate.checkIP(host) !== undefined;
  return certificate.checkHost(host, { subject: 'never', partialWildcards: false }) !== undefined;
}
