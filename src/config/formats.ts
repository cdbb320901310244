/**
 * The written forms that config values have beyond plain text and numbers: domains, next hops, reply filters, DNS
 * servers. Pure: text in, value or undefined out; the schema adds what was expected, the loader where it stands.
 */
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { domainToASCII, domainToUnicode } from 'node:url';
import { parseNameTemplate } from '../base/name-template.js';
import { parseCidr } from '../base/networks.js';
import type { SocketTarget } from './auth-backend-config.js';
import type { Hop, NetworkHop } from './config.js';

const defaultHopPorts = { smtp: 25, lmtp: 24 } as const;

/** LDH labels of 1 to 63 characters, 253 in all, the last one not all digits (RFC 1035 §2.3.1, RFC 3696 §2). */
export function isDomain(text: string): boolean {
  if (text.length === 0 || text.length > 253) return false;
  const labels = text.split('.');
  if (/^\d+$/.test(labels.at(-1) ?? '')) return false;
  return labels.every((label) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(label));
}

/**
 * What a client may write for this domain, lower case: the name itself, and for an internationalized one both its
 * U-label and its A-label form, since SMTPUTF8 clients use either. Empty when it is no domain.
 */
export function domainForms(text: string): readonly string[] {
  const lower = text.normalize('NFC').toLowerCase();
  if (/^\[.*\]$/.test(lower)) return isAddressLiteral(lower) ? [lower] : [];
  const wildcard = lower.startsWith('*.') ? '*.' : '';
  const name = lower.slice(wildcard.length);
  // domainToASCII strips what belongs to URLs (ports, paths): only letters, digits, hyphens and dots may reach it.
  if (!/^[a-z0-9.\u0080-\u{10ffff}-]+$/u.test(name)) return [];
  const ascii = domainToASCII(name);
  if (!isDomain(ascii)) return [];
  const unicode = domainToUnicode(ascii);
  return unicode === ascii ? [wildcard + ascii] : [wildcard + unicode, wildcard + ascii];
}

/** RFC 5321 §4.1.3, lower case: `[192.0.2.1]`, `[ipv6:2001:db8::1]`. */
function isAddressLiteral(text: string): boolean {
  const inside = text.slice(1, -1);
  return isIPv4(inside) || (inside.startsWith('ipv6:') && isIPv6(inside.slice(5)));
}

// Zones that never were public: a wildcard right below them cannot take in somebody else's mail.
// RFC 6761, RFC 6762 appendix G, RFC 8375's `arpa` excepted, and ICANN's `internal`.
const privateZones: ReadonlySet<string> = new Set([
  'corp', 'example', 'home', 'internal', 'intranet', 'invalid', 'lan', 'local', 'localdomain', 'localhost',
  'private', 'test',
]); // prettier-ignore

/** `*` or `*.com`: accepts mail for domains that strangers own, so with a relay route it is an open relay. */
export function isOpenWildcard(text: string): boolean {
  if (text === '*' || text === '*.*' || text === '*.') return true;
  if (!text.startsWith('*.')) return false;
  const zone = domainForms(text.slice(2)).at(-1);
  return zone !== undefined && !zone.includes('.') && !privateZones.has(zone);
}

/** `host`, `host:port`, `[v6]`, `[v6]:port`. Undefined when it is none, or the port is missing and has no default. */
function parseHostPort(text: string, defaultPort: number): { host: string; port: number } | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const [, bracketed, plain = '', portText] = match;
  const host = bracketed ?? plain;
  if (bracketed !== undefined ? !isIPv6(bracketed) : !isHost(plain)) return undefined;
  const port = portText === undefined ? defaultPort : parsePort(portText);
  return port === undefined ? undefined : { host, port };
}

function parsePort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}

// Underscores are no part of host names (RFC 952), but container networks make such names.
function isHost(text: string): boolean {
  return isIPv4(text) || isDomain(text.replaceAll('_', 'a'));
}

/** `smtp://host:port`, `lmtp://host:port`, `maildir:path` (path as written), `mx`, `mx:port`. */
export function parseHop(text: string): Hop | undefined {
  if (text === 'mx' || text.startsWith('mx:')) {
    const port = text === 'mx' ? defaultHopPorts.smtp : parsePort(text.slice('mx:'.length));
    return port === undefined ? undefined : { kind: 'mx', port };
  }
  if (text.startsWith('maildir:')) {
    const path = text.slice('maildir:'.length);
    return path === '' || path.startsWith('//') || path.includes('\0')
      ? undefined
      : { kind: 'maildir', path };
  }
  return parseNetworkHop(text);
}

/** `smtp://host:port`, `lmtp://host:port`: alone, all of the mail is its. */
export function parseNetworkHop(text: string): NetworkHop | undefined {
  const match = /^(smtp|lmtp):\/\/([^/]+)\/?$/.exec(text);
  if (match === null) return undefined;
  const kind = match[1] === 'lmtp' ? 'lmtp' : 'smtp';
  const target = parseHostPort(match[2] ?? '', defaultHopPorts[kind]);
  return target === undefined ? undefined : { kind, ...target, priority: 0, weight: 1 };
}

/** An IP address, with a port if wanted: what c-ares' setServers takes. */
export function isDnsServer(text: string): boolean {
  if (isIP(text) !== 0) return true;
  const target = parseHostPort(text, 53);
  return target !== undefined && isIP(target.host) !== 0;
}

