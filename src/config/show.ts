/**
 * The config in force, every default filled in, as a file that loads to the same config again once its secrets are
 * put back: where one is (the admin token; passwords of routes; token, key and password of a backend; the query of a
 * URL) it says so alone. The secret of an introspection client stays in its file, which is named.
 */
import { stringify } from 'yaml';
import type { AuthBackendConfig } from './auth-backend-config.js';
import type {
  AuthConfig,
  Config,
  DnsblConfig,
  DomainConfig,
  Hop,
  IntrospectionConfig,
  JwksConfig,
  LimitsConfig,
  NotificationsConfig,
  RouteConfig,
  StressLimits,
  TlsConfig,
  TokensConfig,
} from './config.js';
import { domainForms, hiddenSecret, withHiddenQuery } from './formats.js';

/** YAML in human units. */
export function configShow(config: Config): string {
  return stringify(configPlain(config), { lineWidth: 0, singleQuote: true });
}

/** The same as plain values, for --json. */
export function configPlain(config: Config): object {
  const { address, port, token } = config.admin;
  return {
    hostname: config.hostname,
    ...given('postmaster', config.postmaster),
    dataDir: config.dataDir,
    workers: config.workers,
    listeners: config.listeners.map(({ route, ...listener }) => ({ ...listener, ...given('route', route) })),
    ...given('tls', config.tls && showTls(config.tls)),
    admin: { address, port, token: token === undefined ? null : hiddenSecret },
    dns: config.dns,
    domains: config.domains.map(showDomain),
    routes: Object.fromEntries(Object.values(config.routes).map((route) => [route.name, showRoute(route)])),
    notifications: showNotifications(config.notifications),
    limits: showLimits(config.limits),
    policy: {
      bareNewlines: config.policy.bareNewlines,
      ...(config.policy.dnsbl === undefined ? {} : { dnsbl: showDnsbl(config.policy.dnsbl) }),
      greetDelay: exactDuration(config.policy.greetDelayMs),
      unauthorizedPipelining: config.policy.unauthorizedPipelining,
    },
    auth: showAuth(config.auth),
    log: config.log,
  };
}

function given(key: string, value: unknown): object {
  return value === undefined ? {} : { [key]: value };
}

function showTls({ clientCa, ciphers, ...rest }: TlsConfig): object {
  return { ...rest, ...given('clientCa', clientCa), ...given('ciphers', ciphers) };
}

function showDomain({ names, recipients, route }: DomainConfig): object {
  // An internationalized name is in the config in both its forms; one brings the other back.
  const written = names.filter((name) => domainForms(name)[0] === name);
  return {
    names: written,
    recipients: recipients.kind === 'list' ? recipients.addresses : recipients.kind,
    ...(route === '' ? {} : { route }),
  };
}

function showRoute(route: RouteConfig): object {
  const { firstMs, maxMs, expireMs } = route.retry;
  const { auth, timeouts } = route;
  const waits = Object.entries(timeouts).map(([phase, ms]: [string, number]) => [phase, exactDuration(ms)]);
  return {
    to: showHops(route.hops),
    tls: route.tls,
    ...given('tlsCa', route.tlsCa),
    ...(route.tlsFingerprints.length === 0 ? {} : { tlsFingerprints: route.tlsFingerprints }),
    ...(auth === undefined ? {} : { auth: { user: auth.user, password: hiddenSecret } }),
    ...(waits.length === 0 ? {} : { timeouts: Object.fromEntries(waits) }),
    messagesPerSecond: route.messagesPerSecond,
    connections: route.connections,
    messagesPerConnection: route.messagesPerConnection,
    retry: { first: exactDuration(firstMs), max: exactDuration(maxMs), expire: exactDuration(expireMs) },
  };
}

/** Secrets are hidden, and so is whether they came from a file. */
function showBackend(backend: AuthBackendConfig): object {
  const { timeoutMs, concurrent, waiting, plaintext } = backend;
  const bounds = { plaintext, timeout: exactDuration(timeoutMs), concurrent, waiting };
  switch (backend.kind) {
    case 'dovecot': {
      const { target, service } = backend;
      const socket = 'path' in target ? target.path : `${bracketed(target.host)}:${target.port}`;
      return { dovecot: { socket, service, ...bounds } };
    }
    case 'http': {
      const { url, ca, token, secret } = backend;
      const hidden = { ...given('token', token && hiddenSecret), ...given('secret', secret && hiddenSecret) };
      return { http: { url: showUrl(url), ...given('ca', ca), ...hidden, ...bounds } };
    }
    case 'ldap': {
      const { secure, host, port, startTls, ca, find } = backend;
      const url = `${secure ? 'ldaps' : 'ldap'}://${bracketed(host)}:${port}`;
      return { ldap: { url, startTls, ...given('ca', ca), ...showFind(find), ...bounds } };
    }
  }
}

function showUrl(url: string): string {
  return withHiddenQuery(url, hiddenSecret);
}

