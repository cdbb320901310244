/**
 * Rules that look across keys: references, duplicates, what one setting needs of another. They run on whatever
 * parts of the file pass the schema, so that these faults are told in the same run as the schema's.
 */
import type { z } from 'zod';
import { checkAuth, letsAnybodyIn } from './auth-checks.js';
import type { ListenerTls } from './config.js';
import { domainForms, isLoopback, isOpenWildcard, isWildcardAddress } from './formats.js';
import { checkRoute } from './route-checks.js';
import {
  itemSchemas,
  sections,
  type FileConfig,
  type FileDnsbl,
  type FileDomain,
  type FileListener,
  type FileRoute,
} from './schema.js';
import { checkTrust } from './trust-checks.js';
import { valueAt, type FaultList } from './validate.js';

/** The parts that pass the schema; a part that does not is undefined and checked no further. */
export interface Parts {
  readonly hostname: string | undefined;
  readonly listeners: readonly (FileListener | undefined)[];
  readonly domains: readonly (FileDomain | undefined)[];
  readonly routes: ReadonlyMap<string, FileRoute | undefined>;
  readonly admin: FileConfig['admin'] | undefined;
  readonly auth: FileConfig['auth'] | undefined;
  readonly notifications: FileConfig['notifications'] | undefined;
  readonly dnsbl: FileDnsbl | undefined;
  readonly tls: FileConfig['tls'];
  /** There is a `tls` section, be it right or wrong. */
  readonly hasTls: boolean;
}

export function partsOf(value: unknown): Parts {
  const routes = valueAt(value, ['routes']);
  return {
    hostname: parsed(sections.hostname, valueAt(value, ['hostname'])),
    listeners: items(valueAt(value, ['listeners']), itemSchemas.listener),
    domains: items(valueAt(value, ['domains']), itemSchemas.domain),
    routes: new Map(
      typeof routes === 'object' && routes !== null
        ? Object.entries(routes).map(([name, route]) => [name, parsed(itemSchemas.route, route)])
        : [],
    ),
    admin: parsed(sections.admin, valueAt(value, ['admin'])),
    auth: parsed(sections.auth, valueAt(value, ['auth'])),
    notifications: parsed(sections.notifications, valueAt(value, ['notifications'])),
    dnsbl: parsed(itemSchemas.dnsbl, valueAt(value, ['policy', 'dnsbl'])),
    tls: parsed(sections.tls, valueAt(value, ['tls'])),
    hasTls: valueAt(value, ['tls']) !== undefined,
  };
}

function items<S extends z.ZodType>(value: unknown, schema: S): (z.output<S> | undefined)[] {
  return Array.isArray(value) ? value.map((item) => parsed(schema, item)) : [];
}

function parsed<S extends z.ZodType>(schema: S, value: unknown): z.output<S> | undefined {
  return schema.safeParse(value).data;
}

export function checkAcross(parts: Parts, list: FaultList): void {
  parts.listeners.forEach((listener, index) => {
    if (listener !== undefined) checkListener(listener, index, parts, list);
  });
  checkListenerNames(parts, list);
  checkSockets(parts, list);
  parts.domains.forEach((domain, index) => {
    if (domain !== undefined) checkDomain(domain, index, parts, list);
  });
  checkDomainNames(parts, list);
  for (const [name, route] of parts.routes)
    if (route !== undefined) checkRoute(name, route, parts.hostname, parts.listeners, list);
  const notified = parts.notifications?.route;
  if (notified !== undefined) checkReference(['notifications', 'route'], notified, parts, list);
  checkAdmin(parts, list);
  if (parts.tls !== undefined) checkTlsSection(parts.tls, parts, list);
  if (parts.auth !== undefined) checkAuth(parts.auth, parts, list);
  if (parts.dnsbl !== undefined) checkDnsbl(parts.dnsbl, list);
}

/** What `tls` of a listener is when it is left out. */
export function listenerTls(listener: FileListener, hasTls: boolean): ListenerTls {
  if (listener.tls !== undefined) return listener.tls;
  if (listener.role === 'submission') return 'required';
  return hasTls ? 'starttls' : 'off';
}

