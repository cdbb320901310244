/** What several rounds say, as tables for people. */

/**
 * @typedef {import('./measure.mjs').Figures} Figures
 * @typedef {{ caseId: string, peer: string, rounds: (Figures | undefined)[] }} Row a round that failed is undefined
 */

const yardstick = 'smtp-sink';

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2;
}

/** @param {Row} row @param {keyof Figures} key @returns {number[]} */
export function valuesOf(row, key) {
  return row.rounds.flatMap((figures) => figures?.[key] ?? []);
}

/** Within each round, so that a slow minute of the machine slows both. @param {Row} row @param {readonly Row[]} rows @param {keyof Figures} key @param {string} [against] */
export function ratiosTo(row, rows, key, against = yardstick) {
  const other = rows.find(({ caseId, peer }) => caseId === row.caseId && peer === against);
  return row.rounds.flatMap((figures, round) => {
    const [mine, theirs] = [figures?.[key], other?.rounds[round]?.[key]];
    return mine === undefined || theirs === undefined ? [] : [mine / theirs];
  });
}

/** @param {readonly Row[]} rows @param {import('./cases.mjs').Case} entry @param {ReadonlyMap<string, boolean>} syncs */
export function caseTable(rows, entry, syncs) {
  const mine = rows.filter(({ caseId, rounds }) => caseId === entry.id && rounds.some(Boolean));
  if (mine.length === 0) return '';
  const idle = entry.load.kind === 'idle';
  const head = idle
    ? ['server', 'KiB of RSS per connection', 'least', 'most']
    : ['server', 'per s', 'least', 'most', `× ${yardstick}`, 'CPU s/1000', 'RSS MiB', 'PSS MiB', 'p50 ms', 'p99 ms', 'p99.9 ms', 'syncs']; // prettier-ignore
  const lines = mine.map((row) => {
    const of = (/** @type {keyof Figures} */ key) => valuesOf(row, key);
    if (idle) return [row.peer, ...spread(of('kibPerConnection'))];
    const rest = /** @type {const} */ (['rssMiB', 'pssMiB', 'p50Ms', 'p99Ms', 'p999Ms']);
    const synced = syncs.get(row.peer);
    return [
      row.peer,
      ...spread(of('perSecond')),
      shown(median(ratiosTo(row, rows, 'perSecond')), 2),
      shown(median(of('cpuPer1000')), 3),
      ...rest.map((key) => shown(median(of(key)))),
      synced === undefined ? '-' : synced ? 'yes' : 'no',
    ];
  });
  const table = [head, head.map((_, i) => (i === 0 ? '---' : '--:')), ...lines];
  return `**${entry.id}**: ${entry.title}\n\n${table.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`;
}

/** @param {readonly number[]} values */
function spread(values) {
  return [median(values), Math.min(...values), Math.max(...values)].map((value) => shown(value));
}

/** @param {number} value @param {number} [digits] */
function shown(value, digits = 1) {
  if (!Number.isFinite(value)) return '-';
  return value >= 1000 ? value.toFixed(0) : value.toFixed(digits);
}
