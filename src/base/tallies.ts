/**
 * What is counted per client network over all workers, by kind and key; the words that both ends share. Workers count
 * (worker/tallies.ts), the primary adds up (primary/tally-merge.ts) and tells which keys are at their limit.
 * A new kind is a row here and its limits in config/tally-limits.ts.
 */

/** What is there now: the sum over the living workers, gone with the worker that has it. */
export const standingKinds = ['connections', 'bytes'] as const;
export type StandingKind = (typeof standingKinds)[number];

/** What happened in the last minute: stays when the worker that saw it is gone. */
export const rateKinds = ['connects', 'messages', 'recipients', 'authFailures'] as const;
export type RateKind = (typeof rateKinds)[number];

export type TallyKind = StandingKind | RateKind;
export const tallyKinds: readonly TallyKind[] = [...standingKinds, ...rateKinds];

export function isStandingKind(kind: TallyKind): kind is StandingKind {
  return standingKinds.some((standing) => standing === kind);
}

/** One of something for each of these kinds. */
export function perKind<Kind extends TallyKind, T>(
  kinds: readonly Kind[],
  make: (kind: Kind) => T,
): Readonly<Record<Kind, T>> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each of the kinds has its entry
  return Object.fromEntries(kinds.map((kind) => [kind, make(kind)])) as Record<Kind, T>;
}

/** By kind, then by key. Only what has changed. */
export interface TallyReport {
  /** The worker's own number now; 0: gone. */
  readonly standing: Partial<Record<StandingKind, Record<string, number>>>;
  /** How many more since the last report. */
  readonly events: Partial<Record<RateKind, Record<string, number>>>;
}

/** By kind, the whole set of keys at their limit; a kind that is left out has not changed. */
export type OverLimit = Partial<Record<TallyKind, string[]>>;

/** What a key stands for decides which limit it has. */
export type KeyScope = 'host' | 'network' | 'account';

const accountPrefix = 'account:';

/**
 * Of keys as `networkKeys` makes them: neighbourhoods end in /24 or /48, hosts have no prefix or /64. What is counted
 * per account has this prefix and a hash, so that no name of any length or kind gets into a key.
 */
export function keyScope(key: string): KeyScope {
  if (key.startsWith(accountPrefix)) return 'account';
  return key.endsWith('/24') || key.endsWith('/48') ? 'network' : 'host';
}
