/**
 * TLS of one listener: its contexts, by the name that the client asks for, whether it wants client certificates, and
 * the keys of its session tickets. Makes the TLSSocket of a connection and reads from it what the handshake showed.
 */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket, type SecureContext, type TLSSocketOptions } from 'node:tls';
import { describeError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { ListenerConfig } from '../config/config.js';
import { clientCertificate, verifyErrorOf, type ClientCertificate } from './client-certificate.js';
import {
  openContext,
  type CertificateMaterial,
  type ContextOptions,
  type TlsMaterial,
} from './secure-context.js';
import { ServerNames } from './server-names.js';

/** A context costs 7 ms and 25 KiB (Node 20), so one is made when the first client asks for its name. */
interface NamedContext {
  readonly material: CertificateMaterial;
  context: SecureContext | undefined;
}

export class TlsDoor {
  readonly #material: TlsMaterial;
  readonly #names = new ServerNames<NamedContext>();
  readonly #log: Log;
  readonly #wantsCertificate: boolean;
  readonly #shared: Omit<ContextOptions, 'ticketKeys'>;
  #socketOptions: TLSSocketOptions;

  /** @param ticketKeys 48 bytes, the same in all workers for this listener and for no other */
  constructor(
    listener: Pick<ListenerConfig, 'name' | 'clientCertificate'>,
    material: TlsMaterial,
    ticketKeys: Buffer,
    log: Log,
  ) {
    this.#material = material;
    this.#log = log;
    this.#wantsCertificate = listener.clientCertificate !== 'off';
    const clientCa = this.#wantsCertificate ? material.clientCa : undefined;
    this.#shared = { clientCa, sessionIdContext: sessionContext(listener, clientCa) };
    for (const named of material.named) this.#names.add(named.names, { material: named, context: undefined });
    this.#socketOptions = this.#optionsWith(ticketKeys);
  }

  /** New tickets are made with these keys; with older ones clients make one more full handshake. */
  setTicketKeys(ticketKeys: Buffer): void {
    this.#socketOptions = this.#optionsWith(ticketKeys);
  }

  /** The server's side of the handshake begins; what `plain` has received and not given out is part of it. */
  wrap(plain: Socket): TLSSocket {
    return new TLSSocket(plain, this.#socketOptions);
  }

  /** After the handshake. Undefined: none shown, or none asked for. */
  certificateOf(socket: TLSSocket): ClientCertificate | undefined {
    if (!this.#wantsCertificate) return undefined;
    return clientCertificate(socket.getPeerX509Certificate(), verifyErrorOf(socket));
  }

  #optionsWith(ticketKeys: Buffer): TLSSocketOptions {
    return {
      isServer: true,
      secureContext: openContext(this.#material, this.#material.preset, { ...this.#shared, ticketKeys }),
      requestCert: this.#wantsCertificate,
      // One that does not verify is the session's matter: RFC 3207 §4.1 wants a reply (554), not a broken handshake.
      rejectUnauthorized: false,
      ...(this.#material.named.length === 0
        ? {}
        : { SNICallback: (name, done) => done(null, this.#contextFor(name)) }),
    };
  }

  /** Undefined: the certificate for all names. RFC 6066 §3 leaves that to the server, and mail goes on. */
  #contextFor(name: string): SecureContext | undefined {
    const found = this.#names.find(name);
    if (found === undefined || found.context !== undefined) return found?.context;
    try {
      // OpenSSL takes the keys of tickets from the context that the handshake began with.
      const options = { ...this.#shared, ticketKeys: undefined };
      return (found.context = openContext(this.#material, found.material, options));
    } catch (error) {
      this.#log.error(
        { event: 'tls.certificate-unusable', err: describeError(error) },
        'a certificate of tls.sni cannot be used: the one of `tls` is shown in its place; see `postern check`',
      );
      return undefined;
    }
  }
}

/**
 * A session is taken up again without another look at the client's certificate. So whom the listener trusts is part
 * of what makes it the same listener: after a reload with other authorities, old tickets are worth nothing.
 */
function sessionContext(
  { name, clientCertificate: wanted }: Pick<ListenerConfig, 'name' | 'clientCertificate'>,
  clientCa: Buffer | undefined,
): string {
  const hash = createHash('sha256').update(JSON.stringify([name, wanted]));
  if (clientCa !== undefined) hash.update(clientCa);
  return hash.digest('hex').slice(0, 32); // SSL_MAX_SID_CTX_LENGTH
}
