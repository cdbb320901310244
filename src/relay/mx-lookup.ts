/**
 * Where mail for a domain goes: RFC 5321 §5.1, RFC 7505. Asks DNS through c-ares, decides what the answer means, keeps
 * it for a while. Bounded in whatever the domain's owner may put there. Which host is tried when is hop-group's.
 */
import { Resolver } from 'node:dns/promises';
import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';

import { LRUCache } from 'lru-cache';

import { errorCodeOf } from '../base/errors.js';
import { MxAddresses } from './mx-addresses.js';
import { printable } from './last-reply.js';

export interface MxHost {
  /** A host name in A-labels, or an address. */
  readonly host: string;
  readonly preference: number;
}

export type MxAnswer =
  | { readonly kind: 'hosts'; readonly hosts: readonly MxHost[] }
  /** `5.1.10 …`: will not change soon. `4.4.3 …`: DNS did not say. */
  | { readonly kind: 'permanent' | 'temporary'; readonly reply: string };

export interface MxLookupOptions {
  /** DNS servers; empty: the system's. */
  readonly servers: readonly string[];
  /** Our own name: who has it as MX would get the mail back from us. */
  readonly hostname: string;
  /** Addresses of this machine may be next hops: for tests. */
  readonly allowLocal?: boolean | undefined;
  readonly timeoutMs?: number | undefined;
  readonly random?: () => number;
}

/** More than anybody needs; 20 time-outs one after another are hours. */
const maxHosts = 20;
/** RFC 1034 §3.6.2 wants no chains; real ones have two or three. */
const maxAliases = 8;
/** c-ares does not tell the TTL of MX. Five minutes is what large sites have. */
const hostsTtlMs = 300_000;
/** A domain that is registered or repaired is noticed so soon. */
const permanentTtlMs = 60_000;
const maxDomains = 20_000;
/** Of one question to one server; c-ares doubles it for the second try. */
const dnsTimeoutMs = 5_000;
/** Of all questions for one domain. */
const lookupTimeoutMs = 30_000;

