/** The arrows between folders are design.md's, and each package that matters has one door. Reads every import of src/. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../../src');

interface Import {
  /** Path below src/, with slashes: `policy/dnsbl.ts`. */
  readonly from: string;
  /** A path below src/, or a package: `node:net`, `lmdb`. */
  readonly to: string;
  readonly typeOnly: boolean;
}

/** What a folder may import from src/ beside itself. The top (index.ts, cli) may import all. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  base: [],
  config: ['base', 'protocol'],
  queue: ['base', 'protocol'],
  policy: ['base', 'protocol'],
  metrics: ['base', 'protocol'],
  auth: ['base', 'protocol', 'config', 'queue', 'policy', 'metrics'],
  pool: ['base', 'protocol', 'config', 'queue', 'policy', 'metrics'],
  relay: ['base', 'protocol', 'config', 'queue', 'policy', 'metrics'],
  hooks: ['base', 'protocol', 'config', 'queue', 'policy', 'metrics'],
  worker: ['base', 'protocol', 'config', 'queue', 'policy', 'metrics', 'auth', 'pool', 'relay', 'hooks'],
  primary: ['base', 'config', 'metrics'],
};

/** Of protocol these take the words, which are data, and nothing that works. */
const takesOnlyWords: ReadonlySet<string> = new Set(['config', 'queue', 'policy', 'metrics']);

/** Package → the folder whose one file imports it. */
const oneDoor: Readonly<Record<string, string>> = {
  jose: 'auth',
  ldapts: 'auth',
  lmdb: 'queue',
  piscina: 'pool',
  'prom-client': 'metrics',
};

function sourceFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
}

/** Static and dynamic imports, re-exports, and `import('…')` in types. Comments may not be mistaken for one. */
function importsOf(from: string): Import[] {
  const text = withoutComments(readFileSync(join(root, from), 'utf8'));
  const statements = text.matchAll(/\b(import|export)\b(\s+type\b)?[^'"`;=()]*?\bfrom\s*(['"])([^'"]+)\3/g);
  const bare = text.matchAll(/\bimport\s*(\(?)\s*(['"])([^'"]+)\2/g);
  return [
    ...Array.from(statements, (match) => toImport(from, match[4] ?? '', match[2] !== undefined)),
    ...Array.from(bare, (match) => toImport(from, match[3] ?? '', false)),
  ];
}

/** In their order. */
function staticImportsOf(from: string): Import[] {
  const text = withoutComments(readFileSync(join(root, from), 'utf8'));
  const statements = text.matchAll(/^import\b(?:[^'"`;=()]*?\bfrom)?\s*'([^']+)'/gm);
  return Array.from(statements, ([, to = '']) => toImport(from, to, false));
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[^]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}

function toImport(from: string, specifier: string, typeOnly: boolean): Import {
  if (!specifier.startsWith('.')) return { from, to: specifier, typeOnly };
  const target = relative(root, resolve(root, from, '..', specifier)).replace(/\.js$/, '.ts');
  return { from, to: target, typeOnly };
}

function folderOf(path: string): string {
  const slash = path.indexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** Undefined when the import is allowed, else what is wrong with it. */
function faultOf({ from, to, typeOnly }: Import): string | undefined {
  const folder = folderOf(from);
  const inside = to.endsWith('.ts');
  if (folder === 'protocol' && !(inside && folderOf(to) === 'protocol'))
    return 'protocol imports itself alone';
  if (!inside || folder === '' || folder === 'cli' || folderOf(to) === folder) return undefined;
  if (to.startsWith('..')) return 'outside src/';
  const allowed = arrows[folder];
  if (allowed === undefined) return `${folder}/ is not in design.md's tree`;
  if (!allowed.includes(folderOf(to))) return `${folder} may not import ${folderOf(to) || 'the top'}`;
  const words = typeOnly || to === 'protocol/types.ts';
  if (takesOnlyWords.has(folder) && folderOf(to) === 'protocol' && !words)
    return `${folder} takes only types of protocol`;
  return undefined;
}

/** `lmdb` of `lmdb/index.js`, `@scope/name` of `@scope/name/x`. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

const all = sourceFiles(root).flatMap(importsOf);

describe('the imports of src/', () => {
  it('point where design.md lets them', () => {
    const faults = all.flatMap((entry) => {
      const fault = faultOf(entry);
      return fault === undefined ? [] : [`${entry.from} imports ${entry.to}: ${fault}`];
    });
    expect(faults).toEqual([]);
  });

  it.each(Object.entries(oneDoor))('go to %s through one file in src/%s', (name, folder) => {
    const importers = new Set(all.filter(({ to }) => packageOf(to) === name).map(({ from }) => from));
    expect([...importers].map(folderOf)).toEqual([folder]);
  });
});

/** node:, packages, lower folders, own folder with what is below it. */
function rankOf({ from, to }: Import): number {
  if (to.startsWith('node:')) return 0;
  if (!to.endsWith('.ts')) return 1;
  const own = dirname(from);
  return own === '.' || to.startsWith(`${own}/`) ? 3 : 2;
}

describe('the import block of a file', () => {
  it('has node: first, then packages, other folders, its own folder', () => {
    const faults = sourceFiles(root).flatMap((file) => {
      const ranks = staticImportsOf(file).map(rankOf);
      return ranks.every((rank, at) => rank >= (ranks[at - 1] ?? 0)) ? [] : [file];
    });
    expect(faults).toEqual([]);
  });
});

describe('this test', () => {
  it('sees each form of an import', () => {
    expect(all.length).toBeGreaterThan(100);
    expect(all).toContainEqual({ from: 'pool/pool.ts', to: 'piscina', typeOnly: false });
    expect(all).toContainEqual({ from: 'pool/tasks.ts', to: 'policy/dnsbl.ts', typeOnly: true });
    expect(all).toContainEqual({ from: 'pool/pool.ts', to: 'pool/call.ts', typeOnly: false });
  });

  const table: [from: string, to: string, typeOnly: boolean, right: boolean][] = [
    ['protocol/session.ts', 'node:net', false, false],
    ['protocol/session.ts', 'base/ids.ts', true, false],
    ['protocol/session.ts', 'protocol/types.ts', false, true],
    ['base/log.ts', 'config/config.ts', true, false],
    ['policy/dnsbl.ts', 'pool/tasks.ts', true, false],
    ['policy/dnsbl.ts', 'config/config.ts', true, false],
    ['policy/dnsbl.ts', 'protocol/session.ts', false, false],
    ['policy/dnsbl.ts', 'protocol/session.ts', true, true],
    ['relay/delivery.ts', 'pool/pool.ts', false, false],
    ['relay/delivery.ts', 'protocol/replies.ts', false, true],
    ['primary/main.ts', 'worker/main.ts', false, false],
    ['primary/main.ts', 'queue/spool.ts', true, false],
    ['worker/main.ts', 'primary/main.ts', true, false],
    ['worker/main.ts', 'cli/main.ts', false, false],
    ['worker/main.ts', 'index.ts', false, false],
    ['cli/main.ts', 'worker/main.ts', false, true],
    ['misc/thing.ts', 'base/ids.ts', false, false],
  ];
  it.each(table)('%s importing %s (type only: %s) is right: %s', (from, to, typeOnly, right) => {
    expect(faultOf({ from, to, typeOnly }) === undefined).toBe(right);
  });
});
