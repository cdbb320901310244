/**
 * What one slot is made of: spool, pool, policy and listeners, opened in the order in which they can fail, and wired to
 * each other. The worker has them from then on.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { OpenedBackend } from '../auth/open-backend.js';
import type { Surroundings } from '../auth/open-gate.js';
import type { OpenedTokens } from '../auth/open-tokens.js';
import { HostAddresses } from '../base/host-addresses.js';
import { KnownLogins } from '../base/known-logins.js';
import type { Log } from '../base/log.js';
import { NetworkSet } from '../base/networks.js';
import type { Config } from '../config/config.js';
import { tallyLimits } from '../config/tally-limits.js';
import type { Meters } from '../metrics/meters.js';
import { watchProcess } from '../metrics/process-meters.js';
import { createMeters } from '../metrics/worker-meters.js';
import { Authenticator } from '../policy/authenticate.js';
import { DnsblCheck } from '../policy/dnsbl-check.js';
import { mechanismsOn } from '../policy/mechanisms.js';
import { RelayDecision } from '../policy/relay-decision.js';
import type { LoadedUsers } from '../pool/loaded-users.js';
import { openPool } from '../pool/pool.js';
import type { Pool } from '../pool/tasks.js';
import { openSpool } from '../queue/lmdb-spool.js';
import type { Spool, SpoolHooks } from '../queue/spool.js';
import type { Notifier } from '../relay/notifier.js';
import { openNotifier } from '../relay/notifications/sender-notifier.js';
import { Admission } from './admission.js';
import { EnvelopeRoom } from './envelope-room.js';
import { Intake } from './intake.js';
import { LoginGuard } from './login-guard.js';
import { LoginTurns } from './login-turns.js';
import { Listener } from './listener.js';
import { NetworkBudgets } from './network-budgets.js';
import { queueHooks } from './queue-hooks.js';
import { ReplyCounter } from './reply-counter.js';
import { RoomMonitor } from './room-monitor.js';
import { openSaslChecks, servedMechanisms } from './sasl-checks.js';
import { readTlsMaterial } from './secure-context.js';
import type { OpenConnection, Service } from './service.js';
import { Stress } from './stress.js';
import { Tallies } from './tallies.js';
import { ticketKeysOf } from './ticket-keys.js';
import { TlsDoor } from './tls-door.js';

// Messages up to this size are one LMDB batch from memory; a larger one streams to disk while it arrives.
const smallMessageBytes = 64 * 1024;
// A commit that has not returned by then never will: lmdb-js does not settle after some failed meta writes.
const commitTimeoutMs = 30_000;
const generationBytes = 256 * 1024 * 1024;
const poolThreads = 1;
const poolQueue = 1_000;
// Well above every deadline inside a task (dnsbl.timeout: 30 s at most): passing it means the thread hangs.
const poolTaskTimeoutMs = 40_000;

export interface WorkerOptions {
  readonly config: Config;
  readonly slot: number;
  readonly incarnation: string;
  /** Of TLS session tickets, the same in all workers; left out: one of its own. */
  readonly ticketSecret?: Buffer;
  readonly log: Log;
  /** In open transactions, before each may have fewer; left out: what the memory of a worker allows. */
  readonly maxRecipientsHeld?: number | undefined;
  readonly onPhase: SpoolHooks['phase'];
  readonly onUnusable?: SpoolHooks['unusable'];
  /** The first failed commit, at once. */
  readonly onFailing: () => void;
  /** The queue failed: everything in flight has been answered 451, the process must end. */
  readonly onFailed: () => void;
}

/** The worker, as far as its parts make it act. */
interface PartsOwner {
  /** Nothing more may be acknowledged. */
  fail(): void;
  connectionClosed(): void;
}

export interface WorkerParts {
  readonly meters: Meters;
  readonly spool: Spool;
  readonly pool: Pool;
  readonly backends: readonly { close(): void }[];
  readonly service: Service;
  readonly knownLogins: KnownLogins;
  readonly notifier: Notifier;
  readonly listeners: readonly Listener[];
}

