/** `npm run bench` keeps working: one short case from start to result file. Its figures are nobody's business here. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { root } from '../support/postern.js';
import { run } from '../support/program.js';

let directory = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postern-bench-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

test.each([
  ['a connection per message', 'accept'],
  ['relayed to the sink', 'relay'],
  ['/metrics', 'scrape'],
])('the case “%s” runs, prints its row and writes its figures', { timeout: 120_000 }, async (name, kind) => {
  const out = join(directory, 'result.json');
  const bench = [join(root, 'bench/run.mjs'), '--only', name, '--seconds', '2', '--out', out];
  const { code, stdout, stderr } = await run(process.execPath, bench);
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(new RegExp(`^\\| [^|]*${name}[^|]* \\| +[0-9.]+ \\|`, 'm'));
  const { machine, rows } = JSON.parse(readFileSync(out, 'utf8'));
  expect(machine).toMatchObject({ node: process.version });
  expect(rows).toHaveLength(1);
  const [row] = rows;
  expect(row.counts).toMatchObject({ refused: 0, noReply: 0, notSent: 0, connectionsLost: 0 });
  expect(row.counts.acked).toBeGreaterThan(0);
  expect(row.server.cpuSecondsPer1000).toBeGreaterThan(0);
  expect(row.dotTo250.p99Ms).toBeGreaterThanOrEqual(row.dotTo250.p50Ms);
  if (kind === 'relay') expect(row.relay.messagesPerSecond).toBeGreaterThan(0);
  if (kind === 'scrape') expect(row.scrape.requests).toBeGreaterThan(0);
});
