/**
 * Which IPv4 answers of a DNSBL count, as operators write it: `127.0.0.2`, `127.0.0.[2..11]`, `127.0.[0..255].[1,3,5]`
 * (`;` separates as `,` does). Parsed once at start, in one pass; the schema checks with it, policy matches with it.
 */

type Range = readonly [low: number, high: number];

export class AddressPattern {
  readonly #octets: readonly (readonly Range[])[];

  constructor(octets: readonly (readonly Range[])[]) {
    this.#octets = octets;
  }

  /** @param address dotted IPv4 */
  matches(address: string): boolean {
    const octets = address.split('.');
    return this.#octets.every((ranges, i) => isIn(Number(octets[i]), ranges));
  }
}

/** Undefined when it is no pattern: the caller says where it stands. */
export function parseAddressPattern(text: string): AddressPattern | undefined {
  const parts = splitOctets(text);
  if (parts?.length !== 4) return undefined;
  const octets = parts.map(parseOctet);
  return octets.every((ranges) => ranges !== undefined) ? new AddressPattern(octets) : undefined;
}

/** At the dots between octets; those of a range stand inside brackets. Undefined when brackets do not pair. */
function splitOctets(text: string): string[] | undefined {
  const parts = [''];
  let inside = false;
  for (const character of text) {
    if (character === '.' && !inside) {
      parts.push('');
      continue;
    }
    if (character === '[' || character === ']') {
      if (inside === (character === '[')) return undefined;
      inside = !inside;
    }
    parts[parts.length - 1] += character;
  }
  return inside ? undefined : parts;
}

function parseOctet(text: string): readonly Range[] | undefined {
  if (!text.startsWith('[')) {
    const value = parseNumber(text);
    return value === undefined ? undefined : [[value, value]];
  }
  if (!text.endsWith(']')) return undefined;
  const ranges = text.slice(1, -1).split(/[,;]/).map(parseRange);
  return ranges.every((range) => range !== undefined) ? ranges : undefined;
}

function parseRange(text: string): Range | undefined {
  const [lowText = '', highText = lowText, more] = text.trim().split('..');
  const low = parseNumber(lowText);
  const high = parseNumber(highText);
  if (low === undefined || high === undefined || more !== undefined) return undefined;
  return low <= high ? [low, high] : undefined;
}

/** 0 to 255, decimal. */
function parseNumber(text: string): number | undefined {
  if (!/^\d{1,3}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= 255 ? value : undefined;
}

function isIn(value: number, ranges: readonly Range[]): boolean {
  return ranges.some(([low, high]) => value >= low && value <= high);
}
