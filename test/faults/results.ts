/**
 * What the suites measured when they were run by hand at full length (`npm run faults`, `npm run soak`): results.json,
 * one entry per goal or suite, which test/faults.md shows. Short runs in CI write nothing.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { resolve } from 'node:path';

const file = resolve(import.meta.dirname, 'results.json');

export interface Measured {
  /** Ids of goals (G-…) and faults (F-…) that this measures. */
  readonly ids: readonly string[];
  /** One line for the table. */
  readonly summary: string;
  readonly seed: number;
  readonly figures: Readonly<Record<string, unknown>>;
}

export function record(suite: string, measured: Measured): void {
  process.stdout.write(`${suite}: ${JSON.stringify(measured)}\n`);
  if (process.env['FAULTS_KEEP_RESULTS'] !== '1') return;
  const all = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>) : {};
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`;
  const entry = { date: new Date().toISOString().slice(0, 10), node: process.version, machine, ...measured };
  const sorted = Object.entries({ ...all, [suite]: entry }).sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(file, `${JSON.stringify(Object.fromEntries(sorted), undefined, 2)}\n`);
}

/** A whole number from the environment, for the long runs; else what CI takes. */
export function sized(variable: string, inCi: number): number {
  return Number(process.env[variable] ?? inCi);
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
