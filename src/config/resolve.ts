/** From a file that passed every check to the Config that the program uses: absolute paths, names filled in, frozen. */
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import { listenerTls } from './checks.js';
import { resolveAuthentication } from './resolve-auth.js';
import type {
  Config,
  DnsblConfig,
  DomainConfig,
  Hop,
  HopCredentials,
  LimitsConfig,
  ListenerConfig,
  NotificationsConfig,
  RouteConfig,
  ServerCertificate,
  TlsConfig,
} from './config.js';
import { domainForms } from './formats.js';
import { hopsOf, routeTls } from './route-checks.js';
import type {
  FileConfig,
  FileDnsbl,
  FileDomain,
  FileListener,
  FileNotifications,
  FileRoute,
  FileTls,
} from './schema.js';

// As many as one client may hold at a Postfix next hop by default, less than half of that (50): several workers share it.
const defaultConnections = 20;
// A Maildir delivery is two fsyncs; beyond a few at once they only wait for each other, and for libuv's four threads.
const defaultMaildirDeliveries = 4;

interface Folders {
  /** The config file's: where relative paths start. */
  readonly config: string;
  readonly working: string;
}

/** Where a config file's relative paths start. */
export function foldersOf(file: string): Folders {
  return { config: dirname(resolve(file)), working: process.cwd() };
}

export function dataDirOf(written: string | undefined, folders: Folders): string {
  return written === undefined ? resolve(folders.working, 'data') : resolve(folders.config, written);
}

/** What stands in the files that a config names. */
export interface FileContents {
  /** Of `recipients: { file }`, by index of the domain. */
  readonly recipients: ReadonlyMap<number, readonly string[]>;
  /** Of `auth: { passwordFile }`, by name of the route. */
  readonly passwords: ReadonlyMap<string, string>;
  /** Of `auth.backend`, by the key that names the file. */
  readonly backendSecrets: ReadonlyMap<string, string>;
  /** Of `auth.tokens.introspection.clientSecretFile`. */
  readonly introspectionSecret: string | undefined;
}

export function resolveConfig(file: FileConfig, contents: FileContents, folders: Folders): Config {
  const dataDir = dataDirOf(file.dataDir, folders);
  const listeners = file.listeners.map((listener) => resolveListener(listener, file.tls !== undefined));
  const wantsTls = listeners.some((listener) => listener.tls !== 'off');
  return deepFreeze({
    hostname: file.hostname.toLowerCase(),
    postmaster: file.postmaster,
    dataDir,
    workers: file.workers === 'auto' ? availableParallelism() : file.workers,
    listeners,
    tls: file.tls && wantsTls ? resolveTls(file.tls, folders.config) : undefined,
    admin: { ...file.admin, token: file.admin.token ?? undefined },
    dns: file.dns,
    domains: file.domains.map((domain, index) => resolveDomain(domain, contents.recipients.get(index) ?? [])),
    routes: Object.fromEntries(
      Object.entries(file.routes).map(([name, route]) => [
        name,
        resolveRoute(name, route, contents.passwords.get(name), { dataDir, config: folders.config }),
      ]),
    ),
    notifications: resolveNotifications(file.notifications, folders.config),
    limits: resolveLimits(file.limits),
    policy: {
      bareNewlines: file.policy.bareNewlines,
      dnsbl: file.policy.dnsbl && resolveDnsbl(file.policy.dnsbl),
      greetDelayMs: file.policy.greetDelay,
      unauthorizedPipelining: file.policy.unauthorizedPipelining,
    },
    auth: resolveAuthentication(file.auth, contents, folders.config),
    log: file.log,
  });
}

function resolveListener(listener: FileListener, hasTls: boolean): ListenerConfig {
  return { ...listener, tls: listenerTls(listener, hasTls), route: listener.route };
}

function resolveTls(tls: FileTls, base: string): TlsConfig {
  return {
    ...resolveCertificate(tls, base),
    sni: tls.sni.map((named) => ({
      names: named.names.map((name) => domainForms(name).at(-1) ?? name),
      ...resolveCertificate(named, base),
    })),
    clientCa: tls.clientCa === undefined ? undefined : resolve(base, tls.clientCa),
    minVersion: tls.minVersion,
    ciphers: tls.ciphers,
  };
}

function resolveCertificate(
  { certificate, key, alternatives }: Pick<FileTls, 'certificate' | 'key' | 'alternatives'>,
  base: string,
): ServerCertificate {
  return {
    certificate: resolve(base, certificate),
    key: resolve(base, key),
    alternatives: alternatives.map((pair) => ({
      certificate: resolve(base, pair.certificate),
      key: resolve(base, pair.key),
    })),
  };
}

