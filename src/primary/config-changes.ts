/** Which keys differ between two configs, as the file names them: `limits.recipients`, `routes.hop.retry.expire`. Pure. */

/** Maps are compared key by key; lists and everything else as a whole. Sorted. */
export function changedKeys(before: unknown, after: unknown): string[] {
  return [...new Set(differing(before, after, '').map(nameInFile))].toSorted();
}

function differing(before: unknown, after: unknown, prefix: string): string[] {
  if (!isMap(before) || !isMap(after)) return isSame(before, after) ? [] : [prefix];
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].flatMap((name) =>
    differing(before[name], after[name], prefix === '' ? name : `${prefix}.${name}`),
  );
}

/** config/resolve.ts renames these few on the way from the file. */
function nameInFile(key: string): string {
  return key
    .replace(/^((?:limits|notifications|policy\.dnsbl|routes\.[^.]+\.retry)\.\w+)Ms$/, '$1')
    .replace(/^(routes\.[^.]+)\.hops$/, '$1.to')
    .replace(/^notifications\.templateFile$/, 'notifications.template')
    .replace(/^auth\.backend\..*$/, 'auth.backend')
    .replace(/^auth\.cacheMs$/, 'auth.cache')
    .replace(/^auth\.usersFile$/, 'auth.users.file');
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Plain values from a checked config, always built in the same order: their spelling decides. */
function isSame(before: unknown, after: unknown): boolean {
  return JSON.stringify(before) === JSON.stringify(after);
}
