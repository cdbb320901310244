/** Merged values in, Prometheus text out. The one file that imports prom-client. */
import type { HistogramValue, MetricsSnapshot } from '../base/messages.js';

import type { HistogramRow, MetricRow } from './catalogue.js';

export interface MergedMetric {
  readonly row: MetricRow;
  readonly samples: MetricsSnapshot[string];
}

/** One line of the exposition, in prom-client's shape. */
interface Line {
  metricName: string;
  labels: Record<string, string | number>;
  value: number;
}

/** The Content-Type of what renderExposition returns; prom-client's own, as the test of this file says. */
export const expositionContentType = 'text/plain; version=0.0.4; charset=utf-8';

/** Text format 0.0.4; a metric without samples has its HELP and TYPE lines all the same. */
export async function renderExposition(metrics: readonly MergedMetric[]): Promise<string> {
  const values = metrics.map(({ row, samples }) => ({
    name: row.name,
    help: row.help,
    type: row.type,
    // prom-client would sum by default; there is one value per series here.
    aggregator: 'first',
    values: samples.flatMap((sample) => linesOf(row, sample)),
  }));
  // Not above: at a start the workers wait for what the primary imports, and this is 60 ms of it.
  const { AggregatorRegistry } = await import('prom-client');
  return AggregatorRegistry.aggregate([values]).metrics();
}

function linesOf(row: MetricRow, sample: MetricsSnapshot[string][number]): Line[] {
  const labels: Record<string, string> = {};
  for (const [at, name] of Object.keys(row.labels).entries()) labels[name] = sample.labels[at] ?? '';
  if (typeof sample.value === 'number') return [{ metricName: row.name, labels, value: sample.value }];
  return row.type === 'histogram' ? histogramLines(row, labels, sample.value) : [];
}

function histogramLines(row: HistogramRow, labels: Line['labels'], value: HistogramValue): Line[] {
  let cumulative = 0;
  const lines: Line[] = value.buckets.map((count, at) => {
    cumulative += count;
    const le = row.buckets[at] ?? '+Inf';
    return { metricName: `${row.name}_bucket`, labels: { ...labels, le }, value: cumulative };
  });
  lines.push({ metricName: `${row.name}_sum`, labels, value: value.sum });
  lines.push({ metricName: `${row.name}_count`, labels, value: value.count });
  return lines;
}