function resolveDomain(domain: FileDomain, fromFile: readonly string[]): DomainConfig {
  const listed = Array.isArray(domain.recipients) ? domain.recipients : fromFile;
  const addresses = [...new Set(listed.map((address) => address.toLowerCase()))];
  return {
    names: domain.names.flatMap(domainForms),
    recipients:
      domain.recipients === 'any' || domain.recipients === 'none'
        ? { kind: domain.recipients }
        : { kind: 'list', addresses },
    route: domain.route ?? '',
  };
}

function resolveRoute(
  name: string,
  route: FileRoute,
  passwordFromFile: string | undefined,
  folders: { readonly dataDir: string; readonly config: string },
): RouteConfig {
  const hops = hopsOf(route.to).map((hop) => resolveHop(hop, folders.dataDir));
  const isMaildir = hops[0]?.kind === 'maildir';
  const { first, max, expire } = route.retry;
  return {
    name,
    hops,
    tls: routeTls(route),
    tlsCa: route.tlsCa === undefined ? undefined : resolve(folders.config, route.tlsCa),
    tlsFingerprints: [...new Set(route.tlsFingerprints)],
    auth: route.auth && resolveAuth(route.auth, passwordFromFile),
    timeouts: route.timeouts,
    messagesPerSecond: route.messagesPerSecond,
    connections: route.connections ?? (isMaildir ? defaultMaildirDeliveries : defaultConnections),
    messagesPerConnection: route.messagesPerConnection,
    retry: { firstMs: first, maxMs: max, expireMs: expire },
  };
}

function resolveAuth(
  auth: NonNullable<FileRoute['auth']>,
  passwordFromFile: string | undefined,
): HopCredentials {
  const password = auth.password ?? passwordFromFile;
  if (password === undefined) throw new TypeError('the checks let a login without a password through');
  return { user: auth.user, password };
}

function resolveNotifications(file: FileNotifications, base: string): NotificationsConfig {
  const { enabled, perSenderPerHour, perHour } = file;
  return {
    enabled,
    delayAfterMs: file.delayAfter,
    route: file.route,
    templateFile: file.template === undefined ? undefined : resolve(base, file.template),
    perSenderPerHour,
    perHour,
    keepFailedMs: file.keepFailed,
  };
}

function resolveHop(hop: Hop, dataDir: string): Hop {
  return hop.kind === 'maildir' ? { kind: 'maildir', path: resolve(dataDir, hop.path) } : hop;
}

function resolveLimits(limits: FileConfig['limits']): LimitsConfig {
  const { commandTimeout, dataTimeout, messageTimeout, tlsHandshakeTimeout, proxyHeaderTimeout, ...others } =
    limits;
  const { errorDelay, dataRateAfter, sessionAge, stress, ...counts } = others;
  const { bytesInFlight, bytesInFlightPerHost, bytesInFlightPerNetwork } = counts;
  return {
    ...counts,
    bytesInFlightPerHost: bytesInFlightPerHost ?? bytesInFlight / 4,
    bytesInFlightPerNetwork: bytesInFlightPerNetwork ?? bytesInFlight / 2,
    commandTimeoutMs: commandTimeout,
    dataTimeoutMs: dataTimeout,
    messageTimeoutMs: messageTimeout,
    tlsHandshakeTimeoutMs: tlsHandshakeTimeout,
    proxyHeaderTimeoutMs: proxyHeaderTimeout,
    errorDelayMs: errorDelay,
    dataRateAfterMs: dataRateAfter,
    sessionAgeMs: sessionAge,
    stress: {
      errors: stress.errors,
      junkCommands: stress.junkCommands,
      commandTimeoutMs: stress.commandTimeout,
      dataTimeoutMs: stress.dataTimeout,
      tlsHandshakeTimeoutMs: stress.tlsHandshakeTimeout,
    },
  };
}

function resolveDnsbl(dnsbl: FileDnsbl): DnsblConfig {
  const { timeout, minTtl, maxTtl, negativeTtl, lists, ...rest } = dnsbl;
  return {
    ...rest,
    lists: lists.map((list) => ({ ...list, zone: list.zone.toLowerCase() })),
    timeoutMs: timeout,
    minTtlMs: minTtl,
    maxTtlMs: maxTtl,
    negativeTtlMs: negativeTtl,
  };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
