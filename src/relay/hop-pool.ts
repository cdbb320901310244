/**
 * The connections to a group of SMTP or LMTP hops: opened to the hop that hop-group chooses, used for several messages,
 * kept a moment while idle, never more than a hop takes (then messages wait for their turn on those there are). Owns
 * failover and the second try when a kept connection turns out to be dead; when to try again later is the queue's.
 */
import { PosternError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { RouteConfig } from '../config/config.js';
import type { Lease } from '../queue/spool.js';

import {
  handoverOfBoth,
  sameResult,
  type Carrier,
  type CarryOutcome,
  type CarryResult,
  type Handover,
  type Outage,
} from './carrier.js';
import { maxRecipientsPerTransaction, transact, type TransactionOutcome } from './delivery.js';
import { ConnectionTurns } from './connection-turns.js';
import { HopConnection, hopName } from './hop-connection.js';
import type { Dialled, HopDialer, NetworkHop } from './hop-dialer.js';
import { HopGroup } from './hop-group.js';
import { patienceMs, type HopAttempt } from './hop-health.js';
import type { HopRecords } from './hop-records.js';
import type { GroupedHop, Supply } from './hop-shares.js';
import { KeptConnections } from './kept-connections.js';
import { printable } from './last-reply.js';
import type { RouteSockets } from './route-sockets.js';

export interface HopPoolOptions {
  readonly route: RouteConfig;
  /** At least one. */
  readonly hops: readonly NetworkHop[];
  /** Shared by the pools of the route. */
  readonly records: HopRecords;
  readonly dialer: HopDialer;
  readonly sockets: RouteSockets;
  readonly idleMs: number;
  readonly log: Log;
  /** Where nothing was known to work, something is: more mail may be brought. */
  readonly onReady: () => void;
  readonly random?: () => number;
  /** Lanes among which hops of one priority share each message by weight. Left out: only each new connection. */
  readonly shareLanes?: number;
}

interface Transacted {
  readonly connection: HopConnection;
  readonly outcome: TransactionOutcome;
}

interface Unreached extends Omit<Outage, 'lastsMs'> {
  /** No hop would take a connection: there was none, not even a try. */
  readonly untried: boolean;
}

/** So long a message waits for its turn on a connection before it asks for one of its own again. */
const turnMs = 10_000;

export class HopPool implements Carrier {
  readonly #options: HopPoolOptions;
  readonly #group: HopGroup;
  readonly #kept: KeptConnections;
  readonly #turns = new ConnectionTurns();
  readonly #hops = new WeakMap<HopConnection, GroupedHop>();
  readonly #supply: Supply;
  /** Greeted and not closed: of this pool, while others may share the hops. */
  #own = 0;
  /** Attempts under way. */
  #connecting = 0;
  #closed = false;
  #cutReason: string | undefined;

  constructor(options: HopPoolOptions) {
    this.#options = options;
    const { hops, records, sockets, random = Math.random, shareLanes } = options;
    this.#group = new HopGroup(
      hops.map((hop) => ({ hop, ...records.of(hopName(hop)) })),
      random,
      shareLanes,
    );
    this.#kept = new KeptConnections(options.idleMs, sockets);
    this.#supply = {
      isKept: (hop) => this.#kept.has((each) => this.#hops.get(each) === hop),
      get hasRoom() {
        return sockets.hasRoom;
      },
    };
  }

  get hop(): string {
    return hopName(this.#group.first.hop);
  }

  /** In doubt each hop is asked by one message, so that one which keeps it waiting leaves the others to find out. */
  get usefulLanes(): number {
    const nowMs = performance.now();
    if (this.#group.isSure(nowMs)) return Infinity;
    return Math.max(this.#own + this.#connecting + (this.#group.isOpen(nowMs) ? 1 : 0), 1);
  }

  /** No connection is open for later. */
  get isQuiet(): boolean {
    return this.#kept.isEmpty;
  }

  pauseMs(): number {
    return this.#group.pauseMs(performance.now(), this.#own === 0);
  }

  endRests(): void {
    this.#group.endRests();
  }

  outage(): Outage | undefined {
    const lastsMs = this.#group.outageMs(performance.now());
    return this.#group.allIll ? { ...this.#resting(), lastsMs } : undefined;
  }

  async carry(lease: Lease, addresses: readonly string[]): Promise<CarryOutcome> {
    const results: CarryResult[] = [];
    let hop = '';
    let tls: string | undefined;
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
          tls,
          results,
          handover,
          ambiguous,
          corrupt,
          untried,
          restsUntilMs,
        };
      }
      hop = done.connection.name;
      tls = done.connection.socket.tlsVersion;
      handover = handoverOfBoth(handover, done.outcome.handover);
      results.push(...done.outcome.results);
      ambiguous ||= done.outcome.ambiguous;
      corrupt ||= done.outcome.corrupt;
      await this.#release(done.connection);
    }
    return { hop, tls, results, handover, ambiguous, corrupt };
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.#kept.close();
  }

  cut(reason: string): void {
    this.#closed = true;
    this.#cutReason = reason;
    this.#options.sockets.fail(new PosternError('RELAY_CONNECT', reason));
    this.#turns.wakeAll();
  }

  async #transact(lease: Lease, addresses: readonly string[]): Promise<Transacted | Unreached> {
    // Nobody is preferred: any kept connection is better than to wait.
    const next = this.#group.next(this.#supply, performance.now());
    let connection = this.#take(next) ?? (await this.#obtain(next));
    while (connection instanceof HopConnection) {
      const isKept = connection.messages > 0;
      const outcome = await this.#hand(connection, lease, addresses);
      if (!isKept || outcome.answered || outcome.corrupt || this.#closed) return { connection, outcome };
      // The hop closed a kept connection while it was idle, or says so now: no failure yet, a fresh one will tell.
      connection.cut('stale');
      connection = await this.#obtain();
    }
    return connection;
  }

  /** @param hop left out: of any */
  #take(hop?: GroupedHop): HopConnection | undefined {
    const ofHop = hop && ((each: HopConnection): boolean => this.#hops.get(each) === hop);
    return this.#given(this.#kept.take(ofHop));
  }

  /** A message has got the connection. */
  #given(connection: HopConnection | undefined): HopConnection | undefined {
    const hop = connection && this.#hops.get(connection);
    if (hop !== undefined) this.#group.began(hop);
    return connection;
  }

  async #hand(
    connection: HopConnection,
    lease: Lease,
    addresses: readonly string[],
  ): Promise<TransactionOutcome> {
    try {
      return await transact(connection, lease, addresses);
    } finally {
      const hop = this.#hops.get(connection);
      if (hop !== undefined) this.#group.ended(hop, true);
    }
  }

  async #release(connection: HopConnection): Promise<void> {
    if (!connection.usable || this.#closed) return this.#kept.leave(connection);
    if (connection.messages >= this.#options.route.messagesPerConnection) return this.#kept.leave(connection);
    if (this.#turns.next(connection)) return;
    this.#kept.keep(connection);
  }

  // ---- new connections --------------------------------------------------------------------------------------------

  /** A connection to the hop that is to be asked first, or the next; when they have as many as they want, one of those,
   *  in turn; else what became of the last one that was tried.
   *  @param first left out: the group's choice */
  async #obtain(first?: GroupedHop): Promise<HopConnection | Unreached> {
    const tried = new Set<GroupedHop>();
    let failed: Unreached | undefined;
    for (let next = first; ; next = undefined) {
      if (this.#cutReason !== undefined)
        return { ...this.#resting(), reason: this.#cutReason, untried: false };
      const choice = next ?? this.#group.choose(tried, performance.now());
      if (choice === undefined || choice === 'wait') {
        const waits = choice === 'wait' || (this.#group.anyCrowded && this.#own > 0);
        if (!waits || this.#closed) return failed ?? this.#resting();
        const turn = this.#kept.take() ?? (await this.#turns.wait(choice === 'wait' ? patienceMs : turnMs));
        const connection = this.#given(turn);
        if (connection !== undefined) return connection;
        // Whoever waited because all were crowded may ask each of them again.
        if (choice === undefined) tried.clear();
        continue;
      }
      tried.add(choice);
      const reached = await this.#connect(choice);
      if (reached instanceof HopConnection) return reached;
      failed = reached;
      const kept = this.#take();
      if (kept !== undefined) return kept;
    }
  }

  async #connect(choice: GroupedHop): Promise<HopConnection | Unreached> {
    const { hop, health, habits, greeted } = choice;
    const wasSure = this.#group.isSure(performance.now());
    const attempt = health.begin(performance.now());
    this.#group.began(choice);
    this.#connecting++;
    try {
      const connection = await this.#options.dialer.connect(hop, habits, this.#caller(choice));
      this.#hops.set(connection, choice);
      // It may have ended in the same moment.
      if (connection.usable) {
        greeted.add(connection);
        this.#own++;
      }
      this.#up(connection, health.worked(attempt, performance.now()));
      this.#turns.wakeAll();
      if (!wasSure) this.#options.onReady();
      return connection;
    } catch (error) {
      this.#group.ended(choice, false);
      const failed = this.#failure(choice, attempt, error);
      this.#turns.wakeAll();
      if (!(error instanceof PosternError)) throw error;
      return failed;
    } finally {
      this.#connecting--;
    }
  }

  #caller(choice: GroupedHop): Dialled {
    const cutReason = (): string | undefined => this.#cutReason;
    return {
      get cutReason() {
        return cutReason();
      },
      onEnded: (connection) => this.#ended(connection, choice),
    };
  }

  #ended(connection: HopConnection, { greeted, health }: GroupedHop): void {
    this.#kept.drop(connection);
    if (!greeted.delete(connection)) return;
    this.#own--;
    health.freed();
    this.#turns.next();
  }

  #up({ name, secure, socket }: HopConnection, wasIll: boolean): void {
    const { route, log } = this.#options;
    if (wasIll) log.info({ event: 'relay.hop-up', route: route.name, hop: name });
    log.debug({
      event: 'relay.connected',
      route: route.name,
      hop: name,
      secure,
      certificate: socket.certificate,
    });
  }

  #failure(choice: GroupedHop, attempt: HopAttempt, error: unknown): Unreached {
    const { hop, health } = choice;
    const nowMs = performance.now();
    const reason = printable(error instanceof Error ? error.message : String(error));
    if (this.#cutReason !== undefined) health.abandoned(attempt, nowMs);
    else if (isCrowded(choice, error)) {
      if (health.crowded(attempt, nowMs)) this.#options.dialer.tell('relay.hop-crowded', hop, reason);
    } else if (health.failed(attempt, nowMs, reason))
      this.#options.dialer.tell('relay.hop-down', hop, reason);
    return { hop: hopName(hop), reason, untried: false, restsUntilMs: restsUntilMs(choice) };
  }

  /** No hop may be tried now: the one that may be first. */
  #resting(): Unreached {
    const next = this.#group.nextUp(performance.now());
    const { reason } = next.health;
    return { hop: hopName(next.hop), reason, untried: true, restsUntilMs: restsUntilMs(next) };
  }
}

function restsUntilMs({ health }: GroupedHop): number | undefined {
  const restMs = health.restMs(performance.now());
  return restMs > 0 ? Date.now() + restMs : undefined;
}

/** It accepts and refuses, and serves us all the same: a limit on connections, not an outage. */
function isCrowded({ greeted }: GroupedHop, error: unknown): boolean {
  return error instanceof PosternError && error.code === 'RELAY_PROTOCOL' && greeted.size > 0;
}