/** @throws PosternError of whatever cannot be used */
export async function openParts(options: WorkerOptions, owner: PartsOwner): Promise<WorkerParts> {
  const { config, log } = options;
  const meters = createMeters({
    listeners: config.listeners.map(({ name }) => name),
    routes: Object.keys(config.routes),
    dnsblLists: config.policy.dnsbl?.lists.map(({ zone }) => zone) ?? [],
    mechanisms: mechanismsOn({ canBind: true, hasCertificate: true }, config.auth.mechanisms),
  });
  watchProcess(meters, String(options.slot));
  const users = await loadUsers(config);
  const tls = config.tls === undefined ? undefined : readTlsMaterial(config.tls);
  for (const [use, atMs] of tls?.expiresAtMs ?? [])
    meters.tlsCertificateExpirySeconds.of(use).value = atMs / 1000;
  const hosts = new HostAddresses(config.dns.servers, 'AUTH_UNREACHABLE');
  const around = { log, meters, lookup: hosts.lookup };
  const backend = await openBackend(config, around);
  const tokens = await openTokens(config, around);
  // The spool's hooks speak to what exists only once the spool is open.
  let room: RoomMonitor | undefined;
  let isDiskFull = false;
  const spool = await openSpool({
    directory: queueDirectory(config),
    slot: options.slot,
    incarnation: options.incarnation,
    smallMessageBytes,
    bytesInFlight: config.limits.bytesInFlight,
    commitTimeoutMs,
    generationBytes,
    hooks: queueHooks(
      log,
      meters,
      { phase: options.onPhase, unusable: options.onUnusable },
      {
        fail: () => owner.fail(),
        diskFull: (full) => {
          isDiskFull = full;
          room?.diskFull(full);
        },
      },
    ),
  });
  const pool = openPool({
    threads: poolThreads,
    maxQueue: poolQueue,
    taskTimeoutMs: poolTaskTimeoutMs,
    observe: (task, phase, seconds) => meters.poolSeconds.of(task, phase).observe(seconds),
    threadLost: (message) =>
      log.error({ event: 'pool.thread-lost', err: message }, 'a pool thread died and was replaced'),
  });
  room = new RoomMonitor(config, spool, log);
  // The spool may have found it so as it opened.
  room.diskFull(isDiskFull);
  await room.look();
  const tallies = new Tallies(tallyLimits(config.limits));
  const knownLogins = new KnownLogins();
  const loginGuard = new LoginGuard({
    failures: tallies,
    known: knownLogins,
    exempt: config.limits.exempt,
  });
  const stress = new Stress(config.limits, log);
  const service: Service = {
    config,
    log,
    meters,
    stageData: meters.stageSeconds.of('data'),
    stress,
    envelopeRoom: new EnvelopeRoom(config.limits.recipients, log, options.maxRecipientsHeld),
    tallies,
    networkBudgets: new NetworkBudgets(config.limits, tallies),
    admission: new Admission(config.limits, tallies),
    loginGuard,
    loginTurns: new LoginTurns(loginGuard),
    intake: new Intake(spool, config.hostname, meters, log),
    room,
    replyCounter: new ReplyCounter(meters),
    relayDecision: new RelayDecision(config),
    normalizedClients: new NetworkSet(config.policy.bareNewlines.normalizeFrom),
    dnsbl: openDnsbl(config, pool, meters),
    authenticator:
      users === undefined
        ? backend?.authenticator
        : new Authenticator({ users, verify: (task, first) => pool.run('password', task, first), meters }),
    saslChecks: openSaslChecks(config, users, tokens?.source, meters),
    connections: new Set<OpenConnection>(),
    draining: 'no',
    connectionClosed: () => owner.connectionClosed(),
  };
  const mechanisms = servedMechanisms(config.auth, users, log);
  const tickets = options.ticketSecret ?? randomBytes(32);
  const listeners = config.listeners.map((listener) => {
    const isSecure = tls !== undefined && listener.tls !== 'off';
    const door = isSecure ? new TlsDoor(listener, tls, ticketKeysOf(tickets, listener.name), log) : undefined;
    return new Listener(listener, service, mechanisms, door);
  });
  const backends = [backend, tokens, { close: () => hosts.cancel() }].filter(
    (opened) => opened !== undefined,
  );
  const notifier = openNotifier({ config, spool, log, meters });
  return { meters, spool, pool, backends, service, knownLogins, notifier, listeners };
}

export function queueDirectory(config: Config): string {
  return join(config.dataDir, 'queue');
}

async function loadUsers({ auth }: Config): Promise<LoadedUsers | undefined> {
  if (auth.usersFile === undefined) return undefined;
  // Here, not above: most workers have no users and start sooner without a parser of YAML.
  const usersFile = await import('../pool/users-file.js');
  return usersFile.loadUsers(auth.usersFile);
}

async function openBackend({ auth }: Config, around: Surroundings): Promise<OpenedBackend | undefined> {
  if (auth.backend === undefined) return undefined;
  // Here, not above: as the users file.
  const backends = await import('../auth/open-backend.js');
  return backends.openBackend(auth.backend, auth.cacheMs, around);
}

async function openTokens({ auth }: Config, around: Surroundings): Promise<OpenedTokens | undefined> {
  if (auth.tokens === undefined) return undefined;
  const tokens = await import('../auth/open-tokens.js');
  return tokens.openTokens(auth.tokens, around);
}

function openDnsbl(config: Config, pool: Pool, meters: Meters): DnsblCheck | undefined {
  const { dnsbl } = config.policy;
  if (dnsbl === undefined || dnsbl.lists.length === 0) return undefined;
  return new DnsblCheck({
    config: dnsbl,
    servers: config.dns.servers,
    ask: (task) => pool.run('dnsbl', task),
    meters,
  });
}
