/**
 * What a config needs of the machine it is checked on: folders that can be written, addresses that exist, a
 * certificate that is still valid. Looks and changes nothing; that a port is free only `start` can tell.
 */
import { X509Certificate } from 'node:crypto';
import { accessSync, constants, readFileSync, statfsSync, statSync, type Stats } from 'node:fs';
import { isIPv6 } from 'node:net';
import { dirname, sep } from 'node:path';
import { describeError, errorCodeOf } from '../base/errors.js';
import type { Config, ServerCertificate, TlsConfig } from '../config/config.js';
import type { Path } from '../config/faults.js';
import { isOwnAddress, thisUser } from '../config/this-machine.js';
import type { FaultList } from '../config/validate.js';
import { diskWarning } from './disk-warning.js';

const dayMs = 86_400_000;
// Let's Encrypt's clients renew 30 days before the end: with 14 left, renewal has failed for two weeks.
const expiryNoticeDays = 14;
const namesShown = 3;
// Of Linux's proc and sysfs: root may write everything there, and yet nobody can make a file.
const fileSystemsWithoutFiles: ReadonlySet<number> = new Set([0x9fa0, 0x62656572]);

export function checkMachine(config: Config, list: FaultList): void {
  const fault = folderFault(config.dataDir);
  if (fault !== undefined) list.add(['dataDir'], fault);
  for (const { name, hops } of Object.values(config.routes)) {
    const [hop] = hops;
    if (hop?.kind !== 'maildir') continue;
    // What is below the data directory has its fault.
    const isSame = fault !== undefined && hop.path.startsWith(`${config.dataDir}${sep}`);
    const maildirFault = isSame ? undefined : folderFault(hop.path);
    if (maildirFault !== undefined) list.add(['routes', name, 'to'], maildirFault);
  }
  config.listeners.forEach(({ address }, index) =>
    checkAddress(['listeners', index, 'address'], address, list),
  );
  checkAddress(['admin', 'address'], config.admin.address, list);
}

/** What is missing of the path is made later: then the nearest folder above it is what must be writable. */
export function folderFault(folder: string): string | undefined {
  let at = folder;
  try {
    let stats = statOf(at);
    while (stats === undefined) {
      at = dirname(at);
      stats = statOf(at);
    }
    if (!stats.isDirectory()) return `found ${folder}, but ${at} is no folder, expected a folder`;
    if (fileSystemsWithoutFiles.has(statfsSync(at).type))
      return `found ${folder}, but nobody can make files in ${at}, expected a folder on a disk`;
    accessSync(at, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const missing = at === folder ? '' : `, and ${folder} is not there yet`;
    return `found ${at}, which this user may not write (${describeError(error)})${missing}, expected a folder that belongs to the user who runs Postern: \`mkdir -p ${folder} && chown ${thisUser()} ${folder}\` as root`;
  }
}

/** Undefined when it is not there. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    const code = errorCodeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function checkAddress(path: Path, address: string, list: FaultList): void {
  if (address === '0.0.0.0' || address === '::' || isOwnAddress(address) || takesForeign(address)) return;
  list.expected(
    path,
    'an address that this machine has now (`ip address` shows them), or 0.0.0.0 or :: for all of them',
  );
}

/** Linux can be told to let programs listen on addresses that come later, as those that fail over do. */
function takesForeign(address: string): boolean {
  const setting = `/proc/sys/net/${isIPv6(address) ? 'ipv6' : 'ipv4'}/ip_nonlocal_bind`;
  try {
    return readFileSync(setting, 'utf8').trim() === '1';
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** What does not keep the server from starting, but is probably not meant. */
export function warnings(config: Config, now: Date): string[] {
  const { tls, dataDir } = config;
  const found = [
    ...(tls === undefined ? [] : tlsWarnings(tls, now)),
    notificationsWarning(config),
    diskWarning(config),
    process.getuid?.() === 0 ? rootWarning(dataDir) : undefined,
  ];
  return found.filter((warning) => warning !== undefined);
}

function tlsWarnings(tls: TlsConfig, now: Date): (string | undefined)[] {
  const shown = [tls, ...tls.sni].flatMap(filesOf);
  return [
    ...[...new Set(shown)].map((file) => certificateWarning(file, now)),
    ...tls.sni.flatMap(({ names, ...named }) => filesOf(named).map((file) => namesWarning(file, names))),
  ];
}

function filesOf({ certificate, alternatives }: ServerCertificate): string[] {
  return [certificate, ...alternatives.map((pair) => pair.certificate)];
}

/** Who asks for a name and gets a certificate without it takes the server for an impostor. */
function namesWarning(file: string, names: readonly string[]): string | undefined {
  const certificate = new X509Certificate(readFileSync(file));
  const missing = names.filter((name) => certificate.checkHost(name.replace('*', 'any')) === undefined);
  if (missing.length === 0) return undefined;
  const shown = missing.slice(0, namesShown).join(', ');
  const more = missing.length > namesShown ? ` and ${missing.length - namesShown} more` : '';
  return `the certificate ${file} is not for ${shown}${more}, for which \`tls.sni\` shows it: clients that check it will not connect; name its own names there, or get one that has these`;
}

/** Allowed, as on a trial machine all mail may end so. */
function notificationsWarning({ notifications: { enabled, route }, routes }: Config): string | undefined {
  const [hop] = (route === undefined ? undefined : routes[route])?.hops ?? [];
  if (!enabled || hop?.kind !== 'maildir') return undefined;
  return `notifications.route is '${route}', a maildir: what senders elsewhere are to be told ends in ${hop.path} and reaches none of them; name a route that leads out`;
}

function certificateWarning(file: string, now: Date): string | undefined {
  const certificate = new X509Certificate(readFileSync(file));
  const begin = new Date(certificate.validFrom);
  if (begin.getTime() > now.getTime())
    return `the certificate ${file} is valid from ${begin.toISOString()} on: until then clients that check it will not connect; is this machine's clock right?`;
  const end = new Date(certificate.validTo);
  const days = Math.floor((end.getTime() - now.getTime()) / dayMs);
  if (days >= expiryNoticeDays) return undefined;
  const when = end.getTime() <= now.getTime() ? 'expired' : 'expires';
  return `the certificate ${file} ${when} on ${end.toISOString().slice(0, 10)}: clients that check it will not connect; renew it, then \`postern reload\``;
}

/** root may read and write everything, so that what is found for root says little about the service's user. */
function rootWarning(dataDir: string): string | undefined {
  const owner = statOf(dataDir)?.uid ?? 0;
  if (owner === 0) return undefined;
  return `checked as root, but ${dataDir} belongs to user ${owner}: only a check as that user (\`sudo -u '#${owner}' postern check …\`) finds files that it may not read`;
}
