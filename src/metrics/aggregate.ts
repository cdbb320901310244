/**
 * The whole service's metrics, in the primary: the last snapshot of every living worker, the totals of the departed,
 * and what the primary itself knows. A worker's totals survive its death, so that Prometheus sees no counter reset
 * when a worker is replaced; its gauges go with it. A silent worker keeps its last snapshot.
 */
import type { HistogramValue, MetricsSnapshot } from '../base/messages.js';

import { catalogue, catalogueByName, primaryMetrics, workerMetrics, type MetricRow } from './catalogue.js';
import { renderExposition, type MergedMetric } from './exposition.js';
import { ProcessWatch } from './process-meters.js';

/** What only the primary knows. */
export interface PrimaryFacts {
  readonly workersMissing: number;
  /** Since the service started. */
  readonly workerRestarts: number;
  readonly quarantinedFiles: number;
  readonly workersReady: number;
  /** Undefined: the file system did not say. */
  readonly diskFreeBytes: number | undefined;
  readonly diskReserveBytes: number;
}

type Sample = MetricsSnapshot[string][number];

// The last snapshot of a dead worker can arrive after the news of its death (two channels). So many departed workers
// are still known by name, and a late snapshot takes the place of an earlier one; older ones are only sums.
const maxRecentlyDeparted = 64;

export class MetricsAggregate {
  readonly #version: string;
  readonly #process = new ProcessWatch();
  readonly #living = new Map<string, MetricsSnapshot>();
  readonly #departed = new Map<string, MetricsSnapshot>();
  #graveyard: MetricsSnapshot = {};

  constructor(version: string) {
    this.#version = version;
  }

  /** @param worker unique among all processes ever started (the incarnation, not the slot). */
  update(worker: string, snapshot: MetricsSnapshot): void {
    const fitting = fittingSnapshot(snapshot);
    if (this.#departed.has(worker)) this.#departed.set(worker, totalsOf(fitting));
    else this.#living.set(worker, fitting);
  }

  /** The worker is dead: its totals stay for ever, its gauges go. */
  depart(worker: string): void {
    if (this.#departed.has(worker)) return;
    this.#departed.set(worker, totalsOf(this.#living.get(worker) ?? {}));
    this.#living.delete(worker);
    for (const [name, totals] of this.#departed) {
      if (this.#departed.size <= maxRecentlyDeparted) break;
      this.#graveyard = merge([this.#graveyard, totals]);
      this.#departed.delete(name);
    }
  }

  /** The text that Prometheus reads, format 0.0.4. */
  async exposition(facts: PrimaryFacts): Promise<string> {
    const merged = merge([
      this.#primarySnapshot(facts),
      this.#graveyard,
      ...this.#departed.values(),
      ...this.#living.values(),
    ]);
    return renderExposition(catalogue.map((row): MergedMetric => ({ row, samples: merged[row.name] ?? [] })));
  }

  #ownProcess(): MetricsSnapshot {
    const reading = this.#process.read();
    return {
      [workerMetrics.eventLoopLagSeconds.name]: [{ labels: ofPrimary, value: reading.lagSeconds }],
      [workerMetrics.processResidentBytes.name]: [{ labels: ofPrimary, value: reading.residentBytes }],
      [workerMetrics.processHeapBytes.name]: [{ labels: ofPrimary, value: reading.heapBytes }],
      [workerMetrics.processCpuSecondsTotal.name]: [{ labels: ofPrimary, value: reading.cpuSeconds }],
    };
  }

  #primarySnapshot(facts: PrimaryFacts): MetricsSnapshot {
    return {
      [primaryMetrics.buildInfo.name]: [{ labels: [this.#version], value: 1 }],
      [primaryMetrics.workersReady.name]: unlabelled(facts.workersReady),
      [primaryMetrics.workerRestartsTotal.name]: unlabelled(facts.workerRestarts),
      [primaryMetrics.scrapeWorkersMissing.name]: unlabelled(facts.workersMissing),
      [primaryMetrics.queueQuarantinedFiles.name]: unlabelled(facts.quarantinedFiles),
      [primaryMetrics.diskReserveBytes.name]: unlabelled(facts.diskReserveBytes),
      [primaryMetrics.diskFreeBytes.name]:
        facts.diskFreeBytes === undefined ? [] : unlabelled(facts.diskFreeBytes),
      ...this.#ownProcess(),
    };
  }
}

const ofPrimary = ['primary'];

function unlabelled(value: number): Sample[] {
  return [{ labels: [], value }];
}

/**
 * Only what the catalogue knows, in the shape it says. After an upgrade on disk and a reload, workers can be newer
 * than the primary that merges them: what it does not know it must not let into its sums.
 */
function fittingSnapshot(snapshot: MetricsSnapshot): MetricsSnapshot {
  const fitting: MetricsSnapshot = {};
  for (const [name, samples] of Object.entries(snapshot)) {
    const row = catalogueByName.get(name);
    if (row !== undefined) fitting[name] = samples.filter((sample) => fits(sample, row));
  }
  return fitting;
}

function fits(sample: Sample, row: MetricRow): boolean {
  if (sample.labels.length !== Object.keys(row.labels).length) return false;
  if (typeof sample.value === 'number') return row.type !== 'histogram';
  return row.type === 'histogram' && sample.value.buckets.length === row.buckets.length + 1;
}

function totalsOf(snapshot: MetricsSnapshot): MetricsSnapshot {
  return Object.fromEntries(
    Object.entries(snapshot).filter(([name]) => catalogueByName.get(name)?.type !== 'gauge'),
  );
}

function merge(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
  const merged: MetricsSnapshot = {};
  for (const row of catalogue) {
    const bySeries = new Map<string, Sample>();
    for (const snapshot of snapshots)
      for (const sample of snapshot[row.name] ?? []) addSample(bySeries, sample, row);
    if (bySeries.size > 0) merged[row.name] = [...bySeries.values()];
  }
  return merged;
}

function addSample(bySeries: Map<string, Sample>, sample: Sample, row: MetricRow): void {
  const key = sample.labels.join('\0');
  const before = bySeries.get(key);
  const value = before === undefined ? sample.value : combine(before.value, sample.value, row);
  bySeries.set(key, { labels: sample.labels, value });
}

function combine(a: Sample['value'], b: Sample['value'], row: MetricRow): Sample['value'] {
  if (typeof a !== 'number' && typeof b !== 'number') return addHistograms(a, b);
  if (typeof a !== 'number' || typeof b !== 'number') throw new TypeError(`${row.name}: two kinds of values`);
  return row.type === 'gauge' && row.merge === 'max' ? Math.max(a, b) : a + b;
}

function addHistograms(a: HistogramValue, b: HistogramValue): HistogramValue {
  return {
    sum: a.sum + b.sum,
    count: a.count + b.count,
    buckets: a.buckets.map((value, at) => value + (b.buckets[at] ?? 0)),
  };
}
