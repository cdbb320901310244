/**
 * The connections of one route to its SMTP or LMTP hops: opened in the hops' order of preference, used for several
 * messages, kept a moment while idle, never more than the route allows or a hop takes (then messages wait for their
 * turn on those there are). Owns failover and the second try when a kept connection turns out to be dead; when to try
 * again later is the queue's.
 */
import { describeError, PosternError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Hop, RouteConfig, RouteTls } from '../config/config.js';
import type { Lease } from '../queue/spool.js';

import {
  sameResult,
  type Carrier,
  type CarryOutcome,
  type CarryResult,
  type Handover,
  type Outage,
} from './carrier.js';
import { maxRecipientsPerTransaction, transact, type TransactionOutcome } from './delivery.js';
import type { HopAddresses } from './hop-address.js';
import { HopConnection, hopName, type HopHabits, type HopOptions } from './hop-connection.js';
import { HopHealth } from './hop-health.js';
import { HopSocket } from './hop-socket.js';
import type { HopTimeouts } from './hop-timeouts.js';
import { HopTrust } from './hop-trust.js';
import { printable } from './last-reply.js';

export type NetworkHop = Extract<Hop, { host: string }>;

export interface HopPoolOptions {
  readonly route: RouteConfig;
  readonly hops: readonly NetworkHop[];
  readonly hostname: string;
  readonly addresses: HopAddresses;
  readonly timeouts: HopTimeouts;
  /** How long a connection without work is kept: enough for the next group commit, little enough for small hops. */
  readonly idleMs: number;
  readonly log: Log;
}

interface Transacted {
  readonly connection: HopConnection;
  readonly outcome: TransactionOutcome;
}

interface Unreached extends Omit<Outage, 'lastsMs'> {
  /** Every hop rests: there was no connection, not even a try. */
  readonly untried: boolean;
}

/** So long a message waits for its turn on a connection before it asks for one of its own again. */
const turnMs = 10_000;

export class HopPool implements Carrier {
  readonly #options: HopPoolOptions;
  readonly #health: HopHealth;
  readonly #trust: HopTrust;
  /** By hop. */
  readonly #habits: readonly HopHabits[];
  /** Most recently used last, so that the surplus of a burst times out. */
  readonly #idle: HopConnection[] = [];
  readonly #idleTimers = new Map<HopConnection, NodeJS.Timeout>();
  /** Every socket that is not closed yet, idle and leaving ones too. */
  readonly #open = new Set<HopSocket>();
  readonly #leaving = new Map<HopConnection, Promise<void>>();
  /** Greeted and not closed yet, by hop. */
  readonly #greetedOf: readonly Set<HopConnection>[];
  /** Messages that wait for a connection, oldest first. Called with nothing: ask for one again. */
  readonly #turns = new Set<(connection?: HopConnection) => void>();
  #closed = false;
  #cutReason: string | undefined;

