/**
 * Host names of next hops to addresses: literals as they are, then /etc/hosts, then DNS through c-ares. Never
 * getaddrinfo: a dead resolver would block libuv's threads one by one, and the queue's fsync needs those. So search
 * domains of resolv.conf do not count: hops are named in full.
 */
import { Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';

import { PosternError } from '../base/errors.js';

/** How long an answer serves: long enough for a burst of connections, short enough for a hop that moves. */
const cacheMs = 30_000;
/** Of one hop name: more would be tried one after another for longer than the connect time-out. */
const maxAddresses = 8;
const dnsTimeoutMs = 5_000;

export class HopAddresses {
  readonly #resolver = new Resolver({ timeout: dnsTimeoutMs, tries: 2 });
  readonly #hostsFile: string;
  readonly #cache = new Map<string, { readonly untilMs: number; readonly found: Promise<string[]> }>();

  /** @param servers of the config's `dns`; empty: the system's */
  constructor(servers: readonly string[], hostsFile = '/etc/hosts') {
    if (servers.length > 0) this.#resolver.setServers(servers);
    this.#hostsFile = hostsFile;
  }

  /** At least one address, in the order to try. @throws PosternError RELAY_CONNECT */
  find(host: string): Promise<string[]> {
    if (isIP(host) !== 0) return Promise.resolve([host]);
    const nowMs = performance.now();
    const cached = this.#cache.get(host);
    if (cached !== undefined && cached.untilMs > nowMs) return cached.found;
    const found = this.#find(host.toLowerCase());
    // One entry per configured hop. A failure is not kept: hop-health decides when to ask again.
    this.#cache.set(host, { untilMs: nowMs + cacheMs, found });
    found.catch(() => this.#cache.delete(host));
    return found;
  }

  /** Ends what is being asked: the relay stops. */
  cancel(): void {
    this.#resolver.cancel();
  }

  async #find(host: string): Promise<string[]> {
    const local = await this.#inHostsFile(host);
    if (local.length > 0) return local.slice(0, maxAddresses);
    if (host === 'localhost') return ['127.0.0.1', '::1']; // RFC 6761 §6.3
    const answers = await Promise.allSettled([this.#resolver.resolve4(host), this.#resolver.resolve6(host)]);
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (found.length > 0) return found.slice(0, maxAddresses);
    const [first] = answers;
    const cause: unknown = first.status === 'rejected' ? first.reason : undefined;
    throw new PosternError('RELAY_CONNECT', `no address for ${host}`, cause);
  }

  async #inHostsFile(host: string): Promise<string[]> {
    // No hosts file is as good as an empty one.
    const text = await readFile(this.#hostsFile, 'utf8').catch(() => '');
    const found: string[] = [];
    for (const line of text.split('\n')) {
      const [address = '', ...names] = (line.split('#', 1)[0] ?? '').trim().toLowerCase().split(/\s+/);
      if (isIP(address) !== 0 && names.includes(host)) found.push(address);
    }
    return found;
  }
}
