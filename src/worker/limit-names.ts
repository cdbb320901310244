/** Which key of the config cut a session, for its log line. The metric has the reason alone: its labels are few. */
import type { DeadlineLimit } from './deadlines.js';
import type { Stress } from './stress.js';

export type Limit =
  DeadlineLimit | 'errors' | 'junkCommands' | 'authFailures' | 'transactions' | 'sessionAge';

/** By the name of the 421 that it is told with. */
const byReply: ReadonlyMap<string, Limit> = new Map<string, Limit>([
  ['tooManyErrors', 'errors'],
  ['tooManyCommands', 'junkCommands'],
  ['tooManyAuthFailures', 'authFailures'],
  ['tooManyMessages', 'transactions'],
  ['sessionTooOld', 'sessionAge'],
]);

/** The keys of `limits.stress`. */
const stressed: ReadonlySet<Limit> = new Set<Limit>([
  'errors',
  'junkCommands',
  'commandTimeout',
  'dataTimeout',
  'tlsHandshakeTimeout',
]);

export function limitKey(limit: Limit, { active }: Pick<Stress, 'active'>): string {
  return active && stressed.has(limit) ? `limits.stress.${limit}` : `limits.${limit}`;
}

/** @param name of a reply; undefined: no limit of an operator is behind it */
export function limitBehind(name: string): Limit | undefined {
  return byReply.get(name);
}
