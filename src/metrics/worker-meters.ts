/**
 * The cells of one process: plain numbers that the hot path bumps, made from the catalogue's rows. Owns no merge and
 * no text format; the worker sends snapshot() to the primary when it is asked.
 */
import assert from 'node:assert';

import type { HistogramValue, MetricsSnapshot } from '../base/messages.js';

import { workerMetrics, type HistogramRow, type LabelValues, type MetricRow } from './catalogue.js';
import type { Cell, CellFamily, Histogram, HistogramFamily, Meters } from './meters.js';

/** The names in the config that appear as labels. Their series exist, at 0, from the first snapshot on. */
export interface KnownLabels {
  readonly listeners?: readonly string[];
  readonly routes?: readonly string[];
  readonly dnsblLists?: readonly string[];
  readonly mechanisms?: readonly string[];
}

/** Meters with what watchProcess fills in. */
export interface WorkerMeters extends Meters {
  readonly processResidentBytes: CellFamily; // worker (slot)
  readonly processHeapBytes: CellFamily; // worker (slot)
  readonly processCpuSecondsTotal: CellFamily; // worker (slot)
}

// Ten times what the largest family has with a rich config. Beyond it everything counts under 'other': a label that
// somebody forgot to bound costs one wrong series, not the memory of the primary and of Prometheus.
export const maxSeriesPerFamily = 500;

interface Series<T> {
  readonly labels: string[];
  readonly item: T;
}

class Family<T> {
  readonly row: MetricRow;
  readonly #labelCount: number;
  readonly #make: () => T;
  readonly #series = new Map<string, Series<T>>();

  constructor(row: MetricRow, make: () => T) {
    this.row = row;
    this.#labelCount = Object.keys(row.labels).length;
    this.#make = make;
  }

  of(...labelValues: string[]): T {
    const found = this.#series.get(labelValues.join('\0'));
    return found === undefined ? this.#add(labelValues) : found.item;
  }

  #add(labelValues: string[]): T {
    assert.equal(labelValues.length, this.#labelCount, `${this.row.name}: wrong number of labels`);
    const full = this.#series.size >= maxSeriesPerFamily;
    const labels = full ? labelValues.map(() => 'other') : labelValues;
    const key = labels.join('\0');
    const series = this.#series.get(key) ?? { labels, item: this.#make() };
    this.#series.set(key, series);
    return series.item;
  }

  series(): IterableIterator<Series<T>> {
    return this.#series.values();
  }
}

class FixedHistogram implements Histogram {
  readonly #bounds: readonly number[];
  readonly #buckets: number[];
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#buckets = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  observe(value: number): void {
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] ?? Infinity)) at++;
    this.#buckets[at] = (this.#buckets[at] ?? 0) + 1;
    this.#sum += value;
    this.#count++;
  }

  value(): HistogramValue {
    return { sum: this.#sum, count: this.#count, buckets: [...this.#buckets] };
  }
}

/** Every combination of the labels' values, or none when one of them cannot be listed. */
function combinations(labels: readonly LabelValues[], known: KnownLabels): string[][] {
  let sets: string[][] = [[]];
  for (const values of labels) {
    const listed = listedValues(values, known);
    sets = sets.flatMap((set) => listed.map((value) => [...set, value]));
  }
  return sets;
}

function listedValues(values: LabelValues, known: KnownLabels): readonly string[] {
  if (typeof values !== 'string') return values;
  return values === 'fixed in code' || values === 'workers' ? [] : (known[values] ?? []);
}

