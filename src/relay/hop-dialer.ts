/**
 * One greeted connection to one hop: its addresses in turn, TLS as the route wants it. Owns the rules of a single
 * attempt; which hop and when is hop-pool's, what is said on the connection hop-connection's.
 */
import { describeError, PosternError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Hop, RouteConfig, RouteTls } from '../config/config.js';

import { HopConnection, hopName, type HopHabits, type HopOptions } from './hop-connection.js';
import { HopSocket } from './hop-socket.js';
import type { HopTimeouts } from './hop-timeouts.js';
import { HopTrust } from './hop-trust.js';
import { printable } from './last-reply.js';
import type { RouteSockets } from './route-sockets.js';

export type NetworkHop = Extract<Hop, { host: string }>;

/** Host names to addresses: base/host-addresses for hops of the config, mx-addresses for those that DNS named. */
export interface AddressFinder {
  /** At least one, in the order to try. @throws PosternError RELAY_CONNECT */
  find(host: string): Promise<readonly string[]>;
}

export interface HopDialerOptions {
  readonly route: RouteConfig;
  readonly hostname: string;
  readonly addresses: AddressFinder;
  readonly timeouts: HopTimeouts;
  readonly sockets: RouteSockets;
  readonly log: Log;
}

export interface Dialled {
  /** The connection that was given back has ended. */
  readonly onEnded: (connection: HopConnection) => void;
  /** Set once all is to end. */
  readonly cutReason: string | undefined;
}

export class HopDialer {
  readonly #options: HopDialerOptions;
  readonly #trust: HopTrust;

  constructor(options: HopDialerOptions) {
    this.#options = options;
    this.#trust = new HopTrust(options.route.tlsCa, options.route.tlsFingerprints);
  }

  /** @throws PosternError */
  async connect(hop: NetworkHop, habits: HopHabits, caller: Dialled): Promise<HopConnection> {
    const { tls, auth } = this.#options.route;
    try {
      return await this.#greeted(hop, habits, tls, caller);
    } catch (error) {
      // Opportunistic (RFC 7435): a hop whose TLS is broken gets the mail in clear, as one without TLS does. Never the
      // credentials.
      const isLenient = tls === 'opportunistic' && auth === undefined;
      if (!isLenient || !(error instanceof PosternError) || error.code !== 'RELAY_TLS') throw error;
      this.tell('relay.tls-failed', hop, printable(error.message));
      return this.#greeted(hop, habits, 'off', caller);
    }
  }

  tell(event: string, hop: NetworkHop, reason: string): void {
    const { route, log } = this.#options;
    log.warn({ event, route: route.name, hop: hopName(hop), reason });
  }

  async #greeted(hop: NetworkHop, habits: HopHabits, tls: RouteTls, caller: Dialled): Promise<HopConnection> {
    const options = this.#hopOptions(hop, habits, tls);
    const socket = await this.#dial(hop, caller);
    const connection = new HopConnection(socket, options);
    socket.onBroken = () => {
      this.#options.sockets.delete(socket);
      caller.onEnded(connection);
    };
    try {
      await connection.greet(options);
      return connection;
    } catch (error) {
      connection.cut(describeError(error));
      throw error;
    }
  }

  #hopOptions(hop: NetworkHop, habits: HopHabits, tls: RouteTls): HopOptions {
    const { hostname, timeouts, route } = this.#options;
    const { kind: protocol, host, port } = hop;
    return { protocol, host, port, tls, trust: this.#trust, auth: route.auth, habits, hostname, timeouts };
  }

  /** The addresses of a hop share one time-out, a silent one takes its share of it. @throws PosternError of the last tried */
  async #dial(hop: NetworkHop, caller: Dialled): Promise<HopSocket> {
    const { timeouts, addresses: finder, sockets } = this.#options;
    const endMs = performance.now() + timeouts.connect;
    let last = new PosternError('RELAY_CONNECT', `no connection to ${hop.host} in time`);
    const addresses = await finder.find(hop.host);
    for (const [index, address] of addresses.entries()) {
      const leftMs = (endMs - performance.now()) / (addresses.length - index);
      if (leftMs <= 0) break;
      if (caller.cutReason !== undefined) throw new PosternError('RELAY_CONNECT', caller.cutReason);
      sockets.makeRoom();
      const socket = new HopSocket(address, hop.port);
      sockets.add(socket);
      socket.onBroken = () => sockets.delete(socket);
      try {
        await socket.connected(leftMs);
        return socket;
      } catch (error) {
        if (!(error instanceof PosternError)) throw error;
        last = error;
      }
    }
    throw last;
  }
}
