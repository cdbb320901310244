/**
 * Writes test/faults.md: each fault of the list and each goal with the tests that show it, found by their ids in test
 * titles, or the reason why there is none, and what the long runs measured last (results.json). `npm run generate` calls
 * it; catalogue.test.ts fails while the file is not what this writes.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { citations, findTests, root } from '../support/citations.mjs';
import { faults, goals } from './catalogue-rows.mjs';

const target = join(root, 'test/faults.md');
const resultsFile = join(root, 'test/faults/results.json');

/** @returns {Record<string, { ids: string[], summary: string, date: string }>} */
function results() {
  return existsSync(resultsFile) ? JSON.parse(readFileSync(resultsFile, 'utf8')) : {};
}

/** @param {string} id */
function measured(id) {
  return Object.entries(results())
    .filter(([, { ids }]) => ids.includes(id))
    .map(([suite, { summary, date }]) => `${suite}, ${date}: ${summary}`);
}

/** @returns {{ text: string, missing: string[] }} missing: ids with neither a test nor a reason */
function catalogue() {
  const tests = findTests(/\b[FG]-\d{2}\b/g);
  /** @type {string[]} */
  const missing = [];
  const section = (/** @type {readonly { id: string, name: string, why?: string }[]} */ rows) =>
    rows.map(({ id, name, why }) => {
      const shown = [...citations(tests, id), ...measured(id).map((line) => `measured: ${line}`)];
      if (shown.length === 0 && why === undefined) missing.push(id);
      const lines = why === undefined ? shown : [...shown, why];
      return `### ${id} ${name}\n\n${(lines.length === 0 ? ['nothing yet'] : lines).map((line) => `- ${line}`).join('\n')}\n`;
    });
  const text = `# Faults and goals

Written by test/faults/catalogue.mjs from the titles of the tests and from test/faults/results.json (the long runs, by
hand). How the suites work is in test/faults/README.md.

## Faults

${section(faults).join('\n')}
## Goals

${section(goals).join('\n')}`;
  return { text, missing };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === '--print') process.stdout.write(JSON.stringify(catalogue()));
  else writeFileSync(target, catalogue().text);
}
