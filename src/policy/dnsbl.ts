/**
 * What the answers of several DNSBLs mean together. Pure: weights add up, two thresholds decide. A list that fails
 * says nothing: it neither blocks nor clears (fail open), and is told apart from one that has the client not listed.
 */
import { parseAddressPattern, type AddressPattern } from '../base/address-pattern.js';

export interface DnsblTask {
  /** Normalized client address. */
  readonly address: string;
  readonly zones: readonly string[];
  readonly servers: readonly string[];
  readonly timeoutMs: number;
}

/** One per zone, in order. 'timeout': nobody answered in time. 'error': SERVFAIL and every fault that is neither an
 *  answer, nor "no such name", nor time. */
export type DnsblAnswer =
  | { readonly kind: 'answer'; readonly addresses: readonly string[]; readonly ttlSeconds: number }
  | { readonly kind: 'none' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'error'; readonly code: string };

/** What one list says about one client. */
export type ListResult = 'listed' | 'clear' | 'timeout' | 'error';

export type DnsblVerdict =
  | { readonly kind: 'pass' }
  /** `zone` names the list that weighs most; `zones` all that counted against the client, heaviest first. */
  | { readonly kind: 'reject' | 'defer'; readonly zone: string; readonly zones: readonly string[] };

/** The parts of the config that decide; the checked DnsblConfig fits. */
export interface DnsblScores {
  readonly lists: readonly {
    readonly zone: string;
    readonly weight: number;
    readonly replies: readonly string[];
  }[];
  /** 0: never. */
  readonly reject: number;
  readonly defer: number;
}

const pass: DnsblVerdict = { kind: 'pass' };

export class DnsblJudge {
  readonly zones: readonly string[];
  readonly #weights: readonly number[];
  readonly #filters: readonly (readonly AddressPattern[])[];
  readonly #reject: number;
  readonly #defer: number;

  /** @throws TypeError for a reply filter that the schema should have refused */
  constructor(scores: DnsblScores) {
    this.zones = scores.lists.map((list) => list.zone);
    this.#weights = scores.lists.map((list) => list.weight);
    this.#filters = scores.lists.map((list) => list.replies.map(compileFilter));
    this.#reject = scores.reject;
    this.#defer = scores.defer;
  }

  /** @param list index into `zones` */
  resultOf(list: number, answer: DnsblAnswer): ListResult {
    if (answer.kind === 'none') return 'clear';
    if (answer.kind !== 'answer') return answer.kind;
    if (answer.addresses.some(isFailure)) return 'error';
    const filters = this.#filters[list] ?? [];
    return answer.addresses.some((address) => filters.some((filter) => filter.matches(address)))
      ? 'listed'
      : 'clear';
  }

  /** @param results one per zone, in order */
  judge(results: readonly ListResult[]): DnsblVerdict {
    let score = 0;
    for (let i = 0; i < results.length; i++) if (results[i] === 'listed') score += this.#weights[i] ?? 0;
    if (this.#reject !== 0 && score >= this.#reject) return this.#against('reject', results);
    if (this.#defer !== 0 && score >= this.#defer) return this.#against('defer', results);
    return pass;
  }

  #against(kind: 'reject' | 'defer', results: readonly ListResult[]): DnsblVerdict {
    const counted = this.zones
      .map((zone, i) => ({ zone, weight: results[i] === 'listed' ? (this.#weights[i] ?? 0) : 0 }))
      .filter(({ weight }) => weight > 0)
      .sort((a, b) => b.weight - a.weight)
      .map(({ zone }) => zone);
    return { kind, zone: counted[0] ?? '', zones: counted };
  }
}

function compileFilter(text: string): AddressPattern {
  const filter = parseAddressPattern(text);
  if (filter === undefined) throw new TypeError(`not a reply filter: ${text}`);
  return filter;
}

/**
 * 127.255.255.0/24 is how lists say "you ask too much" or "not through a public resolver"; an answer outside 127/8 is
 * a dead zone's parking page or a resolver that lies. One such address spoils the whole answer.
 */
function isFailure(address: string): boolean {
  return !address.startsWith('127.') || address.startsWith('127.255.255.');
}
