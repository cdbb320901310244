import { describe, expect, it } from 'vitest';

import { catalogue, primaryMetrics, workerMetrics, type MetricRow } from '../../src/metrics/catalogue.js';
import { createMeters } from '../../src/metrics/worker-meters.js';

const rows: [string, MetricRow][] = [
  ...Object.entries<MetricRow>(workerMetrics),
  ...Object.entries<MetricRow>(primaryMetrics),
];

// The names that dashboards outside the project rely on (design.md).
const fixedNames = [
  'connections_total{listener}', 'connections_open{listener}', 'connections_refused_total{listener,reason}',
  'sessions_cut_total{reason}', 'commands_total{verb,code}', 'messages_accepted_total{listener}',
  'message_bytes_total{listener}', 'recipients_accepted_total{}',
  'rejections_total{stage,reason,code,enhanced}', 'stage_seconds{stage}', 'queue_messages{state}',
  'queue_bytes{}', 'queue_oldest_seconds{}', 'queue_commit_seconds{}', 'queue_commit_messages{}',
  'relay_deliveries_total{route,result}', 'relay_seconds{route}', 'pool_queue{}', 'pool_seconds{task,phase}',
  'dnsbl_lookups_total{list,result}', 'auth_total{mechanism,result}', 'tls_sessions_total{version}',
  'event_loop_lag_seconds{worker}', 'worker_restarts_total{}', 'scrape_workers_missing{}',
]; // prettier-ignore

describe('the catalogue', () => {
  it('has every metric whose name is fixed, with its labels in order', () => {
    const ours = catalogue.map((row) => `${row.name.slice(8)}{${Object.keys(row.labels).join(',')}}`);
    expect(ours).toEqual(expect.arrayContaining(fixedNames));
  });

  it('has no name twice', () => {
    expect(new Set(catalogue.map((row) => row.name)).size).toBe(catalogue.length);
  });

  it.each(rows)('%s is its name in camel case', (key, row) => {
    const snake = key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    expect(row.name).toBe(`postern_${snake}`);
  });

  it.each(rows)('%s: a counter ends in _total and nothing else does', (_key, row) => {
    expect(row.name.endsWith('_total')).toBe(row.type === 'counter');
  });

  it.each(rows)('%s has a sentence of help', (_key, row) => {
    expect(row.help).toMatch(/^[A-Z].*\.$/);
  });

  it.each(rows.filter(([, row]) => row.type === 'histogram'))('%s has ascending buckets', (_key, row) => {
    const buckets = row.type === 'histogram' ? row.buckets : [];
    expect(buckets.length).toBeGreaterThan(5);
    expect(buckets).toEqual([...new Set(buckets)].sort((a, b) => a - b));
  });

  it("every worker's metric is in a worker's snapshot, and nothing else", () => {
    const names = Object.values<MetricRow>(workerMetrics).map((row) => row.name);
    expect(Object.keys(createMeters().snapshot()).sort()).toEqual(names.sort());
  });
});
