/**
 * From start to exit code: the order of starting, what signals do, and how it ends. Knows nothing of mail; what is
 * started and stopped is the caller's `Service`.
 */
import { describeError, errorCodeOf } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { DrainBounds } from './supervisor.js';
import type { StartOutcome } from './worker-process.js';

export interface Service {
  /** Resolves when the listeners are open, or with the reason why they never will be. */
  start(): Promise<StartOutcome>;
  /** Why new mail is refused now, one sentence for each thing that stands in the way; empty while it is accepted. */
  refusing(): readonly string[];
  reload(): void;
  /** Resolves when every process has ended. Called again: with shorter bounds. */
  stop(bounds: DrainBounds): Promise<void>;
  /** Gives everything back; called once, after stop. */
  close(): Promise<void>;
}

// F-33: a stop takes at most 30 s. Workers get what leaves them time to answer 421, commit and close.
const firstStop: DrainBounds = { drainMs: 25_000, killMs: 30_000 };
// The second signal: who sends it does not want to wait; a commit under way still gets its time.
const secondStop: DrainBounds = { drainMs: 2_000, killMs: 5_000 };

const stopSignals = ['SIGTERM', 'SIGINT'] as const;

export class Lifecycle {
  readonly #service: Service;
  readonly #log: Log;
  #stops = 0;
  #stopped: Promise<void> | undefined;
  #settleStopRequested: () => void = () => {};
  readonly #stopRequested = new Promise<void>((resolve) => (this.#settleStopRequested = resolve));
  #exitCode = 0;

  constructor(service: Service, log: Log) {
    this.#service = service;
    this.#log = log;
  }

  /** Runs the service until it is stopped. The exit code: 0 stopped as asked, 1 failed. */
  async run(): Promise<number> {
    this.#listenToSignals();
    const outcome = await this.#service.start();
    if (outcome.ok) this.#announce(this.#service.refusing());
    else if (this.#stops === 0) this.#fail(outcome);
    await this.#stopRequested;
    await this.#stopped;
    await this.#service.close();
    this.#log.info({ event: 'service.stopped', exit_code: this.#exitCode }, 'stopped');
    return this.#exitCode;
  }

  stop(reason: string): void {
    this.#stops += 1;
    this.#log.info({ event: 'service.stopping', reason }, this.#stops === 1 ? 'draining' : 'draining faster');
    this.#stopped = this.#service.stop(this.#stops === 1 ? firstStop : secondStop);
    this.#settleStopRequested();
  }

  #announce(refusing: readonly string[]): void {
    if (refusing.length === 0) return this.#log.info({ event: 'service.ready' }, 'mail is accepted');
    return this.#log.error(
      { event: 'service.ready', refusing },
      `the listeners are open, and new mail is refused: ${refusing.join('; ')}`,
    );
  }

  #fail(outcome: Extract<StartOutcome, { ok: false }>): void {
    reportFailure(this.#log, outcome.code, outcome.message);
    this.#exitCode = 1;
    this.stop('the start failed');
  }

  /** A bug of ours in the primary: mail under way is finished, then another start may do better. */
  #crash(error: unknown): void {
    this.#log.fatal({ event: 'primary.crashed', err: error }, describeError(error));
    this.#exitCode = 1;
    this.stop('a fault in the primary');
  }

  /** For good: a signal that comes while the last things are closed must not change the exit code. */
  #listenToSignals(): void {
    for (const signal of stopSignals) process.on(signal, () => this.stop(signal));
    process.on('SIGHUP', () => this.#service.reload());
    process.on('uncaughtException', (error) => this.#crash(error));
  }
}

/** Once for machines in the log, once for people on stderr. */
function reportFailure(log: Log, code: string, message: string): void {
  log.fatal({ event: 'start.failed', code }, message);
  process.stderr.write(`postern: ${message}\n`);
}

/** What a start that threw says, before anything runs. */
export function reportStartError(log: Log, error: unknown): void {
  reportFailure(log, errorCodeOf(error) ?? 'INTERNAL', describeError(error));
}
