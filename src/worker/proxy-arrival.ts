/**
 * A connection from a trusted proxy until its PROXY header has said who the client is. Owns the socket for that time
 * and has a place among the worker's connections; then the listener's callback gets the socket, with what came behind
 * the header unread. Without a good header in time the connection closes without a word, since whoever is there speaks
 * no SMTP yet. Made by the listener.
 */
import type { Socket } from 'node:net';
import { ProxyHeaderReader, type ProxyFault, type ProxyHeader } from '../protocol/proxy-header.js';
import type { OpenConnection, Service } from './service.js';
import { attach, release, type SocketOwner } from './socket-events.js';

type HeaderFault = ProxyFault | 'late' | 'cut-short';

export interface ProxyArrivalOptions {
  readonly service: Service;
  readonly listener: string;
  readonly socket: Socket;
  /** Normalized address of the peer. */
  readonly proxy: string;
  /** The socket is paused; its place in admission goes with it. */
  readonly identified: (header: ProxyHeader) => void;
}

export class ProxyArrival implements SocketOwner, OpenConnection {
  readonly #options: ProxyArrivalOptions;
  readonly #reader = new ProxyHeaderReader();
  readonly #deadlineMs: number;
  #isOver = false;

  constructor(options: ProxyArrivalOptions) {
    this.#options = options;
    this.#deadlineMs = performance.now() + options.service.config.limits.proxyHeaderTimeoutMs;
  }

  start(): void {
    const { service, socket } = this.#options;
    attach(socket, this);
    service.connections.add(this);
  }

  // ---- what the worker says --------------------------------------------------------------------------------------

  tick(nowMs: number): void {
    if (nowMs >= this.#deadlineMs) this.#refuse('late');
  }

  /** No transaction can be open. */
  readonly recipients = 0;

  get isIdle(): boolean {
    return true;
  }

  shutDown(): void {
    this.destroy();
  }

  destroy(): void {
    this.#options.socket.destroy();
  }

  // ---- socket events ---------------------------------------------------------------------------------------------

  onData(chunk: Buffer): void {
    if (this.#isOver) return;
    const event = this.#reader.read(chunk);
    if (event.kind === 'fault') this.#refuse(event.fault);
    else if (event.kind === 'header') this.#handOver(event.header, event.rest);
  }

  onEnd(): void {
    // A port that was looked at and left alone: the plainest of health checks.
    if (this.#reader.isEmpty) this.destroy();
    else this.#refuse('cut-short');
  }

  onClose(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#leave();
  }

  onError(error: Error): void {
    const { service, listener, proxy } = this.#options;
    service.log.debug({ event: 'connection.error', listener, proxy, err: error.message });
  }

  onDrain(): void {}

  onSecure(): void {}

  // ---- the end of it ---------------------------------------------------------------------------------------------

  #handOver(header: ProxyHeader, rest: Buffer): void {
    const { service, socket, identified } = this.#options;
    this.#isOver = true;
    service.connections.delete(this);
    socket.pause();
    release(socket);
    if (rest.length > 0) socket.unshift(rest);
    identified(header);
    // Where its client was refused it was perhaps the last that a drain waited for.
    service.connectionClosed();
  }

  #refuse(fault: HeaderFault): void {
    const { service, listener, socket, proxy } = this.#options;
    if (this.#isOver) return;
    this.#isOver = true;
    service.meters.connectionsRefusedTotal.of(listener, 'proxy-header').value += 1;
    service.log.warn(
      { event: 'connection.refused', listener, proxy, reason: 'proxy-header', fault },
      'a peer named in proxyProtocol did not send a PROXY header that can be used: check its send-proxy setting',
    );
    socket.destroy();
    this.#leave();
  }

  #leave(): void {
    const { service } = this.#options;
    service.connections.delete(this);
    service.admission.leave(undefined);
    service.connectionClosed();
  }
}
