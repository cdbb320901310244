/** Rules that look across the keys of one route: which next hops stand together, what TLS and a login need. */
import { isIP } from 'node:net';
import type { Hop, NetworkHop } from './config.js';
import type { Path } from './faults.js';
import { isWildcardAddress } from './formats.js';
import type { FileListener, FileRoute } from './schema.js';
import { isOwnAddress } from './this-machine.js';
import type { FaultList } from './validate.js';

type Written = FileRoute['to'];
type Entry = Exclude<Written, readonly unknown[]> | Extract<Written, readonly unknown[]>[number];

/** In the order of the file. Of a list of texts the place is the priority. */
export function hopsOf(to: Written): Hop[] {
  return entriesOf(to).map((entry, place) => {
    if ('hop' in entry) return { ...entry.hop, weight: entry.weight, priority: entry.priority };
    return isNetworkHop(entry) ? { ...entry, priority: place } : entry;
  });
}

function entriesOf(to: Written): readonly Entry[] {
  return Array.isArray(to) ? to : [to];
}

function isNetworkHop(hop: Hop): hop is NetworkHop {
  return hop.kind === 'smtp' || hop.kind === 'lmtp';
}

/** What `tls` of a route is when it is left out. */
export function routeTls(route: FileRoute): NonNullable<FileRoute['tls']> {
  return route.tls ?? (hopsOf(route.to).some(({ kind }) => kind === 'maildir') ? 'off' : 'opportunistic');
}

export function checkRoute(
  name: string,
  route: FileRoute,
  hostname: string | undefined,
  listeners: readonly (FileListener | undefined)[],
  list: FaultList,
): void {
  const path = ['routes', name];
  checkHops(path, route, list);
  checkOwnListeners(path, route, hostname, listeners, list);
  checkTls(path, route, list);
  if (route.auth !== undefined) checkAuth([...path, 'auth'], route.auth, route, list);
  checkRetry(path, route.retry, list);
  const [wait] = Object.keys(route.timeouts);
  if (isMaildir(route) && wait !== undefined)
    list.add(
      [...path, 'timeouts', wait],
      'found a wait for a maildir, expected none: it is no connection',
      'key',
    );
}

function isMaildir(route: FileRoute): boolean {
  return hopsOf(route.to).some(({ kind }) => kind === 'maildir');
}

function isMx(route: FileRoute): boolean {
  return hopsOf(route.to).some(({ kind }) => kind === 'mx');
}

function checkHops(path: Path, route: FileRoute, list: FaultList): void {
  const entries = entriesOf(route.to);
  const hops = hopsOf(route.to);
  const alone = hops.find((hop) => !isNetworkHop(hop));
  if (alone !== undefined && hops.length > 1)
    list.add(
      [...path, 'to'],
      alone.kind === 'mx'
        ? 'found mx among other next hops, expected it alone'
        : 'found a maildir among other next hops, expected it alone',
    );
  const first = entries[0];
  const other = entries.findIndex((entry) => first !== undefined && 'hop' in entry !== 'hop' in first);
  hops.forEach((hop, place) => {
    const first = hops.findIndex((before) => isSameHop(before, hop));
    if (first >= 0 && first < place)
      list.add(
        [...path, 'to', place],
        `found the next hop of to[${first}] again, expected each once; a larger share of the mail is a \`weight\``,
      );
  });
  // One would need a priority that nobody wrote.
  if (other > 0)
    list.add(
      [...path, 'to', other],
      'found texts and maps in one list, expected all next hops as texts or all as `{ hop, weight, priority }`',
    );
}

function isSameHop(a: Hop, b: Hop): boolean {
  if (!isNetworkHop(a) || !isNetworkHop(b)) return false;
  return a.kind === b.kind && a.port === b.port && a.host.toLowerCase() === b.host.toLowerCase();
}

function checkOwnListeners(
  path: Path,
  route: FileRoute,
  hostname: string | undefined,
  listeners: readonly (FileListener | undefined)[],
  list: FaultList,
): void {
  hopsOf(route.to).forEach((hop, index) => {
    if (!isNetworkHop(hop) || !isOwnListener(hop, hostname, listeners)) return;
    const at = Array.isArray(route.to) ? [...path, 'to', index] : [...path, 'to'];
    const isMap = 'hop' in (entriesOf(route.to)[index] ?? {});
    list.expected(
      isMap ? [...at, 'hop'] : at,
      'a next hop behind Postern: this is its own listener, mail would loop',
    );
  });
}

/** As far as it can be told without asking the DNS, which may answer otherwise tomorrow. */
function isOwnListener(
  { host, port }: NetworkHop,
  hostname: string | undefined,
  listeners: readonly (FileListener | undefined)[],
): boolean {
  const samePort = listeners.filter((listener) => listener?.port === port);
  const bare = host.toLowerCase();
  if (bare === hostname?.toLowerCase()) return samePort.length > 0;
  // Linux connects to 0.0.0.0 and :: as to loopback.
  const address = bare === 'localhost' || isWildcardAddress(bare) ? '127.0.0.1' : bare;
  const isOwn = isIP(address) !== 0 && isOwnAddress(address);
  return samePort.some(
    (listener) => listener?.address === address || (isOwn && isWildcardAddress(listener?.address ?? '')),
  );
}

function checkTls(path: Path, route: FileRoute, list: FaultList): void {
  const tls = routeTls(route);
  if (isMaildir(route) && tls !== 'off') list.expected([...path, 'tls'], 'off: a maildir has no TLS');
  const hasPins = route.tlsFingerprints.length > 0;
  if (tls !== 'verified')
    for (const key of ['tlsCa', 'tlsFingerprints'] as const)
      if (key === 'tlsCa' ? route.tlsCa !== undefined : hasPins)
        list.add(
          [...path, key],
          `found it with tls '${tls}', expected \`tls: verified\`: nothing else looks at the certificate`,
          'key',
        );
  if (hasPins && route.tlsCa !== undefined)
    list.add(
      [...path, 'tlsCa'],
      'found it beside `tlsFingerprints`, expected one of the two: with fingerprints no authority is asked',
      'key',
    );
  if (hasPins && isMx(route))
    list.add(
      [...path, 'tlsFingerprints'],
      'found fingerprints with mx, expected none: its hosts are those of every domain',
      'key',
    );
}

function checkAuth(
  path: Path,
  auth: NonNullable<FileRoute['auth']>,
  route: FileRoute,
  list: FaultList,
): void {
  const tls = routeTls(route);
  if (isMaildir(route)) list.add(path, 'found a login at a maildir, expected none', 'key');
  else if (tls !== 'required' && tls !== 'verified')
    list.add(
      path,
      `found a login with tls '${tls}', expected \`tls: required\` or \`tls: verified\`: a password is never sent in the clear`,
      'key',
    );
  if (isMx(route))
    list.add(path, 'found a login with mx, expected none: the password would go to every domain', 'key');
  if ((auth.password === undefined) === (auth.passwordFile === undefined))
    list.add(
      path,
      `found ${auth.password === undefined ? 'neither' : 'both'}, expected either \`password\` or \`passwordFile\``,
    );
}

function checkRetry(path: Path, retry: FileRoute['retry'], list: FaultList): void {
  if (retry.first > retry.max)
    list.add([...path, 'retry', 'first'], 'found a first wait longer than `max`, expected at most as long');
  if (retry.max > retry.expire)
    list.add(
      [...path, 'retry', 'max'],
      'found a longest wait longer than `expire`, expected at most as long',
    );
}