/** All cells of one worker. `known`: see KnownLabels; a name that is left out only starts later. */
export function createMeters(known: KnownLabels = {}): WorkerMeters {
  const cellFamilies: Family<Cell>[] = [];
  const histogramFamilies: Family<FixedHistogram>[] = [];
  const fills: (() => void)[] = [];

  function start<T>(family: Family<T>): Family<T> {
    for (const labels of combinations(Object.values(family.row.labels), known)) family.of(...labels);
    return family;
  }
  function cells(row: MetricRow): CellFamily {
    const family = start(new Family<Cell>(row, () => ({ value: 0 })));
    cellFamilies.push(family);
    return family;
  }
  function histograms(row: HistogramRow): HistogramFamily {
    const family = start(new Family(row, () => new FixedHistogram(row.buckets)));
    histogramFamilies.push(family);
    return family;
  }

  function snapshot(): MetricsSnapshot {
    for (const fill of fills) fill();
    const taken: MetricsSnapshot = {};
    for (const family of cellFamilies)
      taken[family.row.name] = [...family.series()].map(({ labels, item }) => ({
        labels,
        value: item.value,
      }));
    for (const family of histogramFamilies)
      taken[family.row.name] = [...family.series()].map(({ labels, item }) => ({
        labels,
        value: item.value(),
      }));
    return taken;
  }

  return {
    connectionsTotal: cells(workerMetrics.connectionsTotal),
    connectionsOpen: cells(workerMetrics.connectionsOpen),
    connectionsRefusedTotal: cells(workerMetrics.connectionsRefusedTotal),
    sessionsCutTotal: cells(workerMetrics.sessionsCutTotal),
    commandsTotal: cells(workerMetrics.commandsTotal),
    messagesAcceptedTotal: cells(workerMetrics.messagesAcceptedTotal),
    messageBytesTotal: cells(workerMetrics.messageBytesTotal),
    recipientsAcceptedTotal: cells(workerMetrics.recipientsAcceptedTotal),
    rejectionsTotal: cells(workerMetrics.rejectionsTotal),
    stageSeconds: histograms(workerMetrics.stageSeconds),
    queueMessages: cells(workerMetrics.queueMessages),
    queueBytes: cells(workerMetrics.queueBytes),
    queueBytesInFlight: cells(workerMetrics.queueBytesInFlight),
    queueOldestSeconds: cells(workerMetrics.queueOldestSeconds),
    queueCommitSeconds: histograms(workerMetrics.queueCommitSeconds),
    queueCommitMessages: histograms(workerMetrics.queueCommitMessages),
    queueDamagedTotal: cells(workerMetrics.queueDamagedTotal),
    relayDeliveriesTotal: cells(workerMetrics.relayDeliveriesTotal),
    relayAmbiguousTotal: cells(workerMetrics.relayAmbiguousTotal),
    relaySeconds: histograms(workerMetrics.relaySeconds),
    relayHopsResting: cells(workerMetrics.relayHopsResting),
    relayNotificationsTotal: cells(workerMetrics.relayNotificationsTotal),
    queueParkedTotal: cells(workerMetrics.queueParkedTotal),
    queueSalvagedTotal: cells(workerMetrics.queueSalvagedTotal),
    queueDiskFull: cells(workerMetrics.queueDiskFull),
    poolQueue: cells(workerMetrics.poolQueue),
    poolSeconds: histograms(workerMetrics.poolSeconds),
    dnsblLookupsTotal: cells(workerMetrics.dnsblLookupsTotal),
    authTotal: cells(workerMetrics.authTotal),
    authBackendSeconds: histograms(workerMetrics.authBackendSeconds),
    authBackendFailuresTotal: cells(workerMetrics.authBackendFailuresTotal),
    authBackendDown: cells(workerMetrics.authBackendDown),
    tlsSessionsTotal: cells(workerMetrics.tlsSessionsTotal),
    tlsResumptionsTotal: cells(workerMetrics.tlsResumptionsTotal),
    tlsHandshakeFailuresTotal: cells(workerMetrics.tlsHandshakeFailuresTotal),
    tlsCertificateExpirySeconds: cells(workerMetrics.tlsCertificateExpirySeconds),
    eventLoopLagSeconds: cells(workerMetrics.eventLoopLagSeconds),
    stress: cells(workerMetrics.stress),
    logLinesDroppedTotal: cells(workerMetrics.logLinesDroppedTotal),
    processResidentBytes: cells(workerMetrics.processResidentBytes),
    processHeapBytes: cells(workerMetrics.processHeapBytes),
    processCpuSecondsTotal: cells(workerMetrics.processCpuSecondsTotal),
    onSnapshot: (fill) => {
      fills.push(fill);
    },
    snapshot,
  };
}
