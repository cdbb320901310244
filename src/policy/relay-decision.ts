/**
 * May this recipient come in, and by which route does it go on: the one place that keeps Postern from being an open
 * relay. Pure; asked at every RCPT by the worker. Senders never matter here: a reverse-path is free to forge, so one
 * of ours from outside is no permission (attacks.md §3.9). What is not clearly ours is refused.
 */
import { domainToASCII } from 'node:url';

import { mxDestination } from '../base/destination.js';
import type { Mailbox } from '../protocol/types.js';

/** The parts of the config that decide; the checked Config fits. */
export interface RelayConfig {
  readonly hostname: string;
  readonly postmaster: string | undefined;
  readonly domains: readonly RelayDomain[];
  readonly routes: Readonly<Record<string, RelayRoute>>;
}

interface RelayRoute {
  /** 'mx' stands alone. */
  readonly hops: readonly { readonly kind: string }[];
}

export interface RelayDomain {
  /** `example.org`, `*.example.org` (every subdomain, not example.org itself), `[192.0.2.1]`. */
  readonly names: readonly string[];
  readonly recipients:
    | { readonly kind: 'any' }
    | { readonly kind: 'none' }
    | { readonly kind: 'list'; readonly addresses: readonly string[] };
  readonly route: string;
}

export interface RelayFacts {
  readonly role: 'inbound' | 'submission';
  /** Who has authenticated; '' for nobody. */
  readonly user: string;
  /** The submission listener's route. */
  readonly listenerRoute: string | undefined;
}

export type RelayRefusal =
  'relay-denied' | 'unknown-recipient' | 'bad-local-part' | 'auth-required' | 'takes-no-mail';

export type RelayAnswer =
  /** `route` is a destination (base/destination.ts): of an mx route each domain waits for itself. `address` replaces
   *  what the client wrote: `<Postmaster>` has no domain, and the next hop needs one. */
  | { readonly ok: true; readonly route: string; readonly address?: string }
  | { readonly ok: false; readonly refusal: RelayRefusal };

interface LocalDomain {
  readonly route: string;
  readonly takesMail: boolean;
  /** Undefined: any local part. Lower case. */
  readonly localParts: ReadonlySet<string> | undefined;
  readonly addresses: ReadonlySet<string> | undefined;
}

export class RelayDecision {
  readonly #exact = new Map<string, LocalDomain>();
  /** Keyed without the `*.`. */
  readonly #wildcard = new Map<string, LocalDomain>();
  readonly #mxRoutes: ReadonlySet<string>;
  /** Where `<Postmaster>` goes, its route a destination; undefined when there is not a single domain. RFC 5321 §4.5.1. */
  readonly postmaster: { readonly route: string; readonly address: string } | undefined;

  constructor(config: RelayConfig) {
    this.#mxRoutes = new Set(Object.keys(config.routes).filter((name) => isMx(config.routes[name])));
    for (const domain of config.domains) this.#add(domain);
    this.postmaster = this.#findPostmaster(config);
  }

  decide(mailbox: Mailbox, facts: RelayFacts): RelayAnswer {
    // RFC 6409 §4.3. The session refuses MAIL before this; were it ever asked wrongly, this still holds.
    if (facts.role === 'submission' && facts.user === '') return refuse('auth-required');
    if (mailbox.domain === '') return this.#bare(mailbox.localPart);
    const name = canonicalDomain(mailbox.domain);
    if (name === undefined) return refuse('relay-denied');
    const local = this.#find(name);
    if (local !== undefined) return this.#local(mailbox.localPart, name, local);
    if (facts.role !== 'submission' || facts.listenerRoute === undefined) return refuse('relay-denied');
    // A literal of somebody else's, even from a user of ours: it would make the next hop connect where a client says.
    if (name.startsWith('[')) return refuse('relay-denied');
    return { ok: true, route: this.#destination(facts.listenerRoute, name) };
  }

  /** True for a domain that mail is accepted for. @param domain as in Mailbox.domain */
  isLocal(domain: string): boolean {
    const name = canonicalDomain(domain);
    return name !== undefined && this.#find(name) !== undefined;
  }

  #local(localPart: string, name: string, domain: LocalDomain): RelayAnswer {
    const refusal = localRefusal(localPart, name, domain);
    return refusal === undefined
      ? { ok: true, route: this.#destination(domain.route, name) }
      : refuse(refusal);
  }

  /** @param name canonical: all spellings of a domain share one destination */
  #destination(route: string, name: string): string {
    return this.#mxRoutes.has(route) ? mxDestination(route, name) : route;
  }

