import { join } from 'node:path';

import { expect, it } from 'vitest';

import { primaryMetrics, workerMetrics, type MetricRow } from '../../src/metrics/catalogue.js';
import { root } from '../support/postern.js';

const head = `# Metrics

Printed from src/metrics/catalogue.ts; \`npx vitest run test/metrics/reference.test.ts -u\` prints it again. Read at
\`GET /metrics\` of the admin HTTP, merged over all workers. Counters and histograms are summed, also over workers that
are gone; how a gauge is merged is in its row. No label is ever the address or domain of a client, a sender or a recipient, nor anything that they wrote.
`;

function labelsOf(row: MetricRow): string {
  return Object.entries(row.labels)
    .map(([name, values]) => `\`${name}\`: ${typeof values === 'string' ? values : values.join(', ')}`)
    .join('; ');
}

function kindOf(row: MetricRow): string {
  if (row.type === 'gauge') return `gauge, ${row.merge}`;
  return row.type === 'histogram' ? `histogram, ${row.buckets.join(' ')}` : row.type;
}

/** Padded as prettier does it, so that formatting and printing do not fight. */
function table(rows: readonly MetricRow[]): string {
  const cells = [
    ['metric', 'type', 'labels', 'what'],
    ...rows.map((row) => [`\`${row.name}\``, kindOf(row), labelsOf(row), row.help]),
  ];
  const widths = [0, 1, 2, 3].map((at) => Math.max(...cells.map((line) => line[at]?.length ?? 0)));
  const lines = cells.map((line) => `| ${line.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`);
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`);
  return lines.join('\n');
} // prettier-ignore

it('deploy/METRICS.md is the catalogue', async () => {
  const text = `${head}
## Of the service

${table(Object.values<MetricRow>(primaryMetrics))}

## Of the workers

The label \`worker\` is the slot, or \`primary\`.

${table(Object.values<MetricRow>(workerMetrics))}
`;
  await expect(text).toMatchFileSnapshot(join(root, 'deploy/METRICS.md'));
});
