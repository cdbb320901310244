/**
 * How one connection ended: the reason that metrics count and the log has, and what was wrong with a handshake that failed.
 * A client's QUIT, and its leaving between two transactions, are no reasons. Owned by the connection, which says what
 * happened as it happens: of two faults of a handshake that which we found ends it, of the reasons to close the last counts.
 */
import type { CloseReason, Reply } from '../protocol/types.js';
import type { HandshakeFault } from './handshake-fault.js';
import { limitBehind, limitKey, type Limit } from './limit-names.js';
import type { Peer } from './peer.js';
import type { Service } from './service.js';

export class Ending {
  readonly #service: Service;
  readonly #peer: Peer;
  #reason: CloseReason | 'tls-failed' | undefined;
  #handshakeFault: HandshakeFault | undefined;
  /** Key of the config. */
  #limit: string | undefined;

  constructor(service: Service, peer: Peer) {
    this.#service = service;
    this.#peer = peer;
  }

  /** The session has said its last word. */
  get isDecided(): boolean {
    return this.#reason !== undefined;
  }

  because(reason: CloseReason): void {
    this.#reason = reason;
  }

  /** A 421: which limit it tells of, if any. */
  said(reply: Reply): void {
    const limit = limitBehind(reply.name);
    if (limit !== undefined) this.passed(limit);
  }

  /** The first limit is the one that ends it. */
  passed(limit: Limit): void {
    this.#limit ??= limitKey(limit, this.#service.stress);
  }

  /** We break the handshake off. */
  cutHandshake(fault: 'timeout' | 'shutdown'): void {
    this.#handshakeFault = fault;
    if (fault === 'timeout') this.#reason = fault;
  }

  handshakeFailed(fault: HandshakeFault): void {
    // A load balancer that looks whether we are there leaves before TLS.
    if (this.#peer.client.isProbe) return;
    this.#reason ??= 'tls-failed';
    this.#handshakeFault ??= fault;
  }

  /** The client left in a transaction. */
  lost(): void {
    this.#count('lost');
  }

  /** The socket is closed. @param lost with a transaction open */
  closed(inHandshake: boolean, lost: boolean): void {
    if (inHandshake && !this.#peer.client.isProbe)
      this.#service.meters.tlsHandshakeFailuresTotal.of(this.#handshakeFault ?? 'closed').value += 1;
    if (this.#reason !== undefined && this.#reason !== 'quit') this.#count(this.#reason);
    else if (lost) this.#count('lost');
  }

  #count(reason: string): void {
    this.#service.log.info({
      event: 'session.cut',
      ...this.#peer.logFacts,
      reason,
      ...(this.#limit === undefined ? {} : { limit: this.#limit }),
      ...(this.#handshakeFault === undefined ? {} : { handshake: this.#handshakeFault }),
      ...this.#peer.certificateFact,
    });
    this.#service.meters.sessionsCutTotal.of(reason).value += 1;
  }
}
