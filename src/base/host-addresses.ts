/**
 * Host names of the config to addresses: literals as they are, then /etc/hosts, then DNS through c-ares. Never
 * getaddrinfo: a dead resolver would block libuv's threads one by one, and the queue's fsync needs those; nor does it
 * ask the servers of the config's `dns`. So search domains of resolv.conf do not count: hosts are named in full.
 */
import { Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIP, isIPv6, type LookupFunction } from 'node:net';

import { PosternError, type ErrorCode } from './errors.js';

/** How long an answer serves: long enough for a burst of connections, short enough for a host that moves. */
const cacheMs = 30_000;
/** Of one name: more would be tried one after another for longer than the connect time-out. */
const maxAddresses = 8;
const dnsTimeoutMs = 5_000;

export class HostAddresses {
  readonly #resolver = new Resolver({ timeout: dnsTimeoutMs, tries: 2 });
  readonly #hostsFile: string;
  readonly #code: ErrorCode;
  readonly #cache = new Map<string, { readonly untilMs: number; readonly found: Promise<string[]> }>();

  /**
   * @param servers of the config's `dns`; empty: the system's
   * @param code of the error when there is no address
   */
  constructor(servers: readonly string[], code: ErrorCode, hostsFile = '/etc/hosts') {
    if (servers.length > 0) this.#resolver.setServers(servers);
    this.#code = code;
    this.#hostsFile = hostsFile;
  }

  /** At least one address, in the order to try. @throws PosternError of `code` */
  find(host: string): Promise<string[]> {
    if (isIP(host) !== 0) return Promise.resolve([host]);
    const nowMs = performance.now();
    const cached = this.#cache.get(host);
    if (cached !== undefined && cached.untilMs > nowMs) return cached.found;
    const found = this.#find(host.toLowerCase());
    // One entry per host of the config. A failure is not kept: who asks knows when to ask again.
    this.#cache.set(host, { untilMs: nowMs + cacheMs, found });
    found.catch(() => this.#cache.delete(host));
    return found;
  }

  /** For net.connect and what is built on it. */
  readonly lookup: LookupFunction = (host, { all }, callback) => {
    void this.#lookUp(host, all === true, callback);
  };

  /** Ends what is being asked: whoever asks stops. */
  cancel(): void {
    this.#resolver.cancel();
  }

  async #lookUp(host: string, all: boolean, callback: Parameters<LookupFunction>[2]): Promise<void> {
    let found: readonly string[];
    try {
      found = await this.find(host);
    } catch (error) {
      callback(error instanceof Error ? error : new Error(String(error)), '');
      return;
    }
    const addresses = found.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));
    const [first] = addresses;
    if (all || first === undefined) callback(null, addresses);
    else callback(null, first.address, first.family);
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
    throw new PosternError(this.#code, `no address for ${host}`, cause);
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
