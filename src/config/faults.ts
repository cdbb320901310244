/** What is wrong with a config, each fault with its place, and the error that carries all of them at once. */
import { PosternError } from '../base/errors.js';
import { withHiddenQuery } from './formats.js';

export type Path = readonly (string | number)[];

export interface Fault {
  /** `postern.yaml:12:3`, `postern.yaml`, or `POSTERN_ADMIN_PORT`. */
  readonly place: string;
  /** `listeners[0].port`; empty where the fault is in no key. */
  readonly path: string;
  /** `found 'x', expected …` */
  readonly text: string;
}

export class ConfigError extends PosternError {
  readonly faults: readonly Fault[];

  constructor(code: 'CONFIG_INVALID' | 'CONFIG_UNREADABLE', faults: readonly Fault[], cause?: unknown) {
    super(code, faults.map(formatFault).join('\n'), cause);
    this.name = 'ConfigError';
    this.faults = faults;
  }

  /** One line a fault: `file:line:column: path: found X, expected Y`. */
  format(): string {
    return this.message;
  }
}

export function formatFault(fault: Fault): string {
  return [fault.place, fault.path, fault.text].filter((part) => part !== '').join(': ');
}

/** `listeners[0].port` */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path)
    text += typeof part === 'number' ? `[${part}]` : `${text === '' ? '' : '.'}${part}`;
  return text;
}

const maxShownCharacters = 60;

/** A value as a fault shows it. */
export function show(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'string') return `a ${typeof value}`;
  const shown = withoutSecrets(value);
  const cut = shown.length > maxShownCharacters ? `${shown.slice(0, maxShownCharacters)}…` : shown;
  return `'${cut}'`;
}

/**
 * A URL with `user:password@` in it is wrong wherever it stands, and the password is one all the same; a query may hold
 * the key of a service.
 */
function withoutSecrets(text: string): string {
  const from = text.indexOf('://');
  if (from < 0) return text;
  const to = text.lastIndexOf('@');
  return withHiddenQuery(to < from ? text : `${text.slice(0, from)}://…${text.slice(to)}`, '…');
}

/** The candidate that `word` is most likely a misspelling of; undefined when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  // A third of the letters wrong is still a slip; more is another word.
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/**
 * Letters to insert, delete, replace, or swap with their neighbour (optimal string alignment), row by row. Keys of
 * more than 64 letters are no slips.
 */
function editDistance(a: string, b: string): number {
  if (a.length > 64 || b.length > 64) return Math.max(a.length, b.length);
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? (before[j - 2] ?? 0) + 1 : replaced;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, replaced, swapped));
    }
    [before, row] = [row, next];
  }
  return row[b.length] ?? 0;
}