  /** A path without a domain can only be Postmaster, in any case (RFC 5321 §4.1.1.3). */
  #bare(localPart: string): RelayAnswer {
    if (!isPostmaster(localPart) || this.postmaster === undefined) return refuse('relay-denied');
    return { ok: true, ...this.postmaster };
  }

  /** Exact names first, then the closest wildcard above. Only whole labels are compared: xok.test is not ok.test. */
  #find(name: string): LocalDomain | undefined {
    const exact = this.#exact.get(name);
    if (exact !== undefined || this.#wildcard.size === 0) return exact;
    for (let dot = name.indexOf('.'); dot > 0; dot = name.indexOf('.', dot + 1)) {
      const above = this.#wildcard.get(name.slice(dot + 1));
      if (above !== undefined) return above;
    }
    return undefined;
  }

  #add(domain: RelayDomain): void {
    const local = compile(domain);
    for (const name of domain.names) {
      const wild = name.startsWith('*.');
      const canonical = canonicalDomain(wild ? name.slice(2) : name);
      // The schema refuses what is no domain; a name that still is none must not match anything.
      if (canonical === undefined) throw new TypeError(`not a domain: ${name}`);
      const target = wild ? this.#wildcard : this.#exact;
      if (!target.has(canonical)) target.set(canonical, local);
    }
  }

  #findPostmaster(config: RelayConfig): { route: string; address: string } | undefined {
    const at = config.postmaster?.lastIndexOf('@') ?? -1;
    const named = canonicalDomain(config.postmaster?.slice(at + 1) ?? '');
    const own = named === undefined ? undefined : this.#find(named);
    if (config.postmaster !== undefined && named !== undefined && own?.takesMail === true)
      return { route: this.#destination(own.route, named), address: config.postmaster };
    // A postmaster elsewhere is for our notifications; the next hop of our domains need not relay to it.
    const first = [...this.#exact].find(([, { takesMail }]) => takesMail);
    if (first !== undefined)
      return { route: this.#destination(first[1].route, first[0]), address: `postmaster@${first[0]}` };
    const fallback = config.domains.find(({ recipients }) => recipients.kind !== 'none');
    if (fallback === undefined) return undefined;
    const route = this.#destination(fallback.route, config.hostname);
    return { route, address: `postmaster@${config.hostname}` };
  }
}

function localRefusal(localPart: string, name: string, domain: LocalDomain): RelayRefusal | undefined {
  if (!domain.takesMail) return 'takes-no-mail';
  if (hasRouting(localPart)) return 'bad-local-part';
  // RFC 5321 §4.5.1: postmaster is there at every domain, whatever the list says.
  return isPostmaster(localPart) || isListed(localPart, name, domain) ? undefined : 'unknown-recipient';
}

function isMx(route: RelayRoute | undefined): boolean {
  return route?.hops.some((hop) => hop.kind === 'mx') === true;
}

function isListed(localPart: string, name: string, domain: LocalDomain): boolean {
  if (domain.localParts === undefined || domain.addresses === undefined) return true;
  const lower = localPart.toLowerCase();
  return domain.localParts.has(lower) || domain.addresses.has(`${lower}@${name}`);
}

/**
 * `v%ext.test@ok.test`, `ext.test!v@ok.test`, `"v@ext.test"@ok.test`: routes of older days that a next hop may still
 * follow because the mail comes from us, which would make it a relay. The unquoted local part is searched, so
 * quoting hides nothing.
 */
function hasRouting(localPart: string): boolean {
  return localPart.includes('%') || localPart.includes('!') || localPart.includes('@');
}

function isPostmaster(localPart: string): boolean {
  return localPart.length === 10 && localPart.toLowerCase() === 'postmaster';
}

function compile(domain: RelayDomain): LocalDomain {
  const { route, recipients } = domain;
  const takesMail = recipients.kind !== 'none';
  if (recipients.kind !== 'list') return { route, takesMail, localParts: undefined, addresses: undefined };
  const localParts = new Set<string>();
  const addresses = new Set<string>();
  for (const entry of recipients.addresses) {
    const at = entry.lastIndexOf('@');
    if (at < 0) localParts.add(entry.toLowerCase());
    else addresses.add(`${entry.slice(0, at).toLowerCase()}@${canonicalDomain(entry.slice(at + 1)) ?? ''}`);
  }
  return { route, takesMail, localParts, addresses };
}

/**
 * One spelling per domain: lower case, A-labels, no root dot. Undefined for what is neither a domain nor a literal.
 * domainToASCII is a URL parser's: it decodes %2E, reads 0x7f.1 as an address and ends the host at `/`. So it sees
 * only names that are not ASCII, and of these only such whose ASCII part is a host name's.
 */
export function canonicalDomain(domain: string): string | undefined {
  if (domain.startsWith('[')) return domain.toLowerCase();
  const relative = domain.endsWith('.') ? domain.slice(0, -1) : domain;
  if (isAscii(relative)) return asHostName(relative.toLowerCase());
  // Full-width and other compatibility forms become what domainToASCII would make of them, before they are checked.
  const folded = relative.normalize('NFKC').toLowerCase();
  const asciiPart = Array.from(folded).filter(isAscii).join('');
  return /^[a-z0-9._-]*$/.test(asciiPart) ? asHostName(domainToASCII(folded)) : undefined;
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}

/** Letters, digits, hyphens, underscores (seen in the wild, harmless) in labels that are not empty. */
function asHostName(name: string): string | undefined {
  const labels = name.split('.');
  return name.length <= 255 && labels.every((label) => /^[a-z0-9_-]{1,63}$/.test(label)) ? name : undefined;
}

function refuse(refusal: RelayRefusal): RelayAnswer {
  return { ok: false, refusal };
}
