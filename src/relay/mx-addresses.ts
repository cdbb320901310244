/**
 * Host names that DNS gave us to addresses. Unlike the hops of the config, anybody can choose these names and what they
 * point to, so /etc/hosts does not count, answers are bounded, and addresses of this machine are left out: mail for a
 * domain whose MX is 127.0.0.1 would reach services that trust whoever comes from here.
 */
import type { Resolver } from 'node:dns/promises';
import { BlockList, isIP, isIPv6 } from 'node:net';

import { LRUCache } from 'lru-cache';

import { errorCodeOf, PosternError } from '../base/errors.js';
import type { AddressFinder } from './hop-dialer.js';

/** Of one host: more would be tried one after another for longer than the connect time-out. */
const maxAddresses = 8;
/** Hosts of MX that are remembered: about 200 bytes each. */
const maxHosts = 10_000;
/** The TTL counts between these: a host that moves is followed, and a TTL of 0 does not ask for each message. */
const minTtlMs = 30_000;
const maxTtlMs = 3_600_000;

/** 'none': DNS says for certain that there is no usable address. */
export type AddressAnswer = readonly string[] | 'none' | 'unknown';

type AddressRecord = { readonly address: string; readonly ttl: number };

export class MxAddresses implements AddressFinder {
  readonly #resolver: Resolver;
  readonly #allowLocal: boolean;
  readonly #cache = new LRUCache<string, Promise<AddressAnswer>>({
    // `max` would have all the room made at once.
    maxSize: maxHosts,
    sizeCalculation: () => 1,
  });

  /** @param allowLocal addresses of this machine count too */
  constructor(resolver: Resolver, allowLocal: boolean) {
    this.#resolver = resolver;
    this.#allowLocal = allowLocal;
  }

  /** @throws PosternError RELAY_CONNECT */
  async find(host: string): Promise<readonly string[]> {
    const answer = await this.answer(host);
    if (typeof answer === 'object') return answer;
    throw new PosternError(
      'RELAY_CONNECT',
      answer === 'none' ? `5.4.4 no usable address for ${host}` : `4.4.3 no answer from DNS for ${host}`,
    );
  }

  /** @param host a domain name or an address */
  answer(host: string): Promise<AddressAnswer> {
    if (isIP(host) !== 0) return Promise.resolve(this.#usable([host]));
    const cached = this.#cache.get(host);
    if (cached !== undefined) return cached;
    const asked = this.#ask(host);
    // For as long as it may take; then for its TTL.
    this.#cache.set(host, asked, { ttl: maxTtlMs });
    return asked;
  }

  async #ask(host: string): Promise<AddressAnswer> {
    const [v4, v6] = await Promise.allSettled([
      this.#resolver.resolve4(host, { ttl: true }),
      this.#resolver.resolve6(host, { ttl: true }),
    ]);
    const found = interleaved(recordsOf(v4), recordsOf(v6));
    const usable = this.#usable(found.map(({ address }) => address));
    // The address that is left out may stand beside a usable one that DNS did not tell.
    const answer = usable === 'none' && ![v4, v6].every(isCertain) ? 'unknown' : usable;
    const ttlMs = Math.min(...found.map(({ ttl }) => ttl * 1000), maxTtlMs);
    if (answer === 'unknown') this.#cache.delete(host);
    else
      this.#cache.set(host, Promise.resolve(answer), {
        ttl: found.length === 0 ? minTtlMs : Math.max(ttlMs, minTtlMs),
      });
    return answer;
  }

  #usable(addresses: readonly string[]): readonly string[] | 'none' {
    const usable = addresses.filter((address) => this.#allowLocal || !isLocal(address));
    return usable.length === 0 ? 'none' : usable.slice(0, maxAddresses);
  }
}

/** What only this machine or its link answers to, and what nobody does: RFC 6890. Private networks are allowed: where
 *  an internal DNS names them, they are meant. */
const local = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3],
] as const) {
  local.addSubnet(network, bits, 'ipv4');
  // The same, in the ways of IPv6 to write an IPv4 address: mapped, compatible, NAT64.
  local.addSubnet(`::ffff:${network}`, 96 + bits, 'ipv6');
  local.addSubnet(`::${network}`, 96 + bits, 'ipv6');
  local.addSubnet(`64:ff9b::${network}`, 96 + bits, 'ipv6');
}
local.addAddress('::1', 'ipv6');
local.addSubnet('fe80::', 10, 'ipv6');
local.addSubnet('ff00::', 8, 'ipv6');

function isLocal(address: string): boolean {
  return local.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

function recordsOf(answer: PromiseSettledResult<AddressRecord[]>): readonly AddressRecord[] {
  return answer.status === 'fulfilled' ? answer.value : [];
}

/** DNS has said which there are, or that there are none. */
function isCertain(answer: PromiseSettledResult<unknown>): boolean {
  if (answer.status === 'fulfilled') return true;
  const code = errorCodeOf(answer.reason);
  return code === 'ENOTFOUND' || code === 'ENODATA';
}

/** So that a host with a thousand addresses of one family keeps a place for the other. */
function interleaved<T>(left: readonly T[], right: readonly T[]): T[] {
  const both: T[] = [];
  for (let i = 0; i < Math.max(left.length, right.length); i++)
    both.push(...left.slice(i, i + 1), ...right.slice(i, i + 1));
  return both;
}
