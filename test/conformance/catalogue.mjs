/**
 * Writes test/conformance.md: each rule and each attack with the tests that show it, or the reason why there is none.
 * `npm run generate` calls it; test/repo/conformance.test.ts fails while the file is not what this writes, or while a
 * row has neither a test nor a reason.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { citations, findTests, root } from '../support/citations.mjs';
import { attacks } from './attacks.mjs';
import { rules } from './rules.mjs';

const levels = new Map([
  ['M', 'must'],
  ['MN', 'must not'],
  ['S', 'should'],
  ['SN', 'should not'],
  ['m', 'may'],
  ['–', '–'],
]);

/** @returns {{ text: string, missing: string[], open: string[], unknown: string[] }} */
function catalogue() {
  const tests = findTests(/\b[CA]-\d{3}\b/g);
  const known = new Set([...Object.keys(rules), ...Object.keys(attacks)]);
  /** @type {string[]} */
  const missing = [];
  /** @type {string[]} */
  const open = [];
  /** @param {string} id @param {string} heading @param {string | undefined} why */
  const section = (id, heading, why) => {
    const shown = citations(tests, id);
    if (why?.startsWith('open') === true) open.push(id);
    if (why !== undefined) shown.push(why);
    if (shown.length === 0) missing.push(id);
    return `### ${id} ${heading}\n\n${shown.map((line) => `- ${line}`).join('\n')}\n`;
  };
  const ruleSections = Object.entries(rules).map(([id, [level, source, text, why]]) =>
    section(id, `${text} (${source}, ${levels.get(level)})`, why),
  );
  const attackSections = Object.entries(attacks).map(([id, [text, why]]) => section(id, text, why));
  const unknown = [...new Set(tests.flatMap(({ ids }) => ids))].filter((id) => !known.has(id));
  const text = `# Rules and attacks

Written by test/conformance/catalogue.mjs from the titles of the tests and the first lines of the transcripts. What an
RFC asks is told in our words; the RFC decides. Deviations are told in config/reference.md.

\`npm run mutate\` breaks rules by patches of a line, one at a time. The last whole run, 2026-11-27: 116 patches of 109
rules, each turned red the test that names its rule.

Open: ${open.length === 0 ? 'none' : open.join(', ')}.

## Rules

${ruleSections.join('\n')}
## Attacks

${attackSections.join('\n')}`;
  return { text, missing, open, unknown };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === '--print') process.stdout.write(JSON.stringify(catalogue()));
  else writeFileSync(join(root, 'test/conformance.md'), catalogue().text);
}
