/** What every connection of a worker shares: one object, so that a connection is born with one reference. */
import type { Log } from '../base/log.js';
import type { NetworkSet } from '../base/networks.js';
import type { Config } from '../config/config.js';
import type { Histogram, Meters } from '../metrics/meters.js';
import type { DnsblCheck } from '../policy/dnsbl-check.js';
import type { PasswordAuthenticator } from '../policy/login.js';
import type { RelayDecision } from '../policy/relay-decision.js';
import type { Admission } from './admission.js';
import type { EnvelopeRoom } from './envelope-room.js';
import type { Intake } from './intake.js';
import type { NetworkBudgets } from './network-budgets.js';
import type { LoginGuard } from './login-guard.js';
import type { LoginTurns } from './login-turns.js';
import type { ReplyCounter } from './reply-counter.js';
import type { RoomMonitor } from './room-monitor.js';
import type { SaslChecks } from './sasl-checks.js';
import type { Stress } from './stress.js';
import type { Tallies } from './tallies.js';

/** What the worker asks of each connection, whatever is spoken on it. */
export interface OpenConnection {
  /** Once a second. */
  tick(nowMs: number): void;
  /** Of the open transaction; 0 where there is none. */
  readonly recipients: number;
  /** No transaction open and nothing of ours to say. */
  readonly isIdle: boolean;
  /** Ends it, with 421 where there is somebody to say it to. */
  shutDown(): void;
  destroy(): void;
}

export interface Service {
  readonly config: Config;
  readonly log: Log;
  readonly meters: Meters;
  readonly stageData: Histogram;
  readonly stress: Stress;
  readonly envelopeRoom: EnvelopeRoom;
  readonly tallies: Tallies;
  readonly networkBudgets: NetworkBudgets;
  readonly admission: Admission;
  readonly loginGuard: LoginGuard;
  readonly loginTurns: LoginTurns;
  readonly intake: Intake;
  readonly room: RoomMonitor;
  readonly replyCounter: ReplyCounter;
  readonly relayDecision: RelayDecision;
  /** Whose messages are normalized where others' are refused. */
  readonly normalizedClients: NetworkSet;
  /** Undefined where no list is configured. */
  readonly dnsbl: DnsblCheck | undefined;
  /** Undefined where nobody can log in. */
  readonly authenticator: PasswordAuthenticator | undefined;
  readonly saslChecks: SaslChecks;
  readonly connections: Set<OpenConnection>;
  /** 'stop' sends idle clients away at once, 'reload' lets them finish. */
  draining: 'no' | 'stop' | 'reload';
  /** Called after a connection left `connections`. */
  connectionClosed(): void;
}