function showFind(find: Extract<AuthBackendConfig, { kind: 'ldap' }>['find']): object {
  if ('dn' in find) return find;
  const { base, filter, account } = find.search;
  const login = account === undefined ? {} : { bindDn: account.dn, password: hiddenSecret };
  return { search: { base, filter, ...login } };
}

function showAuth({ mechanisms, usersFile, backend, cacheMs, tokens }: AuthConfig): object {
  return {
    mechanisms,
    users: { ...given('file', usersFile) },
    backend: backend === undefined ? 'users' : showBackend(backend),
    cache: exactDuration(cacheMs),
    ...(tokens === undefined ? {} : { tokens: showTokens(tokens) }),
  };
}

/** The secret stays in its file. */
function showTokens({ source, scope, clockSkewMs, timeoutMs }: TokensConfig): object {
  return {
    [source.kind]: source.kind === 'jwks' ? showJwks(source) : showIntrospection(source),
    ...given('scope', scope),
    clockSkew: exactDuration(clockSkewMs),
    timeout: exactDuration(timeoutMs),
  };
}

function showJwks({ keys, issuer, audience, algorithms, userClaim }: JwksConfig): object {
  const place = keys.kind === 'url' ? { url: showUrl(keys.url) } : { file: keys.file };
  return { ...place, issuer, audience, algorithms, userClaim };
}

function showIntrospection(source: IntrospectionConfig): object {
  const { url, client, issuer, audience, userClaim, cacheMs } = source;
  return {
    url: showUrl(url),
    ...(client === undefined ? {} : { clientId: client.id, clientSecretFile: client.secretFile }),
    ...given('issuer', issuer),
    ...given('audience', audience),
    userClaim,
    cacheFor: exactDuration(cacheMs),
  };
}

function showNotifications(notifications: NotificationsConfig): object {
  const { enabled, delayAfterMs, route, templateFile, perSenderPerHour, perHour, keepFailedMs } =
    notifications;
  return {
    enabled,
    delayAfter: exactDuration(delayAfterMs),
    ...given('route', route),
    ...given('template', templateFile),
    perSenderPerHour,
    perHour,
    keepFailed: exactDuration(keepFailedMs),
  };
}

/** As texts where their order says all. */
function showHops(hops: readonly Hop[]): unknown[] {
  const inOrder = hops.every(
    (hop, place) => !('host' in hop) || (hop.priority === place && hop.weight === 1),
  );
  if (inOrder) return hops.map(showHop);
  return hops.map((hop) =>
    'host' in hop ? { hop: showHop(hop), weight: hop.weight, priority: hop.priority } : showHop(hop),
  );
}

function showHop(hop: Hop): string {
  if (hop.kind === 'mx') return `mx:${hop.port}`;
  if (hop.kind === 'maildir') return `maildir:${hop.path}`;
  return `${hop.kind}://${bracketed(hop.host)}:${hop.port}`;
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

const sizeKeys: ReadonlySet<string> = new Set([
  'bytesInFlight',
  'bytesInFlightPerHost',
  'bytesInFlightPerNetwork',
  'diskReserve',
]);

/** Sizes and times in units; `…TimeoutMs` under the name that it has in a file. */
function showLimits(limits: LimitsConfig | StressLimits): object {
  const shown = Object.entries(limits).map(([key, value]: [string, unknown]) => {
    if (key === 'stress' && 'stress' in limits) return [key, showLimits(limits.stress)];
    if (typeof value !== 'number') return [key, value];
    if (key.endsWith('Ms')) return [key.slice(0, -2), exactDuration(value)];
    const isSize = key.endsWith('Bytes') || sizeKeys.has(key);
    return [key, isSize ? exactSize(value) : value];
  });
  return Object.fromEntries(shown);
}

function showDnsbl(dnsbl: DnsblConfig): object {
  const { timeoutMs, minTtlMs, maxTtlMs, negativeTtlMs, ...rest } = dnsbl;
  return {
    ...rest,
    timeout: exactDuration(timeoutMs),
    minTtl: exactDuration(minTtlMs),
    maxTtl: exactDuration(maxTtlMs),
    negativeTtl: exactDuration(negativeTtlMs),
  };
}

// base/units rounds for the eye; here the value must survive.
function exactSize(bytes: number): string {
  return exact(bytes, [['TiB', 2 ** 40], ['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 2 ** 10], ['B', 1]]); // prettier-ignore
}

function exactDuration(ms: number): string {
  return exact(ms, [['d', 86_400_000], ['h', 3_600_000], ['m', 60_000], ['s', 1_000], ['ms', 1]]); // prettier-ignore
}

/** In the largest unit that divides it. */
function exact(value: number, units: readonly (readonly [string, number])[]): string {
  const [unit, factor] = units.find(([, size]) => value >= size && value % size === 0) ??
    units.at(-1) ?? ['', 1];
  return `${value / factor}${unit}`;
}
