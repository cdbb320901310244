/**
 * Who is at the other end of one connection: the client and its place in the limits, what TLS has shown of it, and the
 * Reception that answers for it. Owns what XCLIENT and a handshake change of that. Knows no bytes and no deadlines.
 * Made by the connection, which asks it anew whenever it begins a session.
 */
import type { TLSSocket } from 'node:tls';
import type { XclientAttributes } from '../protocol/client-attributes.js';
import { replies } from '../protocol/replies.js';
import type { Session } from '../protocol/session.js';
import type { SessionOptions, Verdict } from '../protocol/types.js';
import type { NetworkTicket } from './admission.js';
import type { ClientCertificate } from './client-certificate.js';
import { canBind, channelBinding, type ClientChannel } from './client-channel.js';
import { namedClient, type Client } from './client.js';
import type { SessionFacts } from './intake.js';
import type { Listener } from './listener.js';
import { Reception } from './reception.js';
import type { Service } from './service.js';

export class Peer implements ClientChannel {
  readonly #service: Service;
  readonly #listener: Listener;
  readonly #sid: string;
  #client: Client;
  #ticket: NetworkTicket;
  #reception: Reception;
  #secured: TLSSocket | undefined;
  #tlsVersion = '';
  #certificate: ClientCertificate | undefined;

  /** @param ticket the connection's own: `leave` gives it back */
  constructor(service: Service, listener: Listener, client: Client, ticket: NetworkTicket, sid: string) {
    this.#service = service;
    this.#listener = listener;
    this.#sid = sid;
    this.#client = client;
    this.#ticket = ticket;
    this.#reception = new Reception(service, {
      listener,
      client,
      ticket,
      sid,
      channel: this,
      user: '',
    });
  }

  get client(): Client {
    return this.#client;
  }

  get ticket(): NetworkTicket {
    return this.#ticket;
  }

  get reception(): Reception {
    return this.#reception;
  }

  /** What its next session may do. */
  get sessionOptions(): SessionOptions {
    return this.#listener.terms.for(
      this.#client,
      this.#secured === undefined
        ? undefined
        : { canBind: canBind(this.#tlsVersion), hasCertificate: this.#verified !== undefined },
    );
  }

  /** XCLIENT: from here on everything is as if the client that is named had connected just now. */
  rename(attributes: XclientAttributes): Verdict {
    const service = this.#service;
    const listener = this.#listener;
    const client = namedClient(this.#client, attributes);
    const entry = service.admission.rename(this.#ticket, client.address);
    this.#ticket = 'ticket' in entry ? entry.ticket : undefined;
    this.#client = client;
    // A login that another server has checked: on an inbound listener nobody logs in.
    const user = listener.role === 'submission' ? (attributes.login ?? '') : '';
    this.#reception = new Reception(service, {
      listener,
      client,
      ticket: this.#ticket,
      sid: this.#sid,
      channel: this,
      user,
    });
    if ('refusal' in entry) {
      service.meters.connectionsRefusedTotal.of(listener.name, entry.refusal).value += 1;
      service.log.info({ event: 'connection.refused', ...this.logFacts, reason: entry.refusal });
      return { ok: false, reply: replies.tooManyConnections, close: true };
    }
    service.log.info({ event: 'client.named', ...this.logFacts });
    this.#reception.connected();
    return { ok: true, options: this.sessionOptions, user };
  }

  /** The handshake is done. */
  secured(socket: TLSSocket): void {
    const { meters, log } = this.#service;
    this.#secured = socket;
    this.#tlsVersion = socket.getProtocol() ?? 'unknown';
    meters.tlsSessionsTotal.of(this.#tlsVersion).value += 1;
    if (socket.isSessionReused()) meters.tlsResumptionsTotal.of().value += 1;
    const certificate = this.#listener.door?.certificateOf(socket);
    if (certificate === undefined) return;
    this.#certificate = certificate;
    // Behind XCLIENT it is the peer's still, not that of the client it speaks for.
    if (this.#client.named === undefined) this.#reception.certified(certificate);
    log.info({
      event: 'tls.client-certificate',
      ...this.logFacts,
      clientCert: certificate.subject,
      verified: certificate.verified,
      ...(certificate.verified ? {} : { fault: certificate.fault }),
    });
  }

  /** For each log line about the connection. */
  get logFacts(): object {
    const { address: client, facts } = this.#client;
    return { sid: this.#sid, listener: this.#listener.name, client, ...facts };
  }

  get certificateFact(): object {
    return this.#verified === undefined ? {} : { clientCert: this.#verified.subject };
  }

  factsOf(session: Session): SessionFacts {
    return {
      listener: this.#listener,
      sessionId: this.#sid,
      client: this.#client,
      clientName: session.heloName,
      extended: session.extended,
      secure: this.#secured !== undefined,
      tlsVersion: this.#tlsVersion,
      clientCertificate: this.#verified?.subject ?? '',
      user: session.user,
      messageId: session.messageId,
    };
  }

  /** The connection is closed. */
  leave(): void {
    this.#reception.ended();
    this.#service.admission.leave(this.#ticket);
  }

  // ---- what a log-in wants to know (ClientChannel) ----------------------------------------------------------------

  binding(): Buffer | undefined {
    return this.#secured === undefined ? undefined : channelBinding(this.#secured);
  }

  identities(): readonly string[] {
    // Behind XCLIENT the certificate is the peer's: the client it speaks for must not log in with it.
    return this.#client.named === undefined ? (this.#verified?.identities ?? []) : [];
  }

  get #verified(): Extract<ClientCertificate, { verified: true }> | undefined {
    return this.#certificate?.verified === true ? this.#certificate : undefined;
  }
}
