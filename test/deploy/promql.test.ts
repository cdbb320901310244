import { describe, expect, it } from 'vitest';

import { catalogue, catalogueByName } from '../../src/metrics/catalogue.js';
import { replies } from '../../src/protocol/replies.js';
import { panelExpressions, recordedNames, ruleExpressions } from './files.js';
import { groupedLabelsOf, measuredParts, selectorsOf, type Expression } from './promql.js';

const fromPrometheus = ['job', 'instance'];

/** What a scrape makes of the catalogue: series names with the labels they have. */
const series = new Map<string, string[]>(
  catalogue.flatMap((row): [string, string[]][] => {
    const labels = [...Object.keys(row.labels), ...fromPrometheus];
    if (row.type !== 'histogram') return [[row.name, labels]];
    return [
      [`${row.name}_bucket`, [...labels, 'le']],
      [`${row.name}_sum`, labels],
      [`${row.name}_count`, labels],
    ];
  }),
);

function unknownNames({ where, expr }: Expression): string[] {
  return selectorsOf(expr)
    .filter(({ metric }) => !series.has(metric) && !recordedNames.includes(metric))
    .map(({ metric }) => `${where}: no metric ${metric}`);
}

/** Matchers and groupings by labels that none of the expression's metrics has. */
function unknownLabels({ where, expr }: Expression): string[] {
  const selectors = selectorsOf(expr);
  const wrongMatchers = selectors.flatMap(({ metric, labels }) =>
    labels.filter((label) => series.has(metric) && !series.get(metric)?.includes(label)).map((label) => `${metric}{${label}}`),
  );
  const present = new Set([...fromPrometheus, ...selectors.flatMap(({ metric }) => series.get(metric) ?? [])]);
  const wrongGroups = groupedLabelsOf(expr).filter((label) => !present.has(label));
  return [...wrongMatchers, ...wrongGroups].map((label) => `${where}: no label ${label}`);
} // prettier-ignore

/** Matched values that the catalogue's list of a label, or the reply catalogue, does not have. */
function unknownValues({ where, expr }: Expression): string[] {
  return selectorsOf(expr).flatMap(({ metric, matchers }) =>
    matchers.flatMap(({ label, value }) => {
      const known = knownValues(metric.replace(/_(bucket|sum|count)$/, ''), label);
      const asked = value.split('|').filter(() => known !== undefined && !value.startsWith('$'));
      return asked
        .filter((one) => !known?.includes(one))
        .map((one) => `${where}: no ${metric}{${label}="${one}"}`);
    }),
  );
}

function knownValues(name: string, label: string): readonly string[] | undefined {
  if (name === 'postern_rejections_total' && label === 'reason') return Object.keys(replies);
  const values = catalogueByName.get(name)?.labels[label];
  return typeof values === 'string' ? undefined : values;
}

const suffixes = ['', '_bucket', '_sum', '_count'];

const everything = [...ruleExpressions, ...panelExpressions];

describe('every expression in rules and dashboard', () => {
  it('there are some', () => {
    expect(ruleExpressions.length).toBeGreaterThan(30);
    expect(panelExpressions.length).toBeGreaterThan(50);
    expect(everything.flatMap(({ expr }) => selectorsOf(expr)).length).toBeGreaterThan(100);
  });

  it('names only metrics of the catalogue and recorded rules', () => {
    expect(everything.flatMap(unknownNames)).toEqual([]);
  });

  it('matches and groups by labels that the metrics have', () => {
    expect(everything.flatMap(unknownLabels)).toEqual([]);
  });

  it('asks for label values that exist', () => {
    expect(everything.flatMap(unknownValues)).toEqual([]);
  });

  it('leaves no metric of the catalogue unused', () => {
    const used = new Set(everything.flatMap(({ expr }) => selectorsOf(expr)).map(({ metric }) => metric));
    expect(catalogue.filter(({ name }) => !suffixes.some((suffix) => used.has(name + suffix))).map(({ name }) => name)).toEqual([]);
  }); // prettier-ignore
});

function complaints(expr: string): string[] {
  const expression = { where: 'x', expr };
  return [...unknownNames(expression), ...unknownLabels(expression), ...unknownValues(expression)];
}

describe('the checks can fail', () => {
  it.each([
    ['rate(postern_conections_total[5m])', 'x: no metric postern_conections_total'],
    ['postern_queue_commit_seconds', 'x: no metric postern_queue_commit_seconds'],
    ['postern_queue_bytes_sum', 'x: no metric postern_queue_bytes_sum'],
    ['instance:postern_gone:rate5m > 1', 'x: no metric instance:postern_gone:rate5m'],
    ['postern_queue_bytes{state="active"}', 'x: no label postern_queue_bytes{state}'],
    ['sum by (route) (postern_queue_bytes)', 'x: no label route'],
    ['postern_queue_messages{state=~"active|lost"}', 'x: no postern_queue_messages{state="lost"}'],
    ['postern_rejections_total{reason="nonsense"}', 'x: no postern_rejections_total{reason="nonsense"}'],
  ])('%s', (expr, complaint) => {
    expect(complaints(expr)).toEqual([complaint]);
  });
});

describe('the measured parts of an alert', () => {
  it.each([
    ['up{job="a"} == 0', ['up{job="a"}']],
    ['a > 1 and b > 2', ['a', 'b']],
    ['a > 1 and on (job) sum by (job) (b{x=~"c|d"}) > 0', ['a', 'sum by (job) (b{x=~"c|d"})']],
    ['min_over_time(a[5m]) >= 3', ['min_over_time(a[5m])']],
    ['a < max_over_time(a[1h])', ['a']],
    ['(a > bool 1) + b', ['(a > bool 1) + b']],
    ['a{x="and > or"} > 0', ['a{x="and > or"}']],
    ['android or b', ['android', 'b']],
  ])('%s', (expr, parts) => {
    expect(measuredParts(expr)).toEqual(parts);
  });
});