export class MxLookup {
  readonly addresses: MxAddresses;
  readonly #options: MxLookupOptions;
  readonly #resolver: Resolver;
  readonly #cache = new LRUCache<string, Promise<MxAnswer>>({
    // `max` would have all the room made at once.
    maxSize: maxDomains,
    sizeCalculation: () => 1,
  });

  constructor(options: MxLookupOptions) {
    this.#options = options;
    this.#resolver = new Resolver({ timeout: options.timeoutMs ?? dnsTimeoutMs, tries: 2 });
    if (options.servers.length > 0) this.#resolver.setServers(options.servers);
    this.addresses = new MxAddresses(this.#resolver, options.allowLocal === true);
  }

  /** @param domain as in the forward-path, or an address literal */
  find(domain: string): Promise<MxAnswer> {
    const cached = this.#cache.get(domain);
    if (cached !== undefined) return cached;
    const asked = this.#find(domain).then((answer) => {
      if (answer.kind === 'temporary') this.#cache.delete(domain);
      else
        this.#cache.set(domain, asked, {
          ttl: answer.kind === 'hosts' ? hostsTtlMs : permanentTtlMs,
        });
      return answer;
    });
    this.#cache.set(domain, asked, { ttl: 2 * lookupTimeoutMs });
    return asked;
  }

  /** Ends what is being asked: the relay stops. */
  cancel(): void {
    this.#resolver.cancel();
  }

  async #find(domain: string): Promise<MxAnswer> {
    if (domain.startsWith('[')) return this.#literal(domain);
    const name = asName(domain);
    if (name === undefined) return permanent('5.1.2', domain, 'is no domain name');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<MxAnswer>((resolve) => {
      const answer = temporary(domain, 'DNS takes too long');
      timer = setTimeout(() => resolve(answer), lookupTimeoutMs);
    });
    try {
      return await Promise.race([this.#ask(name, domain), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** RFC 5321 §4.1.3: no MX, the address itself. */
  async #literal(domain: string): Promise<MxAnswer> {
    const address = addressOfLiteral(domain);
    if (address === undefined) return permanent('5.1.2', domain, 'is no address');
    const usable = await this.addresses.answer(address);
    if (usable === 'none') return permanent('5.4.4', domain, 'is no address to send mail to');
    return { kind: 'hosts', hosts: [{ host: address, preference: 0 }] };
  }

  async #ask(name: string, domain: string): Promise<MxAnswer> {
    let alias = name;
    for (let aliases = 0; aliases <= maxAliases; aliases++) {
      const found = await this.#mx(alias);
      if (found === 'nxdomain') return permanent('5.1.2', domain, 'does not exist');
      if (found === 'unknown') return temporary(domain, 'DNS did not answer for its MX');
      if (found.length > 0) return this.#explicit(found, domain);
      const behind = await this.#alias(alias);
      if (behind === 'unknown') return temporary(domain, 'DNS did not answer');
      // The implicit MX of RFC 5321 §5.1: no MX, no error, so the name itself.
      if (behind.next === undefined) return this.#implicit(alias, domain);
      if (behind.next === alias) break;
      alias = behind.next;
    }
    return temporary(domain, 'is an alias of an alias without end');
  }

  /** Empty: the name is there and has none. */
  async #mx(name: string): Promise<{ exchange: string; priority: number }[] | 'nxdomain' | 'unknown'> {
    try {
      return await this.#resolver.resolveMx(name);
    } catch (error) {
      const code = errorCodeOf(error);
      if (code === 'ENODATA') return [];
      return code === 'ENOTFOUND' ? 'nxdomain' : 'unknown';
    }
  }

  /** RFC 5321 §5.1: the name behind an alias is looked up as if it were the first. Servers that recurse do so for us. */
  async #alias(name: string): Promise<{ readonly next: string | undefined } | 'unknown'> {
    try {
      const [target] = await this.#resolver.resolveCname(name);
      const next = target === undefined ? undefined : asName(target);
      return { next };
    } catch (error) {
      const code = errorCodeOf(error);
      return code === 'ENODATA' || code === 'ENOTFOUND' ? { next: undefined } : 'unknown';
    }
  }

  async #implicit(name: string, domain: string): Promise<MxAnswer> {
    if (this.#isOurs(name)) return looping(domain);
    const answer = await this.addresses.answer(name);
    if (answer === 'unknown') return temporary(domain, 'DNS did not answer for its address');
    if (answer === 'none') return permanent('5.4.4', domain, 'has neither MX nor a usable address');
    return { kind: 'hosts', hosts: [{ host: name, preference: 0 }] };
  }

  async #explicit(
    found: readonly { exchange: string; priority: number }[],
    domain: string,
  ): Promise<MxAnswer> {
    // RFC 7505 §3: a lone `.`. Beside others it means nothing.
    if (found.every(({ exchange }) => exchange === '' || exchange === '.'))
      return permanent('5.1.10', domain, 'accepts no mail (null MX)');
    const ours = found.filter(({ exchange }) => this.#isOurs(exchange));
    // RFC 5321 §5.1: what is no better than we are would send it back to us.
    const before = Math.min(...ours.map(({ priority }) => priority));
    const better = found.filter(({ priority }) => priority < before);
    if (better.length === 0) return looping(domain);
    return this.#usable(this.#inOrder(better), domain);
  }

  /** By preference, in random order where it is the same. */
  #inOrder(found: readonly { exchange: string; priority: number }[]): MxHost[] {
    const { random = Math.random } = this.#options;
    const hosts: (MxHost & { dice: number })[] = [];
    const names = new Set<string>();
    for (const { exchange, priority } of found.toSorted((a, b) => a.priority - b.priority)) {
      const host = asName(exchange);
      if (host === undefined || names.has(host)) continue;
      names.add(host);
      hosts.push({ host, preference: priority, dice: random() });
    }
    hosts.sort((a, b) => a.preference - b.preference || a.dice - b.dice);
    return hosts.slice(0, maxHosts).map(({ host, preference }) => ({ host, preference }));
  }

  /** From the first host on that has an address; the others are asked for when they are tried. */
  async #usable(hosts: readonly MxHost[], domain: string): Promise<MxAnswer> {
    let unknown = false;
    for (const [index, { host }] of hosts.entries()) {
      const answer = await this.addresses.answer(host);
      if (typeof answer === 'object') return { kind: 'hosts', hosts: hosts.slice(index) };
      unknown ||= answer === 'unknown';
    }
    if (unknown) return temporary(domain, 'DNS did not answer for the addresses of its MX');
    return permanent('5.4.4', domain, 'has MX without a usable address');
  }

  #isOurs(name: string): boolean {
    return asName(name) === this.#options.hostname.toLowerCase();
  }
}

function permanent(code: string, domain: string, what: string): MxAnswer {
  return { kind: 'permanent', reply: printable(`${code} ${cut(domain)} ${what}`) };
}

function temporary(domain: string, what: string): MxAnswer {
  return { kind: 'temporary', reply: printable(`4.4.3 ${cut(domain)}: ${what}`) };
}

function looping(domain: string): MxAnswer {
  return permanent('5.4.6', domain, 'has this host as its best MX, which does not accept its mail');
}

function cut(domain: string): string {
  return domain.slice(0, 255);
}

/** Lower case, A-labels, no root dot; undefined for what is no host name. An address in the place of a name (RFC 5321
 *  §5.1 forbids it) is none. */
function asName(text: string): string | undefined {
  const name = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
  // A URL parser's function: it sees letters beyond ASCII only, and no separator of URLs.
  if (/[^a-z0-9._\u0080-\u{10ffff}-]/u.test(name)) return undefined;
  const ascii = /^[a-z0-9._-]*$/.test(name) ? name : domainToASCII(name);
  if (!/^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/.test(ascii)) return undefined;
  return /(^|\.)\d+$/.test(ascii) ? undefined : ascii;
}

function addressOfLiteral(domain: string): string | undefined {
  if (!domain.endsWith(']')) return undefined;
  const inside = domain.slice(1, -1);
  if (isIPv4(inside)) return inside;
  const v6 = /^ipv6:(.*)$/i.exec(inside)?.[1];
  // No zone: `fe80::1%eth0` names an interface of ours.
  return v6 !== undefined && isIPv6(v6) && !v6.includes('%') ? v6.toLowerCase() : undefined;
}
