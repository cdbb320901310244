/**
 * A server under load between senders and a hop that remember, the blows that it is dealt, and the wait until its queue
 * is empty again. One rig is one data directory, through as many lives of the server as the suite takes.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { listSpoolFiles } from '../../src/base/spool-files.js';
import type { Status } from '../../src/base/messages.js';
import { startPostern, type ConfigOverrides, type RunningPostern } from '../support/postern.js';
import { commandLineOf, isRunning, until } from '../support/processes.js';
import { signalQuietly } from '../support/program.js';
import { Hop, type HopOptions } from './hop.js';
import { MailLoad, type LoadOptions } from './mail-load.js';
import { monotonicMs } from './monotonic.js';
import { judge, type Blow, type Verdict } from './oracle.js';

export interface RigOptions {
  readonly workers?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly config?: ConfigOverrides;
  readonly hop?: HopOptions;
  readonly wrapper?: readonly string[];
}

export const blowKinds = ['worker', 'workers', 'primary', 'everything'] as const;
export type BlowKind = (typeof blowKinds)[number];

// What no fault of these suites may bring about: our own bugs, and damage to what was stored.
const forbiddenEvents: ReadonlySet<string> = new Set([
  'worker.crash',
  'primary.crashed',
  'queue.damaged',
  'queue.quarantined',
  'worker.silent',
]);
const recoveryBoundMs = 40_000;

export class Rig {
  readonly hop: Hop;
  readonly blows: Blow[] = [];
  /** Lines of all lives that must not be. */
  readonly troubles: unknown[] = [];
  readonly loads: MailLoad[] = [];
  readonly #ends: Promise<void>[] = [];
  postern: RunningPostern;
  readonly #options: RigOptions;

  private constructor(postern: RunningPostern, hop: Hop, options: RigOptions) {
    this.postern = postern;
    this.hop = hop;
    this.#options = options;
  }

  static async start(options: RigOptions = {}): Promise<Rig> {
    const hop = await Hop.open(options.hop);
    const { env, wrapper } = options;
    const postern = await startPostern({
      ...(env === undefined ? {} : { env }),
      ...(wrapper === undefined ? {} : { wrapper }),
      config: {
        workers: options.workers ?? 2,
        log: { level: 'warn' },
        routes: {
          disk: { to: `smtp://127.0.0.1:${hop.port}`, tls: 'off', retry: { first: '1s', max: '2s' } },
        },
        ...options.config,
      },
    });
    return new Rig(postern, hop, options);
  }

  load(options: Omit<LoadOptions, 'port'>): MailLoad {
    const load = new MailLoad({ ...options, port: this.postern.smtpPort });
    this.loads.push(load);
    return load;
  }

  /** kill -9. Returns when the victims are gone; who is to be started again is the caller's. */
  async kill(kind: BlowKind, worker = 0): Promise<void> {
    const { pid } = this.postern;
    const workers = this.postern.workerPids();
    const atMs = monotonicMs();
    const victims = {
      worker: workers.slice(worker, worker + 1),
      workers,
      primary: [pid],
      everything: [pid, ...workers],
    };
    for (const victim of victims[kind]) signalQuietly(victim, 'SIGKILL');
    // A primary takes its workers with it, in their own time.
    const gone = kind === 'worker' || kind === 'workers' ? victims[kind] : [pid, ...workers];
    if (kind === 'primary' || kind === 'everything') await this.postern.exited;
    const end = (): boolean => gone.every((one) => !isRunning(one) || commandLineOf(one) === '');
    const noteEnd = (async () => {
      await until('the killed are gone', end, recoveryBoundMs);
      this.blows.push({ kind, atMs, untilMs: monotonicMs() });
    })();
    // A supervisor starts a dead primary at once, whether the old workers have gone or not.
    if (kind !== 'primary') await noteEnd;
    else this.#ends.push(noteEnd);
  }

  /** A blow that the suite deals by other means. */
  async blow(kind: string, deal: () => Promise<void>): Promise<void> {
    const atMs = monotonicMs();
    await deal();
    this.blows.push({ kind, atMs, untilMs: monotonicMs() });
  }

  async startAgain(): Promise<void> {
    this.#collectTroubles();
    const { env } = this.#options;
    this.postern = await startPostern({ again: this.postern, ...(env === undefined ? {} : { env }) });
  }

  /** Every slot has a worker that accepts mail. */
  async allReady(): Promise<void> {
    const expected = this.#options.workers ?? 2;
    await until(
      'every slot has a worker that accepts mail',
      async () => {
        const status = await this.status();
        const ready = status?.workers.filter(({ state }) => state === 'ready') ?? [];
        return ready.length === expected && ready.every(({ pid }) => isRunning(pid));
      },
      recoveryBoundMs,
    );
  }

  async status(): Promise<Status | undefined> {
    const response = await this.postern.api('/api/v1/status').catch(() => undefined);
    return response?.status === 200 ? ((await response.json()) as Status) : undefined;
  }

  /** All that was acknowledged is at the hop, and nothing is left in the queue, nor in files that wait for adoption. */
  async drained(timeoutMs = 60_000): Promise<void> {
    const arrived = (): boolean => this.#missing().length === 0;
    const deadline = monotonicMs() + timeoutMs;
    while (monotonicMs() < deadline) {
      if (arrived() && (await this.#isEmpty())) return;
      await sleep(50);
    }
    const status = JSON.stringify((await this.status())?.queue);
    const missing = this.#missing();
    throw new Error(
      `not drained in ${timeoutMs} ms: ${missing.length} missing (${missing.slice(0, 5).join(', ')}), ${status}`,
    );
  }

  #missing(): string[] {
    return this.loads.flatMap(({ sent }) =>
      [...sent].filter(([id, { outcome }]) => outcome === 'acked' && !this.#isDone(id)).map(([id]) => id),
    );
  }

  #isDone(id: string): boolean {
    return this.hop.takenIds.has(id) || this.hop.notified.has(id);
  }

  async #isEmpty(): Promise<boolean> {
    const status = await this.status();
    if (status === undefined || Object.values(status.queue.messages).some((count) => count > 0)) return false;
    // Each worker has one file; any other has yet to be adopted, or to be emptied.
    return (await listSpoolFiles(`${this.postern.dataDir}/queue`)).length <= status.workers.length;
  }

  /** Call after the load has stopped and the queue is empty. */
  async judge(): Promise<Verdict> {
    await Promise.all(this.#ends);
    this.#collectTroubles();
    const sent = new Map(this.loads.flatMap((load) => [...load.sent]));
    return judge({ sent, taken: this.hop.taken, notified: this.hop.notified, blows: this.blows });
  }

  /** What was judged, so that a long run does not keep millions of records. */
  forget(): void {
    this.loads.length = 0;
    this.hop.forget();
  }

  async dispose(): Promise<void> {
    await Promise.all(this.loads.map((load) => load.stop()));
    await this.postern.dispose();
    await this.hop.close();
  }

  #collectTroubles(): void {
    this.troubles.push(...this.postern.log.filter(({ event }) => forbiddenEvents.has(event ?? '')));
  }
}