function checkListener(listener: FileListener, index: number, parts: Parts, list: FaultList): void {
  const path = ['listeners', index];
  const tls = listenerTls(listener, parts.hasTls);
  if (tls !== 'off' && !parts.hasTls)
    list.add(
      listener.tls === undefined ? path : [...path, 'tls'],
      `found TLS '${tls}' without a certificate, expected \`tls: { certificate: FILE, key: FILE }\` in this config`,
    );
  checkTrust([...path, 'proxyProtocol'], listener.proxyProtocol, list);
  checkClientCertificate(listener, index, parts, list);
  if (listener.protocol === 'lmtp') checkLmtp(listener, path, list);
  checkTrust([...path, 'xclient'], listener.xclient, list);
  if (listener.role === 'submission') checkSubmission(listener, index, parts, list);
  else if (listener.route !== undefined)
    list.add(
      [...path, 'route'],
      'found a route on an inbound listener, expected none: its mail goes where `domains` says',
      'key',
    );
}

function checkClientCertificate(listener: FileListener, index: number, parts: Parts, list: FaultList): void {
  const wanted = listener.clientCertificate;
  if (wanted === 'off') return;
  const path = ['listeners', index, 'clientCertificate'];
  const tls = listenerTls(listener, parts.hasTls);
  if (tls === 'off') list.expected(path, 'off: without TLS no client shows a certificate');
  else if (wanted === 'require' && tls === 'starttls')
    list.expected(path, "ask, or `tls: required` beside it: with 'starttls' a client may stay without TLS");
  if (parts.tls !== undefined && parts.tls.clientCa === undefined)
    list.add(
      path,
      `found '${wanted}' without authorities, expected \`clientCa: FILE\` under \`tls\`: the file says whose certificates count`,
    );
}

/** One of `tls` that nobody uses is a mistake: its owner believes that something is checked. */
function checkTlsSection(tls: NonNullable<FileConfig['tls']>, parts: Parts, list: FaultList): void {
  const isAsked = parts.listeners.some(
    (listener) => listener === undefined || listener.clientCertificate !== 'off',
  );
  if (tls.clientCa !== undefined && !isAsked)
    list.add(
      ['tls', 'clientCa'],
      'found it, but no listener asks for certificates, expected `clientCertificate: ask` or `require` on one',
    );
  const seen = new Map<string, string>();
  tls.sni.forEach(({ names }, index) =>
    names.forEach((name, position) => {
      const key = domainForms(name).at(-1) ?? name;
      const first = seen.get(key);
      if (first === undefined) seen.set(key, `tls.sni[${index}].names[${position}]`);
      else list.expected(['tls', 'sni', index, 'names', position], `each name once: ${first} has this one`);
    }),
  );
}

function checkLmtp(listener: FileListener, path: (string | number)[], list: FaultList): void {
  // RFC 2033 §5.
  if (listener.port === 25)
    list.expected(
      [...path, 'port'],
      'another port, such as 24: LMTP must not be on port 25, where SMTP is spoken',
    );
  if (listener.role === 'submission')
    list.expected([...path, 'protocol'], 'smtp: users who log in send mail by SMTP');
}

function checkSubmission(listener: FileListener, index: number, parts: Parts, list: FaultList): void {
  const path = ['listeners', index];
  if (listener.tls === 'off')
    list.expected([...path, 'tls'], 'starttls, required or implicit: passwords are taken inside TLS only');
  if (listener.route === undefined)
    list.expected([...path, 'route'], `a route for the mail of users who log in: ${routeNames(parts)}`);
  else checkReference([...path, 'route'], listener.route, parts, list);
  if (parts.auth !== undefined && !letsAnybodyIn(parts.auth, listener))
    list.add(
      path,
      'found a submission listener without users, expected `auth: { users: { file: FILE } }` in this config, which `postern users add` fills, `auth.backend` or `auth.tokens`, with a mechanism of theirs',
    );
}

function checkReference(path: (string | number)[], name: string, parts: Parts, list: FaultList): void {
  if (!parts.routes.has(name)) list.expected(path, routeNames(parts));
}

function routeNames(parts: Parts): string {
  const names = [...parts.routes.keys()];
  return names.length === 0
    ? 'a key under `routes`, and there is none yet'
    : `one of the routes ${names.join(', ')}`;
}

function checkListenerNames(parts: Parts, list: FaultList): void {
  const seen = new Map<string, number>();
  parts.listeners.forEach((listener, index) => {
    if (listener === undefined) return;
    const first = seen.get(listener.name);
    if (first === undefined) seen.set(listener.name, index);
    else list.expected(['listeners', index, 'name'], `another name: listeners[${first}] has this one`);
  });
}

