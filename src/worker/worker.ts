/**
 * One slot, wired: spool, pool, policy, relay and listeners, in the order in which they can fail. Its life is
 * open → (serve) → drain → close; main.ts translates the primary's messages into these calls.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { OpenedBackend } from '../auth/open-backend.js';
import type { Surroundings } from '../auth/open-gate.js';
import type { OpenedTokens } from '../auth/open-tokens.js';
import { HostAddresses } from '../base/host-addresses.js';
import type { MetricsSnapshot, QueueAnswer, QueueCall } from '../base/messages.js';
import { KnownLogins } from '../base/known-logins.js';
import type { Log } from '../base/log.js';
import { NetworkSet } from '../base/networks.js';
import type { OverLimit, TallyReport } from '../base/tallies.js';
import type { Config } from '../config/config.js';
import { tallyLimits } from '../config/tally-limits.js';
import type { Meters } from '../metrics/meters.js';
import { watchProcess } from '../metrics/process-meters.js';
import { createMeters } from '../metrics/worker-meters.js';
import { Authenticator } from '../policy/authenticate.js';
import { DnsblCheck } from '../policy/dnsbl-check.js';
import { mechanismsOn } from '../policy/mechanisms.js';
import { RelayDecision } from '../policy/relay-decision.js';
import type { LoadedUsers } from '../pool/loaded-users.js';
import { openPool } from '../pool/pool.js';
import type { Pool } from '../pool/tasks.js';
import { openSpool } from '../queue/lmdb-spool.js';
import { salvageFile } from '../queue/salvage/salvage.js';
import type { Spool, SpoolHooks } from '../queue/spool.js';
import { Dispatcher } from '../relay/dispatcher.js';
import type { Notifier } from '../relay/notifier.js';
import { openNotifier } from '../relay/notifications/sender-notifier.js';
import { Admission } from './admission.js';
import { EnvelopeRoom } from './envelope-room.js';
import { Intake } from './intake.js';
import { LoginGuard } from './login-guard.js';
import { LoginTurns } from './login-turns.js';
import { Listener } from './listener.js';
import { NetworkBudgets } from './network-budgets.js';
import { QueueCalls } from './queue-calls.js';
import { queueHooks } from './queue-hooks.js';
import { ReplyCounter } from './reply-counter.js';
import { RoomMonitor } from './room-monitor.js';
import { openSaslChecks, servedMechanisms } from './sasl-checks.js';
import { readTlsMaterial } from './secure-context.js';
import type { OpenConnection, Service } from './service.js';
import { Stress } from './stress.js';
import { Tallies } from './tallies.js';
import { ticketKeysOf } from './ticket-keys.js';
import { TlsDoor } from './tls-door.js';

// Messages up to this size are one LMDB batch from memory; a larger one streams to disk while it arrives.
const smallMessageBytes = 64 * 1024;
// A commit that has not returned by then never will: lmdb-js does not settle after some failed meta writes.
const commitTimeoutMs = 30_000;
const generationBytes = 256 * 1024 * 1024;
const tickMs = 1_000;
const poolThreads = 1;
const poolQueue = 1_000;
// Well above every deadline inside a task (dnsbl.timeout: 30 s at most): passing it means the thread hangs.
const poolTaskTimeoutMs = 40_000;
// At the end of a drain, what is left of its time for the relay's open deliveries and the last commit.
const closingShareMs = 5_000;

export interface WorkerOptions {
  readonly config: Config;
  readonly slot: number;
  readonly incarnation: string;
  /** Of TLS session tickets, the same in all workers; left out: one of its own. */
  readonly ticketSecret?: Buffer;
  readonly log: Log;
  /** In open transactions, before each may have fewer; left out: what the memory of a worker allows. */
  readonly maxRecipientsHeld?: number | undefined;
  readonly onPhase: SpoolHooks['phase'];
  readonly onUnusable?: SpoolHooks['unusable'];
  /** The first failed commit, at once. */
  readonly onFailing: () => void;
  /** The queue failed: everything in flight has been answered 451, the process must end. */
  readonly onFailed: () => void;
}

export class Worker {
  readonly #options: WorkerOptions;
  readonly #meters: Meters;
  readonly #spool: Spool;
  readonly #calls: QueueCalls;
  readonly #pool: Pool;
  readonly #backends: readonly { close(): void }[];
  readonly #dispatcher: Dispatcher;
  readonly #service: Service;
  readonly #knownLogins: KnownLogins;
  readonly #listeners: Listener[];
  readonly #ticker: NodeJS.Timeout;
  readonly #emptyWaiters = new Set<() => void>();
  #failing = false;
  #closing: Promise<void> | undefined;

