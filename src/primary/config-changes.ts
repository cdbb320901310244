/** Which keys differ between two configs, as an operator would name them: `limits.recipients`, `listeners`. Pure. */

/** Maps are compared key by key; lists and everything else as a whole. Sorted. */
export function changedKeys(before: unknown, after: unknown, prefix = ''): string[] {
  if (!isMap(before) || !isMap(after)) return isSame(before, after) ? [] : [prefix];
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names]
    .toSorted()
    .flatMap((name) => changedKeys(before[name], after[name], prefix === '' ? name : `${prefix}.${name}`));
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Plain values from a checked config, always built in the same order: their spelling decides. */
function isSame(before: unknown, after: unknown): boolean {
  return JSON.stringify(before) === JSON.stringify(after);
}