interface Socket {
  readonly path: (string | number)[];
  readonly owner: string;
  readonly address: string;
  readonly port: number;
}

/** Two sockets on one address and port: the second bind would fail. Port 0 is a free one each time. */
function checkSockets(parts: Parts, list: FaultList): void {
  const sockets = parts.listeners.flatMap((listener, index): Socket[] =>
    listener === undefined ? [] : [{ ...listener, path: ['listeners', index], owner: `listeners[${index}]` }],
  );
  // In front, so that of the two it is the listener that is told: `admin` may stand in no file.
  if (parts.admin !== undefined) sockets.unshift({ ...parts.admin, path: ['admin'], owner: 'admin' });
  sockets.forEach((socket, index) => {
    const other = sockets.slice(0, index).find((before) => collide(before, socket));
    if (other === undefined) return;
    list.expected(
      [...socket.path, 'port'],
      `another port: ${other.owner} listens on ${other.address} with this one`,
    );
  });
}

function collide(a: Socket, b: Socket): boolean {
  if (a.port !== b.port || a.port === 0) return false;
  const sameFamily = a.address.includes(':') === b.address.includes(':');
  return (
    a.address === b.address || (sameFamily && (isWildcardAddress(a.address) || isWildcardAddress(b.address)))
  );
}

function checkDomain(domain: FileDomain, index: number, parts: Parts, list: FaultList): void {
  const path = ['domains', index, 'route'];
  if (domain.route !== undefined) checkReference(path, domain.route, parts, list);
  else if (domain.recipients !== 'none') list.expected(path, `a route for its mail: ${routeNames(parts)}`);
  if (!Array.isArray(domain.recipients)) return;
  const covers = domainMatcher(domain.names);
  domain.recipients.forEach((address, position) => {
    if (!covers(address))
      list.expected(['domains', index, 'recipients', position], `an address in ${domain.names.join(', ')}`);
  });
}

/** Whether an address, or a bare local part, belongs to one of the names. */
export function domainMatcher(names: readonly string[]): (address: string) => boolean {
  const exact = new Set(names.flatMap(domainForms));
  const wildcards = [...exact].filter((name) => name.startsWith('*.')).map((name) => name.slice(1));
  return (address) => {
    const at = address.lastIndexOf('@');
    if (at < 0) return true;
    const domain = address.slice(at + 1).toLowerCase();
    return exact.has(domain) || wildcards.some((suffix) => domain.endsWith(suffix));
  };
}

function checkDomainNames(parts: Parts, list: FaultList): void {
  const seen = new Map<string, string>();
  parts.domains.forEach((domain, index) =>
    domain?.names.forEach((name, position) => {
      const path = ['domains', index, 'names', position];
      if (isOpenWildcard(name))
        return list.expected(
          path,
          'domains of your own: this takes mail for domains that others own and makes an open relay',
        );
      const key = domainForms(name).at(-1) ?? name;
      const first = seen.get(key);
      if (first === undefined) seen.set(key, `domains[${index}].names[${position}]`);
      else list.expected(path, `each domain once: ${first} has this one`);
    }),
  );
}

function checkAdmin({ admin }: Parts, list: FaultList): void {
  if (admin === undefined || isLoopback(admin.address) || admin.token !== null) return;
  list.expected(
    ['admin', 'address'],
    'a loopback address such as 127.0.0.1, or an `admin.token` of your own: others can reach this one',
  );
}

function checkDnsbl(dnsbl: FileDnsbl, list: FaultList): void {
  const path = ['policy', 'dnsbl'];
  const most = dnsbl.lists.reduce((sum, { weight }) => sum + Math.max(weight, 0), 0);
  for (const key of ['reject', 'defer'] as const)
    if (dnsbl[key] > most) list.expected([...path, key], `at most ${most}: all lists together weigh no more`);
  if (dnsbl.reject === 0 && dnsbl.defer === 0)
    list.add(
      [...path, 'reject'],
      'found 0 for `reject` and `defer`, expected a threshold: no list would do anything',
    );
  if (dnsbl.reject > 0 && dnsbl.defer >= dnsbl.reject)
    list.expected([...path, 'defer'], `less than reject (${dnsbl.reject}), else it never comes into play`);
  if (dnsbl.minTtl > dnsbl.maxTtl)
    list.add([...path, 'minTtl'], 'found a shortest time longer than `maxTtl`, expected at most as long');
}
