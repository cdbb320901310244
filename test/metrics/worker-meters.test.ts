import { describe, expect, it } from 'vitest';

import { createMeters, maxSeriesPerFamily } from '../../src/metrics/worker-meters.js';

const known = {
  listeners: ['mx', 'submission'],
  routes: ['office'],
  dnsblLists: ['bl.test'],
  mechanisms: ['PLAIN'],
};

describe('cells', () => {
  it('the cell of a label set is made once and kept', () => {
    const meters = createMeters();
    const cell = meters.connectionsTotal.of('mx');
    cell.value += 2;
    expect(meters.connectionsTotal.of('mx')).toBe(cell);
    expect(meters.connectionsTotal.of('other')).not.toBe(cell);
    expect(meters.snapshot()['postern_connections_total']).toEqual([
      { labels: ['mx'], value: 2 },
      { labels: ['other'], value: 0 },
    ]);
  });

  it('label values cannot run into each other', () => {
    const meters = createMeters();
    expect(meters.commandsTotal.of('A', 'BC')).not.toBe(meters.commandsTotal.of('AB', 'C'));
  });

  it('a wrong number of label values is our bug and throws', () => {
    expect(() => createMeters().commandsTotal.of('EHLO')).toThrow(/postern_commands_total/);
    expect(() => createMeters().queueBytes.of('x')).toThrow(/postern_queue_bytes/);
  });

  it('a snapshot is a copy: what is counted after it does not change it', () => {
    const meters = createMeters();
    meters.queueCommitSeconds.of().observe(1);
    const before = meters.snapshot();
    meters.queueCommitSeconds.of().observe(1);
    meters.queueBytes.of().value = 9;
    expect(before['postern_queue_commit_seconds']?.[0]?.value).toMatchObject({ count: 1, sum: 1 });
    expect(before['postern_queue_bytes']?.[0]?.value).toBe(0);
  });

  it('survives the trip over the cluster channel as JSON', () => {
    const meters = createMeters(known);
    meters.stageSeconds.of('commit').observe(0.003);
    const snapshot = meters.snapshot();
    expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot);
  });

  it('gauges are filled in at the start of each snapshot', () => {
    const meters = createMeters();
    let depth = 3;
    meters.onSnapshot(() => {
      meters.queueMessages.of('active').value = depth;
    });
    const active = () => meters.snapshot()['postern_queue_messages']?.find((s) => s.labels[0] === 'active');
    expect(active()?.value).toBe(3);
    depth = 5;
    expect(active()?.value).toBe(5);
  });
});

describe('histograms', () => {
  it.each([
    { value: 0, bucket: 0, why: 'below the first bound' },
    { value: 0.0005, bucket: 0, why: 'on a bound: le means less or equal' },
    { value: 0.00051, bucket: 1, why: 'just above it' },
    { value: 5, bucket: 12, why: 'on the last bound' },
    { value: 5.1, bucket: 13, why: 'beyond the last bound: +Inf' },
  ])('$value goes to bucket $bucket ($why)', ({ value, bucket }) => {
    const meters = createMeters();
    meters.queueCommitSeconds.of().observe(value);
    const seen = meters.snapshot()['postern_queue_commit_seconds']?.[0]?.value;
    const buckets = typeof seen === 'object' ? seen.buckets : [];
    expect(buckets).toHaveLength(14);
    expect(buckets.indexOf(1)).toBe(bucket);
    expect(buckets.reduce((a, b) => a + b)).toBe(1);
  });
});

describe('series that exist from the first snapshot', () => {
  it('what the config names starts at 0, so that the first increment is a rate', () => {
    const snapshot = createMeters(known).snapshot();
    const labels = (name: string) => snapshot[name]?.map((sample) => sample.labels);
    expect(labels('postern_messages_accepted_total')).toEqual([['mx'], ['submission']]);
    expect(labels('postern_relay_deliveries_total')).toEqual([
      ['office', 'delivered'],
      ['office', 'deferred'],
      ['office', 'failed'],
    ]);
    expect(labels('postern_dnsbl_lookups_total')).toContainEqual(['bl.test', 'timeout']);
    expect(labels('postern_auth_total')).toContainEqual(['PLAIN', 'failed']);
    expect(labels('postern_queue_bytes')).toEqual([[]]);
    expect(labels('postern_stage_seconds')).toHaveLength(6);
  });

  it('what only code knows comes when it first happens', () => {
    expect(createMeters(known).snapshot()['postern_rejections_total']).toEqual([]);
  });

  it('A-067: a label that nobody bounded counts under `other` beyond the limit of series', () => {
    const meters = createMeters();
    for (let i = 0; i < maxSeriesPerFamily + 50; i++) meters.sessionsCutTotal.of(`made-up-${i}`).value++;
    const samples = meters.snapshot()['postern_sessions_cut_total'] ?? [];
    expect(samples).toHaveLength(maxSeriesPerFamily + 1);
    expect(samples.at(-1)).toEqual({ labels: ['other'], value: 50 });
  });
});
