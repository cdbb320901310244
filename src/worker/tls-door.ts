/**
 * TLS of one listener: its contexts, by the name that the client asks for, whether it wants client certificates, and
 * the keys of its session tickets. Makes the TLSSocket of a connection and reads from it what the handshake showed.
 *
 * A handshake begins with the context of its name. Node's SNICallback would change the context under one that has begun
 * with another: only the certificates are changed then, kind of key by kind of key, and those of kinds that the name does
 * not have stay on offer. So the connection reads the name first (protocol/client-hello.ts).
 */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket, type TLSSocketOptions } from 'node:tls';
import { describeError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { ListenerConfig } from '../config/config.js';
import { clientCertificate, verifyErrorOf, type ClientCertificate } from './client-certificate.js';
import { openContext, type CertificateMaterial, type TlsMaterial } from './secure-context.js';
import { ServerNames } from './server-names.js';

/** A context costs 7 ms and 25 KiB (Node 20), so one is made when the first client asks for its name. */
interface NamedContext {
  readonly names: readonly string[];
  readonly material: CertificateMaterial;
  options: TLSSocketOptions | undefined;
}

export class TlsDoor {
  readonly #listener: Pick<ListenerConfig, 'name' | 'clientCertificate'>;
  readonly #material: TlsMaterial;
  readonly #named: readonly NamedContext[];
  readonly #names = new ServerNames<NamedContext>();
  readonly #log: Log;
  readonly #wantsCertificate: boolean;
  #ticketKeys: Buffer;
  #preset: TLSSocketOptions;

  /** @param ticketKeys 48 bytes, the same in all workers for this listener and for no other */
  constructor(
    listener: Pick<ListenerConfig, 'name' | 'clientCertificate'>,
    material: TlsMaterial,
    ticketKeys: Buffer,
    log: Log,
  ) {
    this.#listener = listener;
    this.#material = material;
    this.#log = log;
    this.#wantsCertificate = listener.clientCertificate !== 'off';
    this.#named = material.named.map((one) => ({ names: one.names, material: one, options: undefined }));
    for (const named of this.#named) this.#names.add(named.names, named);
    this.#ticketKeys = ticketKeys;
    this.#preset = this.#optionsOf(material.preset, []);
  }

  /** New tickets are made with these keys; with older ones clients make one more full handshake. */
  setTicketKeys(ticketKeys: Buffer): void {
    this.#ticketKeys = ticketKeys;
    this.#preset = this.#optionsOf(this.#material.preset, []);
    for (const named of this.#named) named.options = undefined;
  }

  /** What `wrap` does depends on the name that the client asks for. */
  get hasNames(): boolean {
    return this.#named.length > 0;
  }

  /**
   * The server's side of the handshake begins; what `plain` has received and not given out is part of it.
   * @param serverName as the client wrote it; undefined: it named none
   */
  wrap(plain: Socket, serverName?: string): TLSSocket {
    return new TLSSocket(plain, this.#optionsFor(serverName));
  }

  /** After the handshake. Undefined: none shown, or none asked for. */
  certificateOf(socket: TLSSocket): ClientCertificate | undefined {
    if (!this.#wantsCertificate) return undefined;
    return clientCertificate(socket.getPeerX509Certificate(), verifyErrorOf(socket));
  }

  /** A name that nobody has, or whose certificate cannot be used, is as none: RFC 6066 §3 leaves that to us, and mail goes on. */
  #optionsFor(serverName: string | undefined): TLSSocketOptions {
    const named = serverName === undefined ? undefined : this.#names.find(serverName);
    if (named === undefined) return this.#preset;
    try {
      return (named.options ??= this.#optionsOf(named.material, named.names));
    } catch (error) {
      this.#log.error(
        { event: 'tls.certificate-unusable', err: describeError(error) },
        'a certificate of tls.sni cannot be used: the one of `tls` is shown in its place; see `postern check`',
      );
      return this.#preset;
    }
  }

  /** @param names none: the certificate for all others */
  #optionsOf(certificate: CertificateMaterial, names: readonly string[]): TLSSocketOptions {
    const clientCa = this.#wantsCertificate ? this.#material.clientCa : undefined;
    return {
      isServer: true,
      secureContext: openContext(this.#material, certificate, {
        clientCa,
        sessionIdContext: sessionContext(this.#listener, clientCa, names),
        ticketKeys: this.#ticketKeys,
      }),
      requestCert: this.#wantsCertificate,
      // One that does not verify is the session's matter: RFC 3207 §4.1 wants a reply (554), not a broken handshake.
      rejectUnauthorized: false,
    };
  }
}

/**
 * A session is taken up again without another look at the client's certificate, and without showing ours. So whom the
 * listener trusts is part of what makes it the same listener: after a reload with other authorities, old tickets are worth
 * nothing. And so are the names: RFC 6066 §3 has no session taken up under another name. Those of one certificate count as
 * one, since the client has seen for which it is good (RFC 8446 §4.6.1).
 */
function sessionContext(
  { name, clientCertificate: wanted }: Pick<ListenerConfig, 'name' | 'clientCertificate'>,
  clientCa: Buffer | undefined,
  names: readonly string[],
): string {
  const hash = createHash('sha256').update(JSON.stringify([name, wanted, ...names]));
  if (clientCa !== undefined) hash.update(clientCa);
  return hash.digest('hex').slice(0, 32); // SSL_MAX_SID_CTX_LENGTH
}
