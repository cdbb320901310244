import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { Schedule, type Slot } from '../../src/queue/schedule.js';

function slot(nextAttemptAtMs: number, route = 'office'): Slot {
  return { route, nextAttemptAtMs, heapIndex: -1 };
}

describe('the schedule', () => {
  it('gives what is due, oldest first, whatever was inserted and removed before', () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('insert' as const), at: fc.nat(50) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), at: fc.nat(1000) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('take' as const), at: fc.nat(50) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const schedule = new Schedule<Slot>();
        const model: Slot[] = [];
        for (const { kind, at } of steps) {
          if (kind === 'insert') {
            const added = slot(at);
            schedule.insert(added);
            model.push(added);
          } else if (kind === 'remove') {
            const [removed] = model.length > 0 ? model.splice(at % model.length, 1) : [];
            if (removed !== undefined) schedule.remove(removed);
          } else {
            const earliest = model.reduce(
              (min, { nextAttemptAtMs }) => Math.min(min, nextAttemptAtMs),
              Infinity,
            );
            const taken = schedule.takeDue('office', at);
            expect(taken?.nextAttemptAtMs).toBe(earliest <= at ? earliest : undefined);
            if (taken !== undefined) model.splice(model.indexOf(taken), 1);
          }
          expect(schedule.routes.get('office')?.count ?? 0).toBe(model.length);
        }
      }),
    );
  });

  it('keeps routes apart and forgets those with nothing in them', () => {
    const schedule = new Schedule<Slot>();
    const store = slot(5, 'store');
    schedule.insert(slot(10));
    schedule.insert(store);
    expect(schedule.routes.get('store')).toMatchObject({ earliestAtMs: 5, count: 1 });
    expect(schedule.takeDue('office', 9)).toBeUndefined();
    schedule.remove(store);
    schedule.remove(store);
    expect([...schedule.routes.keys()]).toEqual(['office']);
  });

  it('holds 100 000 messages and gives them in order', () => {
    const schedule = new Schedule<Slot>();
    for (let i = 0; i < 100_000; i++) schedule.insert(slot((i * 7919) % 100_003));
    const times = Array.from({ length: 100_000 }, () => schedule.takeDue('office', 200_000)?.nextAttemptAtMs);
    expect(times).toEqual(times.toSorted((a = 0, b = 0) => a - b));
    expect(times).not.toContain(undefined);
    expect(schedule.routes.size).toBe(0);
  });
});