export function isNetwork(text: string): boolean {
  return parseCidr(text) !== undefined;
}

/** A filter on a DNSBL's A record: four octets, each `N`, `[N..M]` or `[N,M,…]`; the first is 127 (RFC 5782 §2.1). */
export function isReplyFilter(text: string): boolean {
  const octets = text.replace(/\[[^[\]]*\]/g, (set) => set.replaceAll('.', '-')).split('.');
  return octets.length === 4 && octets[0] === '127' && octets.every(isOctetFilter);
}

function isOctetFilter(text: string): boolean {
  const set = /^\[(.+)\]$/.exec(text);
  if (set === null) return isOctet(text);
  return (set[1] ?? '').split(',').every((item) => {
    const [low = '', high = low, ...more] = item.split('--');
    return more.length === 0 && isOctet(low) && isOctet(high) && Number(low) <= Number(high);
  });
}

function isOctet(text: string): boolean {
  return /^\d{1,3}$/.test(text) && Number(text) <= 255;
}

/** `local@domain` in the form that needs no quotes: enough for addresses in a config. */
export function isMailAddress(text: string): boolean {
  const at = text.lastIndexOf('@');
  return at > 0 && isLocalPart(text.slice(0, at)) && domainForms(text.slice(at + 1)).length > 0;
}

/** A dot-string (RFC 5321 §4.1.2), UTF-8 allowed (RFC 6531 §3.3), at most 64 octets. */
export function isLocalPart(text: string): boolean {
  if (text === '' || Buffer.byteLength(text) > 64) return false;
  if (text.startsWith('.') || text.endsWith('.') || text.includes('..')) return false;
  return /^[a-z0-9.!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}-]+$/iu.test(text);
}

/** Printable ASCII without spaces: what an HTTP bearer token can carry, long enough not to be guessed. */
export function isToken(text: string): boolean {
  return /^[\x21-\x7e]{16,256}$/.test(text);
}

/** What `config show` prints in a secret's place: no token, password or query of a URL, so that no copy becomes one. */
export const hiddenSecret = '(set, not shown)';

/** A query may hold a key or token of the service that is called. */
export function withHiddenQuery(url: string, inItsPlace: string): string {
  const from = url.indexOf('?');
  return from < 0 ? url : `${url.slice(0, from + 1)}${inItsPlace}`;
}

/** RFC 4616 §2 for both parts of a login: 1 to 255 octets of UTF-8, no NUL; of one line, as no client types another. */
export function isLoginText(text: string): boolean {
  if (text === '' || text === hiddenSecret || Buffer.byteLength(text) > 255) return false;
  return !/[\0\r\n]/.test(text);
}

/** SHA-256 in hex, as `openssl x509 -fingerprint -sha256` prints it or without its colons; lower case, without colons. */
export function parseFingerprint(text: string): string | undefined {
  const hex = /^[0-9a-f]{2}(?::[0-9a-f]{2}){31}$/i.test(text) ? text.replaceAll(':', '') : text;
  return /^[0-9a-f]{64}$/i.test(hex) ? hex.toLowerCase() : undefined;
}

/** A path (it has a slash; relative as written), or `host:port`. */
export function parseDovecotSocket(text: string): SocketTarget | undefined {
  if (text.includes('/')) return text.includes('\0') ? undefined : { path: text };
  const target = parseHostPort(text, 0);
  return target === undefined || target.port === 0 ? undefined : target;
}

/** With nothing secret in it: it is shown. */
export function isHttpUrl(text: string): boolean {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text) || text.includes(hiddenSecret)) return false;
  const { username, password, hash } = new URL(text);
  return username === '' && password === '' && hash === '';
}

/** Without the brackets of an IPv6 address. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}

export function parseLdapUrl(text: string): { secure: boolean; host: string; port: number } | undefined {
  const match = /^(ldaps?):\/\/([^/]+)\/?$/.exec(text);
  if (match === null) return undefined;
  const secure = match[1] === 'ldaps';
  const target = parseHostPort(match[2] ?? '', secure ? 636 : 389);
  return target === undefined ? undefined : { secure, ...target };
}

/** With a place for the user's name. */
export function isNameTemplate(text: string): boolean {
  return text.length <= 1024 && parseNameTemplate(text) !== undefined;
}

/** A host that is this machine, by name or address. */
export function isThisHost(host: string): boolean {
  return host === 'localhost' || isLoopback(host);
}

/** Where tokens or passwords are sent: https, or http that does not leave this machine; nothing secret in the URL itself. */
export function isServiceUrl(text: string): boolean {
  if (!isHttpUrl(text)) return false;
  const url = new URL(text);
  return url.protocol === 'https:' || isThisHost(hostOf(url));
}

/** This machine alone can reach it. */
export function isLoopback(address: string): boolean {
  return address === '::1' || (isIPv4(address) && address.startsWith('127.'));
}

/** As a listener's: all addresses of the machine. */
export function isWildcardAddress(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

/** OpenSSL's words: whether it knows them is asked where the file is checked. */
export function isCipherList(text: string): boolean {
  return text.length <= 1_024 && /^[A-Za-z0-9_:+!@=.-]+$/.test(text);
}
