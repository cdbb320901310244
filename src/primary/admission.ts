/**
 * Open connections per client network, merged over all workers. Workers count their own and tell what changed; the
 * set of networks that reached a limit goes back to all of them: no round trip per connection, at the price of what
 * comes in within two periods. Pure but for the timer of `AdmissionBroadcast`.
 */
import type { FromWorker } from '../base/messages.js';
import type { LimitsConfig } from '../config/config.js';
import type { WorkerProcess } from './worker-process.js';

export type AdmissionLimits = Pick<LimitsConfig, 'connectionsPerHost' | 'connectionsPerNetwork'>;

// As often as workers report; a flood of reports from many workers is still one broadcast.
const broadcastPeriodMs = 250;

/** Keys as `networkKeys` makes them: neighbourhoods end in /24 or /48, hosts have no prefix or /64. */
function isNeighbourhood(key: string): boolean {
  return key.endsWith('/24') || key.endsWith('/48');
}

/** Memory is bounded by the open connections: an entry goes with its last one. */
export class Admission {
  #limits: AdmissionLimits;
  readonly #byWorker = new Map<string, Map<string, number>>();
  readonly #totals = new Map<string, number>();
  readonly #over = new Set<string>();

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /** @param counts by network key, changes only; 0: gone */
  update(worker: string, counts: Readonly<Record<string, number>>): void {
    const own = this.#byWorker.get(worker) ?? new Map<string, number>();
    this.#byWorker.set(worker, own);
    for (const [key, count] of Object.entries(counts)) this.#set(own, key, count);
  }

  /** The worker is dead, and its connections with it. */
  depart(worker: string): void {
    const own = this.#byWorker.get(worker);
    if (own === undefined) return;
    this.#byWorker.delete(worker);
    for (const key of own.keys()) this.#set(own, key, 0);
  }

  setLimits(limits: AdmissionLimits): void {
    this.#limits = limits;
    this.#over.clear();
    for (const [key, total] of this.#totals) this.#judge(key, total);
  }

  /** Networks that have as many connections as they may: the next one is refused. Sorted. */
  overLimit(): string[] {
    return [...this.#over].toSorted();
  }

  /** Networks that have an open connection. */
  get size(): number {
    return this.#totals.size;
  }

  #set(own: Map<string, number>, key: string, count: number): void {
    const total = (this.#totals.get(key) ?? 0) - (own.get(key) ?? 0) + count;
    if (count > 0) own.set(key, count);
    else own.delete(key);
    if (total > 0) this.#totals.set(key, total);
    else this.#totals.delete(key);
    this.#judge(key, total);
  }

  #judge(key: string, total: number): void {
    const { connectionsPerHost, connectionsPerNetwork } = this.#limits;
    if (total >= (isNeighbourhood(key) ? connectionsPerNetwork : connectionsPerHost)) this.#over.add(key);
    else this.#over.delete(key);
  }
}

/** Carries the workers' counts to `Admission` and its set back. */
export class AdmissionBroadcast {
  readonly #admission: Admission;
  readonly #workers: () => readonly WorkerProcess[];
  readonly #timer: NodeJS.Timeout;
  #lastSent: string | undefined = '';

  constructor(limits: AdmissionLimits, workers: () => readonly WorkerProcess[]) {
    this.#admission = new Admission(limits);
    this.#workers = workers;
    this.#timer = setInterval(() => this.#broadcast(), broadcastPeriodMs);
  }

  setLimits(limits: AdmissionLimits): void {
    this.#admission.setLimits(limits);
  }

  message(worker: WorkerProcess, message: FromWorker): void {
    if (message.type === 'networks') this.#admission.update(worker.incarnation, message.counts);
    // A new worker knows nothing yet: at the next period all are told, changed or not.
    if (message.type === 'ready') this.#lastSent = undefined;
  }

  gone(worker: WorkerProcess): void {
    this.#admission.depart(worker.incarnation);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #broadcast(): void {
    const networks = this.#admission.overLimit();
    const spelled = networks.join(' ');
    if (spelled === this.#lastSent) return;
    this.#lastSent = spelled;
    for (const worker of this.#workers()) worker.send({ type: 'over-limit', networks });
  }
}
