import { beforeEach, describe, expect, it } from 'vitest';

import { MetricsAggregate, type PrimaryFacts } from '../../src/metrics/aggregate.js';
import { createMeters, type WorkerMeters } from '../../src/metrics/worker-meters.js';
import { valueOf } from '../support/exposition.js';

const facts: PrimaryFacts = {
  workersMissing: 0,
  workerRestarts: 0,
  quarantinedFiles: 0,
  workersReady: 2,
  diskFreeBytes: 5e9,
  diskReserveBytes: 1e9,
};

let aggregate: MetricsAggregate;
beforeEach(() => {
  aggregate = new MetricsAggregate('1.2.3');
});

function metersWith(count: (meters: WorkerMeters) => void): WorkerMeters {
  const meters = createMeters();
  count(meters);
  return meters;
}

async function value(series: string, extra: Partial<PrimaryFacts> = {}): Promise<number | undefined> {
  return valueOf(await aggregate.exposition({ ...facts, ...extra }), series);
}

describe('the merge of several workers', () => {
  it('adds counters per label set', async () => {
    aggregate.update('a', metersWith((m) => (m.connectionsTotal.of('mx').value = 3)).snapshot());
    aggregate.update('b', metersWith((m) => (m.connectionsTotal.of('mx').value = 4)).snapshot());
    aggregate.update('c', metersWith((m) => (m.connectionsTotal.of('tls').value = 5)).snapshot());
    expect(await value('postern_connections_total{listener="mx"}')).toBe(7);
    expect(await value('postern_connections_total{listener="tls"}')).toBe(5);
  });

  it('takes the largest of a gauge that says so, and the sum of the others', async () => {
    for (const [worker, seconds] of [['a', 10], ['b', 70], ['c', 20]] as const)
      aggregate.update(worker, metersWith((m) => {
        m.queueOldestSeconds.of().value = seconds;
        m.queueBytes.of().value = seconds;
      }).snapshot()); // prettier-ignore
    expect(await value('postern_queue_oldest_seconds')).toBe(70);
    expect(await value('postern_queue_bytes')).toBe(100);
  });

  it('adds histograms bucket by bucket and prints them cumulative', async () => {
    for (const worker of ['a', 'b'])
      aggregate.update(worker, metersWith((m) => {
        m.queueCommitMessages.of().observe(1);
        m.queueCommitMessages.of().observe(3);
        m.queueCommitMessages.of().observe(1000);
      }).snapshot()); // prettier-ignore
    expect(await value('postern_queue_commit_messages_bucket{le="1"}')).toBe(2);
    expect(await value('postern_queue_commit_messages_bucket{le="2"}')).toBe(2);
    expect(await value('postern_queue_commit_messages_bucket{le="4"}')).toBe(4);
    expect(await value('postern_queue_commit_messages_bucket{le="+Inf"}')).toBe(6);
    expect(await value('postern_queue_commit_messages_count')).toBe(6);
    expect(await value('postern_queue_commit_messages_sum')).toBe(2008);
  });

  it("a later snapshot of a worker replaces its earlier one, and a silent worker's last one stays", async () => {
    const meters = metersWith((m) => (m.connectionsTotal.of('mx').value = 3));
    aggregate.update('silent', meters.snapshot());
    aggregate.update('b', metersWith((m) => (m.connectionsTotal.of('mx').value = 1)).snapshot());
    aggregate.update('b', metersWith((m) => (m.connectionsTotal.of('mx').value = 2)).snapshot());
    expect(await value('postern_connections_total{listener="mx"}', { workersMissing: 1 })).toBe(5);
    expect(await value('postern_scrape_workers_missing', { workersMissing: 1 })).toBe(1);
  });
});

describe('the graveyard', () => {
  it("a dead worker's counters and histograms stay, its gauges go", async () => {
    aggregate.update('a', metersWith((m) => {
      m.messagesAcceptedTotal.of('mx').value = 100;
      m.queueCommitSeconds.of().observe(0.001);
      m.queueBytes.of().value = 4096;
      m.connectionsOpen.of('mx').value = 7;
    }).snapshot()); // prettier-ignore
    aggregate.depart('a');
    aggregate.update('b', metersWith((m) => (m.messagesAcceptedTotal.of('mx').value = 1)).snapshot());
    expect(await value('postern_messages_accepted_total{listener="mx"}')).toBe(101);
    expect(await value('postern_queue_commit_seconds_count')).toBe(1);
    expect(await value('postern_queue_bytes')).toBe(0);
    expect(await value('postern_connections_open{listener="mx"}')).toBeUndefined();
  });

  it('totals never fall over two hundred deaths, more than are remembered by name', async () => {
    let before = 0;
    for (let i = 1; i <= 200; i++) {
      aggregate.update(`w${i}`, metersWith((m) => (m.recipientsAcceptedTotal.of().value = 10)).snapshot());
      aggregate.depart(`w${i}`);
      const now = (await value('postern_recipients_accepted_total')) ?? 0;
      expect(now).toBe(before + 10);
      before = now;
    }
  });

  it('a snapshot that arrives after the news of the death replaces the earlier one and brings no gauge back', async () => {
    const meters = metersWith((m) => (m.recipientsAcceptedTotal.of().value = 10));
    aggregate.update('a', meters.snapshot());
    aggregate.depart('a');
    meters.recipientsAcceptedTotal.of().value = 12;
    meters.queueBytes.of().value = 99;
    aggregate.update('a', meters.snapshot());
    expect(await value('postern_recipients_accepted_total')).toBe(12);
    expect(await value('postern_queue_bytes')).toBeUndefined();
  });

  it('a worker that died twice by mistake, or before it ever spoke, counts once or not at all', async () => {
    aggregate.update('a', metersWith((m) => (m.recipientsAcceptedTotal.of().value = 10)).snapshot());
    aggregate.depart('a');
    aggregate.depart('a');
    aggregate.depart('never-spoke');
    expect(await value('postern_recipients_accepted_total')).toBe(10);
  });
});

describe('what a newer worker sends after an upgrade and a reload', () => {
  it.each([
    { name: 'postern_made_up_total', sample: { labels: [], value: 1 }, why: 'an unknown name' },
    { name: 'postern_connections_total', sample: { labels: ['mx', 'x'], value: 1 }, why: 'another label' },
    { name: 'postern_queue_bytes', sample: { labels: [], value: { sum: 1, count: 1, buckets: [1] } }, why: 'another type' },
    { name: 'postern_relay_seconds', sample: { labels: ['r'], value: { sum: 1, count: 1, buckets: [1] } }, why: 'other buckets' },
    { name: 'postern_relay_seconds', sample: { labels: ['r'], value: 1 }, why: 'a number for a histogram' },
  ])('$why is left out ($name)', async ({ name, sample }) => {
    aggregate.update('new', { [name]: [sample] });
    const text = await aggregate.exposition(facts);
    expect(text).not.toMatch(new RegExp(`^${name}[ {_]`, 'm'));
  }); // prettier-ignore
});

describe('what the primary knows itself', () => {
  it('is in the exposition with no worker at all', async () => {
    expect(await value('postern_build_info{version="1.2.3"}')).toBe(1);
    expect(await value('postern_workers_ready')).toBe(2);
    expect(await value('postern_worker_restarts_total', { workerRestarts: 4 })).toBe(4);
    expect(await value('postern_queue_quarantined_files', { quarantinedFiles: 1 })).toBe(1);
    expect(await value('postern_process_resident_bytes{worker="primary"}')).toBeGreaterThan(1e6);
  });
});
