/**
 * Which tests show which row of a catalogue: found by the ids in the titles of tests and in the rules of transcripts.
 * Used by the catalogues of faults and of conformance, which know their rows and write their pages.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

export const root = resolve(import.meta.dirname, '../..');

/** @typedef {{ file: string, title: string, ids: readonly string[] }} Test */

/** Titles of test, it, describe and their .each and .skipIf, in any kind of quotes. */
const titled = /\b(?:test|it|describe)(?:\.\w+(?:\([^)]*\))?)*\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g;
/** What follows a table. */
const behindTable = /\)\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g;
/** Rows of tables give titles too: any string of a row. */
const row = /^\s*(?:\[|\{|name: |title: |why: |['"`]).*$/gm;
const quoted = /(['"`])((?:\\.|(?!\1)[^\\])*)\1/g;

/** @param {string} text @returns {string[]} */
function titlesOf(text) {
  const titles = [...text.matchAll(titled), ...text.matchAll(behindTable)].map((match) => match[2] ?? '');
  for (const [line] of text.matchAll(row))
    for (const match of line.matchAll(quoted)) titles.push(match[2] ?? '');
  return titles;
}

/** The lines that a transcript opens with. @param {string} text */
function ruleOf(text) {
  const lines = text.split('\n');
  const end = lines.findIndex((line) => !line.startsWith('#'));
  return lines
    .slice(0, end)
    .map((line) => line.slice(1).trim())
    .join(' ');
}

/** @param {RegExp} id global @returns {Test[]} of test/, by file */
export function findTests(id) {
  const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' });
  return files.sort().flatMap((name) => {
    const path = join(root, 'test', name);
    const file = relative(root, path);
    /** @type {string[]} */
    let titles = [];
    if (name.endsWith('.test.ts')) titles = titlesOf(readFileSync(path, 'utf8'));
    else if (name.endsWith('.smtp')) titles = [ruleOf(readFileSync(path, 'utf8'))];
    return titles.flatMap((title) => {
      const ids = title.match(id);
      return ids === null ? [] : [{ file, title, ids }];
    });
  });
}

/** A title without ids and the expressions of a template. @param {string} title */
function plain(title) {
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

/** One line for each file. @param {readonly Test[]} tests @param {string} id */
export function citations(tests, id) {
  /** @type {Map<string, string[]>} */
  const byFile = new Map();
  for (const { file, title, ids } of tests)
    if (ids.includes(id)) byFile.set(file, [...(byFile.get(file) ?? []), plain(title)]);
  return [...byFile].map(([file, titles]) => `\`${file}\`: ${[...new Set(titles)].join('; ')}`);
}
