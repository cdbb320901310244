import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';

import { Admission } from '../../src/primary/admission.js';

const limits = { connectionsPerHost: 5, connectionsPerNetwork: 10 };
const hostA = '192.0.2.1';
const hostB = '192.0.2.2';
const neighbourhood = '192.0.2.0/24';

describe('A-053 connections per client network, across workers', () => {
  test('a host that has its connections spread over workers is found', () => {
    const admission = new Admission(limits);
    admission.update('w0', { [hostA]: 3 });
    expect(admission.overLimit()).toEqual([]);
    admission.update('w1', { [hostA]: 2 });
    expect(admission.overLimit()).toEqual([hostA]);
  });

  test('hosts and neighbourhoods have limits of their own', () => {
    const admission = new Admission(limits);
    admission.update('w0', { [hostA]: 4, [hostB]: 4, [neighbourhood]: 8 });
    expect(admission.overLimit()).toEqual([]);
    admission.update('w1', { '192.0.2.3': 2, [neighbourhood]: 2 });
    expect(admission.overLimit()).toEqual([neighbourhood]);
  });

  test.each([
    { key: '2001:db8:0:1::/64', count: 5, why: 'an IPv6 /64 counts as a host' },
    { key: '2001:db8:0::/48', count: 10, why: 'an IPv6 /48 counts as a neighbourhood' },
  ])('$why', ({ key, count }) => {
    const admission = new Admission(limits);
    admission.update('w0', { [key]: count - 1 });
    expect(admission.overLimit()).toEqual([]);
    admission.update('w0', { [key]: count });
    expect(admission.overLimit()).toEqual([key]);
  });

  test('a report replaces what the worker said before', () => {
    const admission = new Admission(limits);
    admission.update('w0', { [hostA]: 9 });
    admission.update('w0', { [hostA]: 4 });
    expect(admission.overLimit()).toEqual([]);
  });

  test('a dead worker’s connections are gone', () => {
    const admission = new Admission(limits);
    admission.update('w0', { [hostA]: 4 });
    admission.update('w1', { [hostA]: 4 });
    admission.depart('w0');
    admission.depart('never-seen');
    expect(admission.overLimit()).toEqual([]);
    expect(admission.size).toBe(1);
  });

  test('new limits judge what is already open', () => {
    const admission = new Admission(limits);
    admission.update('w0', { [hostA]: 4 });
    admission.setLimits({ connectionsPerHost: 4, connectionsPerNetwork: 10 });
    expect(admission.overLimit()).toEqual([hostA]);
    admission.setLimits(limits);
    expect(admission.overLimit()).toEqual([]);
  });

  test('totals are the sums of the last reports, and nothing is kept for what is gone', () => {
    const key = fc.constantFrom(hostA, hostB, neighbourhood, '2001:db8::/64');
    const step = fc.oneof(
      fc.record({ worker: fc.constantFrom('a', 'b', 'c'), key, count: fc.nat(12) }),
      fc.record({ depart: fc.constantFrom('a', 'b', 'c') }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const admission = new Admission(limits);
        const model = new Map<string, Map<string, number>>();
        for (const step of steps) {
          if ('depart' in step) {
            admission.depart(step.depart);
            model.delete(step.depart);
            continue;
          }
          admission.update(step.worker, { [step.key]: step.count });
          const own = model.get(step.worker) ?? new Map<string, number>();
          model.set(step.worker, own.set(step.key, step.count));
        }
        const totals = new Map<string, number>();
        for (const own of model.values())
          for (const [key, count] of own) totals.set(key, (totals.get(key) ?? 0) + count);
        const over = [...totals].filter(([key, total]) => total >= (key === neighbourhood ? 10 : 5));
        expect(admission.overLimit()).toEqual(over.map(([key]) => key).toSorted());
        expect(admission.size).toBe([...totals.values()].filter((total) => total > 0).length);
      }),
      { numRuns: 200 },
    );
  });
});
