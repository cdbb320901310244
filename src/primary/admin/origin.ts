/**
 * Who may talk to the admin HTTP through a browser: nobody but a page of its own. A page elsewhere can make a browser
 * send requests to 127.0.0.1, and with DNS rebinding read the answers; its Host header then carries the page's name.
 */
import { isIP } from 'node:net';
import { hostname as systemHostname } from 'node:os';

import { NetworkSet, normalizeAddress } from '../../base/networks.js';

const loopback = new NetworkSet(['127.0.0.0/8', '::1/128']);

export interface OriginRules {
  /** The bind address of the admin HTTP. */
  readonly address: string;
  /** Names beside `localhost` that are ours: the config's hostname. */
  readonly names: readonly string[];
}

/** The host of `name:port`, `[::1]:port` or `name`, lower case, without brackets. Undefined when it is none of these. */
export function hostOf(authority: string): string | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::\d{1,5})?$/.exec(authority);
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}

export class HostCheck {
  readonly #loopbackOnly: boolean;
  readonly #address: string;
  readonly #names: ReadonlySet<string>;

  constructor(rules: OriginRules) {
    this.#address = normalizeAddress(rules.address);
    this.#loopbackOnly = isIP(this.#address) !== 0 && loopback.has(this.#address);
    const names = this.#loopbackOnly ? [] : [...rules.names, systemHostname()];
    this.#names = new Set(['localhost', ...names].map((name) => name.toLowerCase()));
  }

  /**
   * Rebinding needs a name, so a literal address is safe beyond loopback (probes and scrapers use it); bound to
   * loopback, only loopback's own are taken.
   */
  acceptsHost(authority: string): boolean {
    const host = hostOf(authority);
    if (host === undefined) return false;
    if (isIP(host) === 0) return this.#names.has(host);
    const address = normalizeAddress(host);
    return !this.#loopbackOnly || address === this.#address || loopback.has(address);
  }
}

/** An Origin header, where there is one, must be the page that the request's own Host would have served. */
export function acceptsOrigin(origin: string | undefined, authority: string | undefined): boolean {
  return origin === undefined || origin.toLowerCase() === `http://${authority?.toLowerCase() ?? ''}`;
}
