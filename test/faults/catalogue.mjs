/**
 * Writes test/faults.md: each fault of the list and each goal with the tests that show it, found by their ids in test
 * titles, or the reason why there is none, and what the long runs measured last (results.json). `npm run generate` calls
 * it; catalogue.test.ts fails while the file is not what this writes.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { faults, goals } from './catalogue-rows.mjs';

const root = resolve(import.meta.dirname, '../..');
const target = join(root, 'test/faults.md');
const resultsFile = join(root, 'test/faults/results.json');

/** @typedef {{ file: string, title: string, ids: string[] }} Test */

/** Titles of test, it, describe and their .each and .skipIf, in any kind of quotes. */
const titled = /\b(?:test|it|describe)(?:\.\w+(?:\([^)]*\))?)*\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g;
/** Rows of an .each table give titles too. */
const rowTitled =
  /^\s*(?:\[|name: |title: )\s*(['"`])((?:\\.|(?!\1)[^\\])*\b[FG]-\d{2}\b(?:\\.|(?!\1)[^\\])*)\1/gm;

/** @returns {Test[]} */
function testsOf(/** @type {string} */ file) {
  const text = readFileSync(file, 'utf8');
  const titles = [...text.matchAll(titled), ...text.matchAll(rowTitled)].map((match) => match[2] ?? '');
  return titles.flatMap((title) => {
    const ids = title.match(/\b[FG]-\d{2}\b/g);
    return ids === null ? [] : [{ file: relative(root, file), title, ids }];
  });
}

/** What an id adds nothing to is left out; a template's expressions too. */
function plain(/** @type {string} */ title) {
  return title
    .replaceAll(/\$\{[^}]*\}/g, '')
    .replaceAll(/\b[A-Z]-\d{2,3}(?:\/\d+)*[,:]?\s*/g, '')
    .replaceAll(/,\s*\)/g, ')')
    .replaceAll(/\(\s*\)/g, '')
    .replaceAll(/\\(['"`])/g, '$1')
    .replaceAll('|', '\\|')
    .replace(/^[…\s]+/, '… ')
    .trim();
}

/** @param {readonly Test[]} tests @param {string} id */
function citations(tests, id) {
  /** @type {Map<string, string[]>} */
  const byFile = new Map();
  for (const { file, title, ids } of tests)
    if (ids.includes(id)) byFile.set(file, [...(byFile.get(file) ?? []), plain(title)]);
  return [...byFile].map(([file, titles]) => `\`${file}\`: ${[...new Set(titles)].join('; ')}`);
}

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
  const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .sort();
  const tests = files.flatMap((name) => testsOf(join(root, 'test', name)));
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
