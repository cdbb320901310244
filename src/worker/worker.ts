/**
 * One slot at work. Its life is open → (serve) → drain → close; main.ts translates the primary's messages into these
 * calls. What it is made of, and how that is opened: worker-parts.ts.
 */
import type { MetricsSnapshot, QueueAnswer, QueueCall } from '../base/messages.js';
import type { KnownLogins } from '../base/known-logins.js';
import type { OverLimit, TallyReport } from '../base/tallies.js';
import type { Meters } from '../metrics/meters.js';
import type { Pool } from '../pool/tasks.js';
import { salvageFile } from '../queue/salvage/salvage.js';
import type { Spool } from '../queue/spool.js';
import { Dispatcher } from '../relay/dispatcher.js';
import type { Listener } from './listener.js';
import { QueueCalls } from './queue-calls.js';
import type { Service } from './service.js';
import { ticketKeysOf } from './ticket-keys.js';
import { openParts, queueDirectory, type WorkerOptions, type WorkerParts } from './worker-parts.js';

const tickMs = 1_000;
// At the end of a drain, what is left of its time for the relay's open deliveries and the last commit.
const closingShareMs = 5_000;
// However late the drain is: a commit under way ends within it.
const leastClosingMs = 1_000;
// For the 421 of a drain's end to get out, and for the connection to be closed by the client.
const lastWordsMs = 1_000;
// After the first failed commit: for the rejections of the commits that fail with it to become replies, for those to be
// read and the transactions beside them to end, and for a 421 to get out.
const failedRepliesMs = 100;
const failedSessionsMs = 2_000;
const failedLastWordsMs = 500;

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
  readonly #listeners: readonly Listener[];
  readonly #ticker: NodeJS.Timeout;
  readonly #emptyWaiters = new Set<() => void>();
  #failing = false;
  #closing: Promise<void> | undefined;

  private constructor(options: WorkerOptions, parts: WorkerParts) {
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
    this.#listeners = parts.listeners;
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
    // What is opened speaks to what exists only once all of it is open.
    let worker: Worker | undefined;
    const parts = await openParts(options, {
      fail: () => worker?.fail(),
      connectionClosed: () => worker?.connectionClosed(),
    });
    worker = new Worker(options, parts);
    return worker;
  }

  /** Opens the listeners and starts the relay. @throws PosternError LISTEN_FAILED */
  async serve(): Promise<void> {
    for (const listener of this.#listeners) {
      const port = await listener.open();
      this.#options.log.info({ event: 'listener.open', listener: listener.name, port }, 'listening');
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
   * No new connections; open transactions get their answer. 'stop': idle clients get 421 now. 'reload': a session goes
   * on until it is idle for some seconds between two transactions, and gets 421 then. At the bound what is left is cut
   * with 421. Then the queue is closed; relayed is what could be.
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
    await this.#untilNoConnections(lastWordsMs);
    for (const connection of this.#service.connections) connection.destroy();
    this.#closing ??= this.#close(
      Math.max(leastClosingMs, Math.min(closingShareMs, endMs - performance.now())),
    );
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

  /** 421 for the clients to whom nothing is owed; where the process ends in this turn, as far as sockets take it at once. */
  lastWords(): void {
    this.#service.draining = 'stop';
    for (const connection of this.#service.connections) if (connection.isIdle) connection.shutDown();
  }

  async #endAfterFailure(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, failedRepliesMs));
    this.lastWords();
    await this.#untilNoConnections(failedSessionsMs);
    for (const connection of this.#service.connections) connection.shutDown();
    await this.#untilNoConnections(failedLastWordsMs);
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
