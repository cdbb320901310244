import { describe, expect, test } from 'vitest';

import { ReportBudget } from '../../../src/relay/notifications/report-budget.js';

const hour = 3_600_000;

describe('A-122: notifications have limits against backscatter', () => {
  test('so many to one address in an hour, its case ignored', () => {
    const budget = new ReportBudget(2, 100);
    expect(budget.take('a@example.org', 0)).toBe(true);
    expect(budget.take('A@Example.org', 1_000)).toBe(true);
    expect(budget.take('a@example.org', 2_000)).toBe(false);
    expect(budget.take('b@example.org', 2_000)).toBe(true);
  });

  test('never more in any hour, wherever it begins', () => {
    const budget = new ReportBudget(2, 100);
    budget.take('a@example.org', 0);
    budget.take('a@example.org', 0.9 * hour);
    expect(budget.take('a@example.org', hour - 1)).toBe(false);
    expect(budget.take('a@example.org', hour)).toBe(true);
    expect(budget.take('a@example.org', 1.5 * hour)).toBe(false);
  });

  test('so many altogether', () => {
    const budget = new ReportBudget(10, 3);
    expect(['a', 'b', 'c', 'd'].map((name) => budget.take(name, 0))).toEqual([true, true, true, false]);
    expect(budget.take('d', hour)).toBe(true);
  });

  test('what is refused costs nothing', () => {
    const budget = new ReportBudget(1, 100);
    budget.take('a', 0);
    for (let second = 1; second < 3600; second++) expect(budget.take('a', second * 1000)).toBe(false);
    expect(budget.take('a', hour)).toBe(true);
  });

  test('only addresses of the last hour are remembered', () => {
    const budget = new ReportBudget(1, 1_000_000);
    for (let n = 0; n < 50_000; n++) budget.take(`${n}@example.org`, n * 1_000);
    expect(budget.senders).toBe(3_600);
  });
});
