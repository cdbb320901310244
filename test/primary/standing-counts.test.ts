import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';

import { StandingCounts } from '../../src/primary/standing-counts.js';

const limits = { host: 5, network: 10, account: Infinity };
const hostA = '192.0.2.1';
const hostB = '192.0.2.2';
const neighbourhood = '192.0.2.0/24';

describe('A-053 connections per client network, across workers', () => {
  test('a host that has its connections spread over workers is found', () => {
    const counts = new StandingCounts(limits);
    counts.update('w0', { [hostA]: 3 });
    expect(counts.atLimit.sorted()).toEqual([]);
    counts.update('w1', { [hostA]: 2 });
    expect(counts.atLimit.sorted()).toEqual([hostA]);
  });

  test('hosts and neighbourhoods have limits of their own', () => {
    const counts = new StandingCounts(limits);
    counts.update('w0', { [hostA]: 4, [hostB]: 4, [neighbourhood]: 8 });
    expect(counts.atLimit.sorted()).toEqual([]);
    counts.update('w1', { '192.0.2.3': 2, [neighbourhood]: 2 });
    expect(counts.atLimit.sorted()).toEqual([neighbourhood]);
  });

  test.each([
    { key: '2001:db8:0:1::/64', count: 5, why: 'an IPv6 /64 counts as a host' },
    { key: '2001:db8:0::/48', count: 10, why: 'an IPv6 /48 counts as a neighbourhood' },
  ])('$why', ({ key, count }) => {
    const counts = new StandingCounts(limits);
    counts.update('w0', { [key]: count - 1 });
    expect(counts.atLimit.sorted()).toEqual([]);
    counts.update('w0', { [key]: count });
    expect(counts.atLimit.sorted()).toEqual([key]);
  });

  test('a report replaces what the worker said before', () => {
    const counts = new StandingCounts(limits);
    counts.update('w0', { [hostA]: 9 });
    counts.update('w0', { [hostA]: 4 });
    expect(counts.atLimit.sorted()).toEqual([]);
  });

  test('a dead worker’s connections are gone', () => {
    const counts = new StandingCounts(limits);
    counts.update('w0', { [hostA]: 4 });
    counts.update('w1', { [hostA]: 4 });
    counts.depart('w0');
    counts.depart('never-seen');
    expect(counts.atLimit.sorted()).toEqual([]);
    expect(counts.size).toBe(1);
  });

  test('new limits judge what is already open', () => {
    const counts = new StandingCounts(limits);
    counts.update('w0', { [hostA]: 4 });
    counts.setLimits({ ...limits, host: 4 });
    expect(counts.atLimit.sorted()).toEqual([hostA]);
    counts.setLimits(limits);
    expect(counts.atLimit.sorted()).toEqual([]);
  });

  test('totals are the sums of the last reports, and nothing is kept for what is gone', () => {
    const key = fc.constantFrom(hostA, hostB, neighbourhood, '2001:db8::/64');
    const step = fc.oneof(
      fc.record({ worker: fc.constantFrom('a', 'b', 'c'), key, count: fc.nat(12) }),
      fc.record({ depart: fc.constantFrom('a', 'b', 'c') }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const counts = new StandingCounts(limits);
        const model = new Map<string, Map<string, number>>();
        for (const step of steps) {
          if ('depart' in step) {
            counts.depart(step.depart);
            model.delete(step.depart);
            continue;
          }
          counts.update(step.worker, { [step.key]: step.count });
          const own = model.get(step.worker) ?? new Map<string, number>();
          model.set(step.worker, own.set(step.key, step.count));
        }
        const totals = new Map<string, number>();
        for (const own of model.values())
          for (const [key, count] of own) totals.set(key, (totals.get(key) ?? 0) + count);
        const over = [...totals].filter(([key, total]) => total >= (key === neighbourhood ? 10 : 5));
        expect(counts.atLimit.sorted()).toEqual(over.map(([key]) => key).toSorted());
        expect(counts.size).toBe([...totals.values()].filter((total) => total > 0).length);
      }),
      { numRuns: 200 },
    );
  });
});
