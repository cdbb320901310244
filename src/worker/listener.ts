/**
 * One configured listener in this worker: the shared socket, and its counters. Refuses at
 * the door what admission refuses; everything after that is the connection's.
 */
import { createServer, isIPv4, isIPv6, type Server, type Socket } from 'node:net';
import { PosternError, errorCodeOf } from '../base/errors.js';
import { NetworkSet, normalizeAddress } from '../base/networks.js';
import type { Config, ConfiguredMechanism, ListenerConfig } from '../config/config.js';
import type { Cell } from '../metrics/meters.js';
import { replies } from '../protocol/replies.js';
import type { Admission } from './admission.js';
import { directClient, proxiedClient, type Client } from './client.js';
import { Connection } from './connection.js';
import { ProxyArrival } from './proxy-arrival.js';
import type { Service } from './service.js';
import { SessionTerms } from './session-terms.js';
import type { TlsDoor } from './tls-door.js';

// Accepted by the kernel, not yet by us: a burst of connections must survive a busy moment of every worker.
const backlog = 1024;
// A refused client gets this long to take its 421.
const refusalLingerMs = 5_000;

export class Listener {
  readonly name: string;
  readonly role: 'inbound' | 'submission';
  readonly protocol: 'smtp' | 'lmtp';
  readonly route: string | undefined;
  readonly implicitTls: boolean;
  /** The greeting's last line has to be waited for. */
  readonly teases: boolean;
  /** Undefined where `tls` is off. */
  readonly door: TlsDoor | undefined;
  readonly terms: SessionTerms;
  readonly connectionsOpen: Cell;
  readonly connectionsTotal: Cell;
  readonly messagesAccepted: Cell;
  readonly messageBytes: Cell;
  readonly #config: ListenerConfig;
  readonly #proxies: NetworkSet;
  readonly #service: Service;
  readonly #server: Server;

  constructor(
    config: ListenerConfig,
    service: Service,
    mechanisms: readonly ConfiguredMechanism[],
    door: TlsDoor | undefined,
  ) {
    const { meters } = service;
    this.#config = config;
    this.#proxies = new NetworkSet(config.proxyProtocol);
    this.#service = service;
    this.name = config.name;
    this.role = config.role;
    this.protocol = config.protocol;
    this.route = config.route;
    this.implicitTls = config.tls === 'implicit';
    this.teases = config.role === 'inbound' && service.config.policy.greetDelayMs > 0;
    this.door = door;
    this.terms = new SessionTerms(config, service, mechanisms);
    this.connectionsOpen = meters.connectionsOpen.of(config.name);
    this.connectionsTotal = meters.connectionsTotal.of(config.name);
    this.messagesAccepted = meters.messagesAcceptedTotal.of(config.name);
    this.messageBytes = meters.messageBytesTotal.of(config.name);
    // Half-open: a client may send all it has and its FIN, and still wants the replies.
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  /** @throws PosternError LISTEN_FAILED; resolves with the port (which matters where the config says 0). */
  open(): Promise<number> {
    const { address, port } = this.#config;
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenError(this.#config, error)));
      const ipv6Only = leavesIpv4(this.#config, this.#service.config);
      this.#server.listen({ host: address, port, backlog, ipv6Only }, () => {
        this.#server.removeAllListeners('error');
        // Accept errors (no file descriptors left, F-31): the next accept may work, so the worker lives on.
        this.#server.on('error', (error) => {
          this.#service.log.error({ event: 'accept.failed', listener: this.name, err: error.message });
        });
        const bound = this.#server.address();
        resolve(bound !== null && typeof bound === 'object' ? bound.port : port);
      });
    });
  }

  /** Stops accepting; open connections go on. */
  close(): void {
    this.#server.close();
  }

  #accept(socket: Socket): void {
    const address = socket.remoteAddress;
    if (address === undefined) {
      // Gone before we looked. Its 'error' may still come.
      socket.on('error', () => socket.destroy());
      socket.destroy();
      return;
    }
    const peer = normalizeAddress(address);
    if (this.#proxies.has(peer)) this.#awaitHeader(socket, peer);
    else this.#begin(socket, directClient(peer), this.#service.admission.enter(peer));
  }

  #awaitHeader(socket: Socket, proxy: string): void {
    const { admission } = this.#service;
    const refusal = admission.arrive();
    if (refusal !== undefined) {
      this.#refuse(socket, refusal, directClient(proxy));
      return;
    }
    new ProxyArrival({
      service: this.#service,
      listener: this.name,
      socket,
      proxy,
      identified: (header) => {
        const client = proxiedClient(header, proxy);
        const entry = admission.identify(client.address);
        if ('refusal' in entry) admission.leave(undefined);
        // Under implicit TLS the engine reads what is left, not we.
        if (!this.implicitTls) socket.resume();
        this.#begin(socket, client, entry);
      },
    }).start();
  }

  #begin(socket: Socket, client: Client, entry: ReturnType<Admission['enter']>): void {
    if ('refusal' in entry) this.#refuse(socket, entry.refusal, client);
    else if (this.role === 'submission' && this.#service.loginGuard.refusesConnection(client.address)) {
      this.#service.admission.leave(entry.ticket);
      this.#refuse(socket, 'auth-failures', client);
    } else new Connection(this.#service, this, socket, client, entry.ticket).start();
  }

  #refuse(socket: Socket, reason: string, { address, facts }: Client): void {
    this.#service.meters.connectionsRefusedTotal.of(this.name, reason).value += 1;
    this.#service.log.info({
      event: 'connection.refused',
      listener: this.name,
      client: address,
      ...facts,
      reason,
    });
    socket.on('error', () => socket.destroy());
    socket.setTimeout(refusalLingerMs, () => socket.destroy());
    // Inside implicit TLS a plaintext 421 would be noise to the client: it sees the connection close.
    if (this.implicitTls) socket.destroy();
    else {
      const reply = reason === 'auth-failures' ? replies.tooManyAuthFailures : replies.tooManyConnections;
      socket.end(reply.bytes, () => socket.destroySoon());
    }
  }
}

/** A socket on `::` takes IPv4 too, unless told not to, and then its port is free for no IPv4 address. */
function leavesIpv4({ address, port }: ListenerConfig, { listeners, admin }: Config): boolean {
  if (!isIPv6(address) || port === 0) return false;
  return [...listeners, admin].some((other) => other.port === port && isIPv4(other.address));
}

function listenError(listener: ListenerConfig, error: Error): PosternError {
  const where = `${listener.address}:${listener.port} (listener "${listener.name}")`;
  const advice: Readonly<Record<string, string>> = {
    EADDRINUSE: 'another program has the port: stop it, or change the listener’s port',
    EACCES: 'ports below 1024 need root or CAP_NET_BIND_SERVICE: see deploy/systemd/postern.service',
    EADDRNOTAVAIL: 'this machine has no such address: change the listener’s address',
    EAFNOSUPPORT: 'this machine has no IPv6: remove this listener',
  };
  const code = errorCodeOf(error) ?? '';
  return new PosternError(
    'LISTEN_FAILED',
    `cannot listen on ${where}: ${advice[code] ?? error.message}`,
    error,
  );
}
