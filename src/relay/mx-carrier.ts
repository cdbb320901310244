/**
 * Takes the mail of one domain to its MX hosts: looks them up, keeps a pool for the hosts found, and a new one when they
 * have changed. A domain whose DNS does not answer rests as a dead hop does. What the answers mean is mx-lookup's.
 */
import type { Lease } from '../queue/spool.js';

import { sameResult, type Carrier, type CarryOutcome, type Outage } from './carrier.js';
import type { NetworkHop } from './hop-dialer.js';
import type { HopHealth } from './hop-health.js';
import type { HopPool } from './hop-pool.js';
import type { MxAnswer, MxHost, MxLookup } from './mx-lookup.js';

export interface MxCarrierOptions {
  readonly domain: string;
  readonly port: number;
  readonly lookup: MxLookup;
  /** Of the domain's DNS; kept by the route, as that of a hop. */
  readonly health: HopHealth;
  readonly pool: (hops: readonly NetworkHop[]) => HopPool;
}

export class MxCarrier implements Carrier {
  readonly #options: MxCarrierOptions;
  #pool: HopPool | undefined;
  /** The hosts it is for. */
  #hosts = '';
  /** Of domains that have changed their MX; ended when what is under way is. */
  readonly #old = new Set<HopPool>();
  #restsEnded = false;
  #closed = false;
  #cutReason: string | undefined;

  constructor(options: MxCarrierOptions) {
    this.#options = options;
  }

  get hop(): string {
    return this.#pool?.hop ?? this.#options.domain;
  }

  get usefulLanes(): number {
    return this.#pool?.usefulLanes ?? 1;
  }

  get isQuiet(): boolean {
    return this.#old.size === 0 && (this.#pool?.isQuiet ?? true);
  }

  pauseMs(): number {
    const { health } = this.#options;
    return Math.max(health.pauseMs(performance.now(), false), this.#pool?.pauseMs() ?? 0);
  }

  outage(): Outage | undefined {
    const { health, domain } = this.#options;
    const nowMs = performance.now();
    if (health.state === 'closed') return this.#pool?.outage();
    const restMs = health.restMs(nowMs);
    const restsUntilMs = restMs > 0 ? Date.now() + restMs : undefined;
    return { hop: domain, reason: health.reason, lastsMs: health.outageMs(nowMs), restsUntilMs };
  }

  endRests(): void {
    this.#options.health.endRest();
    this.#pool?.endRests();
    this.#restsEnded = this.#pool === undefined;
  }

  async carry(lease: Lease, addresses: readonly string[]): Promise<CarryOutcome> {
    const answer = await this.#answer();
    if (answer === undefined) return this.#unanswered(addresses, this.#options.health.reason, true);
    if (answer.kind === 'hosts') return this.#poolFor(answer.hosts).carry(lease, addresses);
    if (answer.kind === 'temporary') return this.#unanswered(addresses, answer.reply, false);
    const results = sameResult(addresses, 'failed', answer.reply);
    return { hop: this.#options.domain, results, ambiguous: false, corrupt: false };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#pool?.close(), ...[...this.#old].map((pool) => pool.close())]);
  }

  cut(reason: string): void {
    this.#cutReason = reason;
    this.#options.lookup.cancel();
    for (const pool of [...this.#old, this.#pool]) pool?.cut(reason);
  }

  /** Undefined: its DNS rests. */
  async #answer(): Promise<MxAnswer | undefined> {
    const { health, lookup, domain } = this.#options;
    // Not its advice: while DNS is slow all wait for the one answer that is under way.
    if (health.pauseMs(performance.now(), false) > 0) return undefined;
    const attempt = health.begin(performance.now());
    const answer = await lookup.find(domain);
    const nowMs = performance.now();
    if (this.#cutReason !== undefined) health.abandoned(attempt, nowMs);
    else if (answer.kind === 'temporary') health.failed(attempt, nowMs, answer.reply);
    else health.worked(attempt, nowMs);
    return answer;
  }

  #unanswered(addresses: readonly string[], reason: string, untried: boolean): CarryOutcome {
    const reply = this.#cutReason ?? reason;
    const restsUntilMs = this.outage()?.restsUntilMs;
    const results = sameResult(addresses, 'pending', reply);
    return {
      hop: this.#options.domain,
      results,
      ambiguous: false,
      corrupt: false,
      untried: untried && this.#cutReason === undefined,
      restsUntilMs,
    };
  }

  #poolFor(hosts: readonly MxHost[]): HopPool {
    const key = hosts
      .map(({ host, preference }) => `${preference} ${host}`)
      .toSorted()
      .join();
    if (this.#pool !== undefined && (key === this.#hosts || this.#closed)) return this.#pool;
    this.#retire();
    const { port } = this.#options;
    // The order among equals was drawn when they were looked up; by weight it is drawn anew for each connection.
    const pool = this.#options.pool(
      hosts.map(({ host, preference }) => ({ kind: 'smtp', host, port, priority: preference, weight: 1 })),
    );
    this.#pool = pool;
    this.#hosts = key;
    if (this.#restsEnded) pool.endRests();
    this.#restsEnded = false;
    return pool;
  }

  #retire(): void {
    const pool = this.#pool;
    if (pool === undefined) return;
    this.#old.add(pool);
    void pool.close().finally(() => this.#old.delete(pool));
  }
}