  private constructor(
    options: WorkerOptions,
    parts: {
      meters: Meters;
      spool: Spool;
      pool: Pool;
      backends: readonly { close(): void }[];
      service: Service;
      knownLogins: KnownLogins;
      notifier: Notifier;
    },
    listeners: Listener[],
  ) {
    this.#options = options;
    this.#meters = parts.meters;
    this.#spool = parts.spool;
    this.#calls = new QueueCalls({
      spool: parts.spool,
      slot: options.slot,
      triedAtMs: (destination, dueAtMs) => this.#dispatcher.nextAttemptAtMs(destination, dueAtMs),
      hopsResting: () => this.#dispatcher.hopsResting(),
      salvage: (file) =>
        salvageFile(parts.spool, file, {
          directory: queueDirectory(options.config),
          log: options.log,
          count: (result) => {
            parts.meters.queueSalvagedTotal.of(result).value += 1;
          },
        }),
    });
    this.#pool = parts.pool;
    this.#backends = parts.backends;
    this.#service = parts.service;
    this.#knownLogins = parts.knownLogins;
    this.#listeners = listeners;
    this.#dispatcher = new Dispatcher({
      spool: parts.spool,
      routes: options.config.routes,
      hostname: options.config.hostname,
      dnsServers: options.config.dns.servers,
      log: options.log,
      meters: parts.meters,
      notifier: parts.notifier,
      keepFailedMs: options.config.notifications.keepFailedMs,
      workers: options.config.workers,
    });
    this.#ticker = setInterval(() => this.#tick(), tickMs);
    this.#fillGauges();
  }

  /** Opens everything but the listeners. @throws PosternError of whatever cannot be used */
  static async open(options: WorkerOptions): Promise<Worker> {
    const { config, log } = options;
    const meters = createMeters({
      listeners: config.listeners.map(({ name }) => name),
      routes: Object.keys(config.routes),
      dnsblLists: config.policy.dnsbl?.lists.map(({ zone }) => zone) ?? [],
      mechanisms: mechanismsOn({ canBind: true, hasCertificate: true }, config.auth.mechanisms),
    });
    watchProcess(meters, String(options.slot));
    const users = await loadUsers(config);
    const tls = config.tls === undefined ? undefined : readTlsMaterial(config.tls);
    for (const [use, atMs] of tls?.expiresAtMs ?? [])
      meters.tlsCertificateExpirySeconds.of(use).value = atMs / 1000;
    const hosts = new HostAddresses(config.dns.servers, 'AUTH_UNREACHABLE');
    const around = { log, meters, lookup: hosts.lookup };
    const backend = await openBackend(config, around);
    const tokens = await openTokens(config, around);
    // The spool's hooks speak to what exists only once the spool is open.
    let worker: Worker | undefined;
    let room: RoomMonitor | undefined;
    let isDiskFull = false;
    const spool = await openSpool({
      directory: queueDirectory(config),
      slot: options.slot,
      incarnation: options.incarnation,
      smallMessageBytes,
      bytesInFlight: config.limits.bytesInFlight,
      commitTimeoutMs,
      generationBytes,
      hooks: queueHooks(
        log,
        meters,
        { phase: options.onPhase, unusable: options.onUnusable },
        {
          fail: () => worker?.fail(),
          diskFull: (full) => {
            isDiskFull = full;
            room?.diskFull(full);
          },
        },
      ),
    });
    const pool = openPool({
      threads: poolThreads,
      maxQueue: poolQueue,
      taskTimeoutMs: poolTaskTimeoutMs,
      observe: (task, phase, seconds) => meters.poolSeconds.of(task, phase).observe(seconds),
      threadLost: (message) =>
        log.error({ event: 'pool.thread-lost', err: message }, 'a pool thread died and was replaced'),
    });
    room = new RoomMonitor(config, spool, log);
    // The spool may have found it so as it opened.
    room.diskFull(isDiskFull);
    await room.look();
    const tallies = new Tallies(tallyLimits(config.limits));
    const knownLogins = new KnownLogins();
    const loginGuard = new LoginGuard({
      failures: tallies,
      known: knownLogins,
      exempt: config.limits.exempt,
    });
    const stress = new Stress(config.limits, log);
    const service: Service = {
      config,
      log,
      meters,
      stageData: meters.stageSeconds.of('data'),
      stress,
      envelopeRoom: new EnvelopeRoom(config.limits.recipients, log, options.maxRecipientsHeld),
      tallies,
      networkBudgets: new NetworkBudgets(config.limits, tallies),
      admission: new Admission(config.limits, tallies),
      loginGuard,
      loginTurns: new LoginTurns(loginGuard),
      intake: new Intake(spool, config.hostname, meters, log),
      room,
      replyCounter: new ReplyCounter(meters),
      relayDecision: new RelayDecision(config),
      normalizedClients: new NetworkSet(config.policy.bareNewlines.normalizeFrom),
      dnsbl: openDnsbl(config, pool, meters),
      authenticator:
        users === undefined
          ? backend?.authenticator
          : new Authenticator({ users, verify: (task, first) => pool.run('password', task, first), meters }),
      saslChecks: openSaslChecks(config, users, tokens?.source, meters),
      connections: new Set<OpenConnection>(),
      draining: 'no',
      connectionClosed: () => worker?.connectionClosed(),
    };
    const mechanisms = servedMechanisms(config.auth, users, log);
    const tickets = options.ticketSecret ?? randomBytes(32);
    const listeners = config.listeners.map((listener) => {
      const isSecure = tls !== undefined && listener.tls !== 'off';
      const door = isSecure
        ? new TlsDoor(listener, tls, ticketKeysOf(tickets, listener.name), log)
        : undefined;
      return new Listener(listener, service, mechanisms, door);
    });
    const backends = [backend, tokens, { close: () => hosts.cancel() }].filter(
      (opened) => opened !== undefined,
    );
    const notifier = openNotifier({ config, spool, log, meters });
    worker = new Worker(
      options,
      { meters, spool, pool, backends, service, knownLogins, notifier },
      listeners,
    );
    return worker;
  }

  /** Opens the listeners and starts the relay. @throws PosternError LISTEN_FAILED */
  async serve(): Promise<void> {
    for (const listener of this.#listeners) {
      const port = await listener.open();
      this.#options.log.info({ event: 'listener.open', listener: listener.name, port }, 'accepting mail');
    }
    this.#dispatcher.start();
  }

  /** Runs beside the service: accepting mail does not wait for it. @param blame as Spool.adopt */
  async adopt(files: readonly string[], blame: boolean): Promise<void> {
    if (files.length === 0) return;
    this.#options.log.info(
      { event: 'queue.adopt', files },
      'taking over queue files of a process that is gone',
    );
    const beganAtMs = performance.now();
    const messages = await this.#spool.adopt(files, blame);
    const ms = Math.round(performance.now() - beganAtMs);
    if (this.#closing !== undefined || this.#failing) return;
    this.#options.log.info({ event: 'queue.adopted', messages, ms }, 'what they hold is in schedule');
  }

  /** Names of the routes on which nothing is to be tried: the whole set. */
  freeze(routes: readonly string[]): void {
    this.#dispatcher.freeze(routes);
  }

  /** Tickets made before are worth nothing from now on. */
  setTicketSecret(secret: Buffer): void {
    for (const { name, door } of this.#listeners) door?.setTicketKeys(ticketKeysOf(secret, name));
  }

  get leased(): number {
    return this.#spool.leased;
  }

  /** Queue files open in this process. */
  get files(): readonly string[] {
    return this.#spool.openFiles();
  }

  /** Why mail is refused now; '' while it is not. */
  get refusing(): string {
    return this.#service.room.refusing;
  }

  get connections(): number {
    return this.#service.admission.open;
  }

  /** What changed per client network since the last report. */
  takeReport(): TallyReport | undefined {
    this.#service.networkBudgets.report();
    return this.#service.tallies.takeReport();
  }

  /** Who logged in from where since the last call, for the other workers. */
  takeKnownLogins(): string[] | undefined {
    return this.#knownLogins.takeNews();
  }

  learnLogins(keys: readonly string[]): void {
    this.#knownLogins.learn(keys);
  }

  /** Client networks that are at a limit in all workers together. */
  setOverLimit(over: OverLimit): void {
    this.#service.tallies.setOverLimit(over);
    this.#service.networkBudgets.obey();
  }

  call(call: QueueCall): Promise<QueueAnswer> {
    return this.#calls.answer(call);
  }

  snapshot(): MetricsSnapshot {
    return this.#meters.snapshot();
  }

  /**
   * No new connections; open transactions get their answer. 'stop': idle clients get 421 now. 'reload': a
   * session goes on until it is idle for some seconds between two transactions, and gets 421 then. At the bound what is left is cut with 421. Then the queue is closed; relayed is what could be.
   * A second call, with its own bound, may hurry a first one.
   */
  async drain(reason: 'stop' | 'reload', boundMs: number): Promise<void> {
    const { log } = this.#options;
    const endMs = performance.now() + boundMs;
    log.info({ event: 'worker.drain', reason, connections: this.connections }, 'draining');
    this.#service.draining = reason;
    for (const listener of this.#listeners) listener.close();
    if (reason === 'stop') {
      for (const connection of this.#service.connections) if (connection.isIdle) connection.shutDown();
    }
    await this.#untilNoConnections(Math.max(0, boundMs - closingShareMs));
    for (const connection of this.#service.connections) connection.shutDown();
    await this.#untilNoConnections(1_000);
    for (const connection of this.#service.connections) connection.destroy();
    this.#closing ??= this.#close(Math.max(1_000, Math.min(closingShareMs, endMs - performance.now())));
    await this.#closing;
  }

  connectionClosed(): void {
    if (this.#service.connections.size > 0) return;
    for (const waiter of this.#emptyWaiters) waiter();
  }

  /** Nothing more may be acknowledged: MAIL is refused, all in flight get 451 from their failed commits. */
  fail(): void {
    if (this.#failing) return;
    this.#failing = true;
    this.#options.onFailing();
    this.#service.room.closeForGood();
    for (const listener of this.#listeners) listener.close();
    void this.#endAfterFailure();
  }

  async #endAfterFailure(): Promise<void> {
    // The rejections of the commits that fail with it have to become replies first.
    await new Promise((resolve) => setTimeout(resolve, 100));
    this.#service.draining = 'stop';
    for (const connection of this.#service.connections) if (connection.isIdle) connection.shutDown();
    await this.#untilNoConnections(2_000);
    for (const connection of this.#service.connections) connection.shutDown();
    await this.#untilNoConnections(500);
    this.#options.onFailed();
  }

  #untilNoConnections(boundMs: number): Promise<void> {
    if (this.#service.connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#emptyWaiters.delete(done);
        resolve();
      };
      const timer = setTimeout(done, boundMs);
      this.#emptyWaiters.add(done);
    });
  }

  async #close(boundMs: number): Promise<void> {
    clearInterval(this.#ticker);
    await this.#dispatcher.stop(boundMs);
    this.#calls.close();
    await this.#spool.close();
    await this.#pool.close();
    for (const backend of this.#backends) backend.close();
  }

  #tick(): void {
    const nowMs = performance.now();
    const { stress } = this.#service;
    stress.look({ connections: this.connections, bytesInFlight: this.#spool.stats().bytesInFlight });
    let recipients = 0;
    for (const connection of this.#service.connections) {
      connection.tick(nowMs);
      recipients += connection.recipients;
    }
    this.#service.envelopeRoom.look(recipients);
    void this.#service.room.look();
  }

  #fillGauges(): void {
    const meters = this.#meters;
    meters.onSnapshot(() => {
      this.#dispatcher.fillGauges();
      const stats = this.#spool.stats();
      for (const [state, count] of Object.entries(stats.messages))
        meters.queueMessages.of(state).value = count;
      meters.queueBytes.of().value = stats.bytes;
      meters.queueBytesInFlight.of().value = stats.bytesInFlight;
      const oldest = stats.oldestArrivedAtMs;
      meters.queueOldestSeconds.of().value =
        oldest === undefined ? 0 : Math.max(0, (Date.now() - oldest) / 1000);
      meters.poolQueue.of().value = this.#pool.queued;
      meters.stress.of(String(this.#options.slot)).value = this.#service.stress.active ? 1 : 0;
    });
  }
}

function queueDirectory(config: Config): string {
  return join(config.dataDir, 'queue');
}

async function loadUsers({ auth }: Config): Promise<LoadedUsers | undefined> {
  if (auth.usersFile === undefined) return undefined;
  // Here, not above: most workers have no users and start sooner without a parser of YAML.
  const usersFile = await import('../pool/users-file.js');
  return usersFile.loadUsers(auth.usersFile);
}

async function openBackend({ auth }: Config, around: Surroundings): Promise<OpenedBackend | undefined> {
  if (auth.backend === undefined) return undefined;
  // Here, not above: as the users file.
  const backends = await import('../auth/open-backend.js');
  return backends.openBackend(auth.backend, auth.cacheMs, around);
}

async function openTokens({ auth }: Config, around: Surroundings): Promise<OpenedTokens | undefined> {
  if (auth.tokens === undefined) return undefined;
  const tokens = await import('../auth/open-tokens.js');
  return tokens.openTokens(auth.tokens, around);
}

function openDnsbl(config: Config, pool: Pool, meters: Meters): DnsblCheck | undefined {
  const { dnsbl } = config.policy;
  if (dnsbl === undefined || dnsbl.lists.length === 0) return undefined;
  return new DnsblCheck({
    config: dnsbl,
    servers: config.dns.servers,
    ask: (task) => pool.run('dnsbl', task),
    meters,
  });
}
