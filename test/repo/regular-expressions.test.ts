/**
 * G-24: no regular expression that backtracks stands near the network. What is allowed needs no analysis: at most one
 * part that repeats without end, not inside another repetition, and either behind `^` or at the very end, so that no
 * input is looked at twice. Whatever else is needed stands in the list below with the reason why it is linear.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { root } from '../support/postern.js';

/** All that sees bytes of a client, a next hop, a DNS server, a browser or a backend; not the operator's own files. */
const folders = [
  'auth',
  'base',
  'metrics',
  'policy',
  'pool',
  'primary',
  'protocol',
  'queue',
  'relay',
  'worker',
];

/** By file and pattern; why it is linear. */
const proven: Readonly<Record<string, string>> = {
  'base/open-files.ts ^Max open files\\s+(\\d+)': 'a space is no digit; and the kernel wrote it',
  'primary/config-changes.ts ^((?:limits|notifications|policy\\.dnsbl|routes\\.[^.]+\\.retry)\\.\\w+)Ms$':
    'names of keys of ours',
  'primary/admin/token.ts ^bearer +(\\S+)$': 'what is no space begins the second part',
  'relay/mx-lookup.ts ^(?=.{1,253}$)[a-z0-9_-]{1,63}(\\.[a-z0-9_-]{1,63})*$':
    'at most 253 characters, and a dot begins each label',
  'relay/mx-lookup.ts (^|\\.)\\d+$': 'behind the one above: at most 253 characters',
  'relay/notifications/original-message.ts ^message-id:[ \\t]*(?:\\r\\n[ \\t]+)?(<[!-;=?-~]{1,250}>)[ \\t]*\\r$':
    'each part begins with what the one before it cannot have',
  'relay/notifications/sender-notifier.ts :\\d+$': 'the address of a hop in the config',
  'relay/notifications/template.ts ^\\[([^\\]]*)\\]\\s*$': 'a file of the operator',
  'relay/notifications/template.ts ^Subject:\\s*(.*?)\\s*$': 'a file of the operator',
  'relay/notifications/template.ts \\{\\{|\\{([A-Za-z]+)\\}|\\{': 'a file of the operator',
};

interface Literal {
  readonly file: string;
  readonly pattern: string;
}

/** In TypeScript a slash begins a pattern where an expression begins. */
const literal =
  /(?:^|[(=,:?!&|[{;]|\breturn|=>)\s*\/(?![/*])((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+)\/[dgimsuvy]*/gm;

function literalsOf(file: string): Literal[] {
  const text = readFileSync(join(root, 'src', file), 'utf8').replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, '');
  return [...text.matchAll(literal)].map(([, pattern = '']) => ({ file, pattern }));
}

const literals = folders
  .flatMap((folder) =>
    readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.startsWith(`${folder}/`) && name.endsWith('.ts'),
    ),
  )
  .flatMap(literalsOf);

/** What makes a pattern one that has to be looked at. */
function suspicion(pattern: string): string | undefined {
  // Escapes and classes are one character each, so that only operators are left.
  const plain = pattern
    .replaceAll(/\\[pPk]\{[^}]*\}|\\[ux][0-9a-fA-F{}]+|\\./g, 'a')
    .replaceAll(/\[[^\]]*\]/g, 'a')
    .replaceAll(/\(\?(?:[:=!]|<[=!]|<\w+>)/g, '(');
  const endless = [...plain.matchAll(/[*+]|\{\d+,\}/g)].filter(({ index }) => index > 0);
  if (/\)(?:[*+?]|\{)/.test(plain) && /[*+?}][^()]*\)(?:[*+]|\{)/.test(plain))
    return 'a repetition inside a repetition';
  if (endless.length > 1) return 'two parts without end';
  const [only] = endless;
  if (only === undefined || plain.startsWith('^')) return undefined;
  const isLast = only.index + only[0].length === plain.length;
  return isLast ? undefined : 'a part without end that is looked for at every place';
}

test('literals are found', () => {
  expect(literals.length).toBeGreaterThan(50);
});

test('G-24: each regular expression near the network is linear by its form or by a reason', () => {
  const found = literals.flatMap(({ file, pattern }) => {
    const why = suspicion(pattern);
    return why === undefined || `${file} ${pattern}` in proven ? [] : [`${file} ${pattern}: ${why}`];
  });
  expect(found).toEqual([]);
});

test('every reason belongs to an expression that is there', () => {
  const there = new Set(literals.map(({ file, pattern }) => `${file} ${pattern}`));
  expect(Object.keys(proven).filter((key) => !there.has(key))).toEqual([]);
});

test.each([
  ['(a+)+$', true],
  ['(?:a|a)*b', true],
  ['^(a*)*$', true],
  ['a+b', true],
  [' +$', true],
  ['^a*b*$', true],
  ['(?:a{1,5}){1,5}x', true],
  ['^[a-z]+$', false],
  ['[^a-z]', false],
  ['\\d{1,3}', false],
  ['^(?:a|b)+$', false],
  ['x+', false],
])('%s is suspected: %s', (pattern, expected) => {
  expect(suspicion(pattern) !== undefined).toBe(expected);
});
