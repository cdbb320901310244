/** What every connection of a worker shares: one object, so that a connection is born with one reference. */
import type { SecureContext } from 'node:tls';
import type { Log } from '../base/log.js';
import type { Config } from '../config/config.js';
import type { Histogram, Meters } from '../metrics/meters.js';
import type { Authenticator } from '../policy/authenticate.js';
import type { DnsblCheck } from '../policy/dnsbl-check.js';
import type { RelayDecision } from '../policy/relay-decision.js';
import type { Admission } from './admission.js';
import type { Connection } from './connection.js';
import type { Intake } from './intake.js';
import type { ReplyCounter } from './reply-counter.js';
import type { RoomMonitor } from './room-monitor.js';

export interface Service {
  readonly config: Config;
  readonly log: Log;
  readonly meters: Meters;
  readonly stageData: Histogram;
  readonly admission: Admission;
  readonly intake: Intake;
  readonly room: RoomMonitor;
  readonly replyCounter: ReplyCounter;
  readonly relayDecision: RelayDecision;
  /** Undefined where no list is configured. */
  readonly dnsbl: DnsblCheck | undefined;
  /** Undefined where no users file is configured. */
  readonly authenticator: Authenticator | undefined;
  readonly secureContext: SecureContext | undefined;
  readonly connections: Set<Connection>;
  /** Set once; 'stop' sends idle clients away at once, 'reload' lets them finish. */
  draining: 'no' | 'stop' | 'reload';
  /** Called after a connection left `connections`. */
  connectionClosed(): void;
}
