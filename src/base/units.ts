/** Sizes and durations as people write them in a config file: `25MiB`, `5m`, `1h30m`. Pure. */

const byteUnits: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

const durationUnitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

function splitNumberAndUnit(text: string): Array<[number, string]> | undefined {
  const parts: Array<[number, string]> = [];
  let rest = text;
  while (rest !== '') {
    const match = /^(\d{1,15}(?:\.\d{1,6})?)([A-Za-z]*)/.exec(rest);
    if (!match) return undefined;
    parts.push([Number(match[1]), match[2] ?? '']);
    rest = rest.slice(match[0].length);
  }
  return parts;
}

/** `25MiB` → 26214400. A bare number is bytes. Undefined when it is not a size, so that the caller can say where. */
export function parseBytes(text: string): number | undefined {
  const parts = splitNumberAndUnit(text.replaceAll(' ', ''));
  if (parts === undefined || parts.length !== 1 || parts[0] === undefined) return undefined;
  const [count, unit] = parts[0];
  const factor = unit === '' ? 1 : byteUnits[unit];
  if (factor === undefined) return undefined;
  const bytes = count * factor;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** `5m`, `1h30m`, `250ms` → milliseconds. A number needs a unit, except 0. */
export function parseDurationMs(text: string): number | undefined {
  if (text === '0') return 0;
  const parts = splitNumberAndUnit(text.replaceAll(' ', ''));
  if (parts === undefined || parts.length === 0) return undefined;
  let totalMs = 0;
  for (const [count, unit] of parts) {
    const factor = durationUnitsMs[unit];
    if (factor === undefined) return undefined;
    totalMs += count * factor;
  }
  return Number.isSafeInteger(totalMs) ? totalMs : undefined;
}

export function formatBytes(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB']) {
    const factor = byteUnits[unit] ?? 1;
    if (bytes >= factor) return `${trim(bytes / factor)}${unit}`;
  }
  return `${bytes}B`;
}

export function formatDurationMs(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's']) {
    const factor = durationUnitsMs[unit] ?? 1;
    if (ms >= factor) return `${trim(ms / factor)}${unit}`;
  }
  return `${ms}ms`;
}

function trim(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(1);
}
