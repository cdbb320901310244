/** `postern queue shape`: how many messages wait for which domain, and since when. A table as qshape prints it. */
import { Command } from 'commander';
import type { QueueShape } from '../base/messages.js';
import { AdminClient } from './admin-client.js';
import { configOption, type ConfigOption } from './config-file.js';
import { jsonOption, printable, printJson, printLines, type JsonOption } from './output.js';

export function shapeCommand(): Command {
  return new Command('shape')
    .description('count messages by recipient domain and age in minutes')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(async (options: ConfigOption & JsonOption) => {
      const shape = await new AdminClient(options).call<QueueShape>('GET', '/api/v1/queue/shape');
      if (options.json) printJson(shape);
      else printLines(describeShape(shape));
    });
}

/** A column is what is younger than its head and older than the one before; the last is what is older than all. */
function describeShape({ ageMinutes, rows }: QueueShape): string[] {
  const last = ageMinutes.at(-1);
  const heads = ['', 'T', ...ageMinutes.map(String), last === undefined ? 'all' : `${last}+`];
  const total = heads
    .slice(2)
    .map((_, column) => rows.reduce((sum, row) => sum + (row.counts[column] ?? 0), 0));
  return table([
    heads,
    cells('TOTAL', total),
    ...rows.map(({ domain, counts }) => cells(domain === '' ? '(others)' : printable(domain), counts)),
  ]);
}

function cells(name: string, counts: readonly number[]): string[] {
  return [name, String(counts.reduce((sum, n) => sum + n, 0)), ...counts.map(String)];
}

/** Everything to the right, as numbers are read. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join('  '));
}