  constructor(options: HopPoolOptions) {
    this.#options = options;
    const { connect, greeting, hello, startTls } = options.timeouts;
    this.#health = new HopHealth(
      options.hops.length,
      connect + greeting + hello + startTls,
      options.route.retry.maxMs,
    );
    this.#trust = new HopTrust(options.route.tlsCa, options.route.tlsFingerprints);
    this.#habits = options.hops.map(() => ({ avoidsChunking: false }));
    this.#greetedOf = options.hops.map(() => new Set());
  }

  get hop(): string {
    return this.#nameOf(0);
  }

  get doubtful(): boolean {
    return this.#health.allIll;
  }

  pauseMs(): number {
    return this.#health.pauseMs(performance.now());
  }

  endRests(): void {
    this.#health.endRests();
  }

  outage(): Outage | undefined {
    const lastsMs = this.#health.outageMs(performance.now());
    return this.#health.allIll ? { ...this.#resting(), lastsMs } : undefined;
  }

  async carry(lease: Lease, addresses: readonly string[]): Promise<CarryOutcome> {
    const results: CarryResult[] = [];
    let hop = '';
    let handover: Handover | undefined;
    let ambiguous = false;
    let corrupt = false;
    for (let from = 0; from < addresses.length; from += maxRecipientsPerTransaction) {
      const part = addresses.slice(from, from + maxRecipientsPerTransaction);
      const done = await this.#transact(lease, part);
      if ('reason' in done) {
        results.push(...sameResult(addresses.slice(from), 'pending', done.reason));
        const { restsUntilMs } = done;
        const untried = done.untried && from === 0;
        return {
          hop: hop === '' ? done.hop : hop,
          results,
          handover,
          ambiguous,
          corrupt,
          untried,
          restsUntilMs,
        };
      }
      hop = done.connection.name;
      handover = done.outcome.handover;
      results.push(...done.outcome.results);
      ambiguous ||= done.outcome.ambiguous;
      corrupt ||= done.outcome.corrupt;
      await this.#release(done.connection);
    }
    return { hop, results, handover, ambiguous, corrupt };
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const connection of this.#idle.splice(0)) void this.#leave(connection);
    await Promise.all(this.#leaving.values());
  }

  cut(reason: string): void {
    this.#closed = true;
    this.#cutReason = reason;
    for (const socket of this.#open) socket.fail(new PosternError('RELAY_CONNECT', reason));
    for (const turn of this.#turns) turn();
  }

  async #transact(lease: Lease, addresses: readonly string[]): Promise<Transacted | Unreached> {
    let connection = this.#takeIdle() ?? (await this.#obtain());
    while (connection instanceof HopConnection && connection.messages > 0) {
      const outcome = await transact(connection, lease, addresses);
      if (outcome.answered || outcome.corrupt || this.#closed) return { connection, outcome };
      // The hop closed a kept connection while it was idle, or says so now: no failure yet, a fresh one will tell.
      connection.cut('stale');
      connection = await this.#obtain();
    }
    if (!(connection instanceof HopConnection)) return connection;
    return { connection, outcome: await transact(connection, lease, addresses) };
  }

  /** A new connection; when the hop has as many as it wants, one of those, in turn. */
  async #obtain(): Promise<HopConnection | Unreached> {
    for (;;) {
      const reached = await this.#connect();
      if (reached instanceof HopConnection || !this.#health.anyCrowded || this.#closed) return reached;
      const connection = this.#takeIdle() ?? (await this.#turn());
      if (connection !== undefined) return connection;
    }
  }

  /** The next connection that is free; undefined when one has ended, or none was free for long. */
  #turn(): Promise<HopConnection | undefined> {
    return new Promise((resolve) => {
      const turn = (connection?: HopConnection): void => {
        clearTimeout(timer);
        this.#turns.delete(turn);
        resolve(connection);
      };
      const timer = setTimeout(turn, turnMs);
      this.#turns.add(turn);
    });
  }

  #nextTurn(connection?: HopConnection): boolean {
    const [turn] = this.#turns;
    turn?.(connection);
    return turn !== undefined;
  }

  // ---- kept connections -------------------------------------------------------------------------------------------

  #takeIdle(): HopConnection | undefined {
    const connection = this.#idle.pop();
    if (connection === undefined) return undefined;
    clearTimeout(this.#idleTimers.get(connection));
    this.#idleTimers.delete(connection);
    return connection;
  }

  async #release(connection: HopConnection): Promise<void> {
    if (!connection.usable || this.#closed) return this.#leave(connection);
    if (connection.messages >= this.#options.route.messagesPerConnection) return this.#leave(connection);
    if (this.#nextTurn(connection)) return;
    this.#idle.push(connection);
    const timer = setTimeout(() => this.#expireIdle(connection), this.#options.idleMs);
    this.#idleTimers.set(connection, timer);
  }

  #expireIdle(connection: HopConnection): void {
    this.#dropIdle(connection);
    void this.#leave(connection);
  }

  #dropIdle(connection: HopConnection): void {
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    clearTimeout(this.#idleTimers.get(connection));
    this.#idleTimers.delete(connection);
  }

  #leave(connection: HopConnection): Promise<void> {
    clearTimeout(this.#idleTimers.get(connection));
    this.#idleTimers.delete(connection);
    const left = connection.quit().finally(() => this.#leaving.delete(connection));
    this.#leaving.set(connection, left);
    return left;
  }

  // ---- new connections --------------------------------------------------------------------------------------------

  /** The first hop in order that can be reached; else what became of the last one that was tried. */
  async #connect(): Promise<HopConnection | Unreached> {
    let failed: Unreached | undefined;
    for (const [index, hop] of this.#options.hops.entries()) {
      if (this.#cutReason !== undefined)
        return { ...this.#resting(), reason: this.#cutReason, untried: false };
      if (!this.#health.mayTry(index, performance.now())) continue;
      try {
        return this.#up(await this.#connectTo(hop, index), index);
      } catch (error) {
        if (!(error instanceof PosternError)) throw error;
        failed = this.#down(hop, index, error);
      }
    }
    return failed ?? this.#resting();
  }

  #up(connection: HopConnection, index: number): HopConnection {
    const { route, log } = this.#options;
    const { name, secure, socket } = connection;
    if (this.#health.worked(index)) log.info({ event: 'relay.hop-up', route: route.name, hop: name });
    log.debug({
      event: 'relay.connected',
      route: route.name,
      hop: name,
      secure,
      certificate: socket.certificate,
    });
    return connection;
  }

  #down(hop: NetworkHop, index: number, error: PosternError): Unreached {
    const reason = printable(error.message);
    if (this.#isCrowded(index, error)) {
      if (this.#health.crowded(index, performance.now())) this.#tell('relay.hop-crowded', hop, reason);
    } else if (this.#health.failed(index, performance.now(), reason))
      this.#tell('relay.hop-down', hop, reason);
    return { hop: hopName(hop), reason, untried: false, restsUntilMs: this.#restsUntilMs(index) };
  }

  /** No hop may be tried now: the one that may be first. */
  #resting(): Unreached {
    const index = this.#health.nextUp;
    return {
      hop: this.#nameOf(index),
      reason: this.#health.reason(index),
      untried: true,
      restsUntilMs: this.#restsUntilMs(index),
    };
  }

  #nameOf(index: number): string {
    const hop = this.#options.hops[index];
    return hop === undefined ? '' : hopName(hop);
  }

  #restsUntilMs(index: number): number | undefined {
    const restMs = this.#health.restMs(index, performance.now());
    return restMs > 0 ? Date.now() + restMs : undefined;
  }

  /** It accepts and refuses, and serves us all the same: a limit on connections, not an outage. */
  #isCrowded(index: number, error: PosternError): boolean {
    return error.code === 'RELAY_PROTOCOL' && (this.#greetedOf[index]?.size ?? 0) > 0;
  }

  async #connectTo(hop: NetworkHop, index: number): Promise<HopConnection> {
    const { tls, auth } = this.#options.route;
    try {
      return await this.#greeted(hop, index, tls);
    } catch (error) {
      // Opportunistic (RFC 7435): a hop whose TLS is broken gets the mail in clear, as one without TLS does. Never the
      // credentials.
      const isLenient = tls === 'opportunistic' && auth === undefined;
      if (!isLenient || !(error instanceof PosternError) || error.code !== 'RELAY_TLS') throw error;
      this.#tell('relay.tls-failed', hop, printable(error.message));
      return this.#greeted(hop, index, 'off');
    }
  }

  async #greeted(hop: NetworkHop, index: number, tls: RouteTls): Promise<HopConnection> {
    const options = this.#hopOptions(hop, index, tls);
    const socket = await this.#dial(hop);
    const connection = new HopConnection(socket, options);
    socket.onBroken = () => {
      this.#open.delete(socket);
      this.#dropIdle(connection);
      this.#ended(connection, index);
    };
    try {
      await connection.greet(options);
      this.#greetedOf[index]?.add(connection);
      return connection;
    } catch (error) {
      connection.cut(describeError(error));
      throw error;
    }
  }

  #hopOptions(hop: NetworkHop, index: number, tls: RouteTls): HopOptions {
    const { hostname, timeouts, route } = this.#options;
    const { kind: protocol, host, port } = hop;
    const habits = this.#habits[index] ?? { avoidsChunking: false };
    return { protocol, host, port, tls, trust: this.#trust, auth: route.auth, habits, hostname, timeouts };
  }

  #ended(connection: HopConnection, index: number): void {
    if (this.#greetedOf[index]?.delete(connection) !== true) return;
    this.#health.freed(index);
    this.#nextTurn();
  }

  /** The addresses of a hop share one time-out, a silent one takes its share of it. @throws PosternError of the last tried */
  async #dial(hop: NetworkHop): Promise<HopSocket> {
    const endMs = performance.now() + this.#options.timeouts.connect;
    let last = new PosternError('RELAY_CONNECT', `no connection to ${hop.host} in time`);
    const addresses = await this.#options.addresses.find(hop.host);
    for (const [index, address] of addresses.entries()) {
      const leftMs = (endMs - performance.now()) / (addresses.length - index);
      if (leftMs <= 0) break;
      this.#assertNotCut();
      this.#makeRoom();
      const socket = new HopSocket(address, hop.port);
      this.#open.add(socket);
      socket.onBroken = () => this.#open.delete(socket);
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

  #assertNotCut(): void {
    if (this.#cutReason !== undefined) throw new PosternError('RELAY_CONNECT', this.#cutReason);
  }

  /** A leaving connection still counts at the hop: the limit holds at the price of an impolite end. */
  #makeRoom(): void {
    if (this.#open.size < this.#options.route.connections) return;
    const [oldest] = this.#leaving.keys();
    oldest?.cut('room for the next');
  }

  #tell(event: string, hop: NetworkHop, reason: string): void {
    const { route, log } = this.#options;
    log.warn({ event, route: route.name, hop: hopName(hop), reason });
  }
}
