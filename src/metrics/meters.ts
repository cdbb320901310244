/**
 * What a worker counts. The hot path holds a Cell and does `cell.value++`; labels are resolved once per listener or
 * cached, never hashed per message (prom-client's labelled inc does). Read at scrape time through snapshot().
 */
import type { MetricsSnapshot } from '../base/messages.js';

export interface Cell {
  value: number;
}

export interface Histogram {
  observe(value: number): void;
}

export interface CellFamily {
  /** The cell of these label values, made on first use and kept. Order as in the catalogue. */
  of(...labelValues: string[]): Cell;
}

export interface HistogramFamily {
  of(...labelValues: string[]): Histogram;
}

/** Names as in the catalogue, camel case without `postern_`; gauges are set before each snapshot by `onSnapshot`. */
export interface Meters {
  readonly connectionsTotal: CellFamily; // listener
  readonly connectionsOpen: CellFamily; // listener
  readonly connectionsRefusedTotal: CellFamily; // listener, reason
  readonly sessionsCutTotal: CellFamily; // reason
  readonly commandsTotal: CellFamily; // verb, code
  readonly messagesAcceptedTotal: CellFamily; // listener
  readonly messageBytesTotal: CellFamily; // listener
  readonly recipientsAcceptedTotal: CellFamily;
  readonly rejectionsTotal: CellFamily; // stage, reason, code, enhanced
  readonly stageSeconds: HistogramFamily; // stage: dnsbl, auth, recipient, data, filter, commit
  readonly queueMessages: CellFamily; // state
  readonly queueBytes: CellFamily;
  readonly queueBytesInFlight: CellFamily;
  readonly queueOldestSeconds: CellFamily; // merged by max
  readonly queueCommitSeconds: HistogramFamily;
  readonly queueCommitMessages: HistogramFamily;
  readonly queueDamagedTotal: CellFamily;
  readonly relayDeliveriesTotal: CellFamily; // route, result: delivered, deferred, failed
  readonly relayAmbiguousTotal: CellFamily; // route
  readonly relaySeconds: HistogramFamily; // route
  readonly relayHopsResting: CellFamily; // route
  readonly relayNotificationsTotal: CellFamily; // kind, result
  readonly queueParkedTotal: CellFamily;
  readonly queueSalvagedTotal: CellFamily; // result
  readonly queueDiskFull: CellFamily;
  readonly poolQueue: CellFamily;
  readonly poolSeconds: HistogramFamily; // task, phase: wait, run
  readonly dnsblLookupsTotal: CellFamily; // list, result: listed, clear, timeout, error, cached
  readonly authTotal: CellFamily; // mechanism, result: ok, failed, unavailable, limited
  readonly authBackendSeconds: HistogramFamily; // backend: passwords, tokens; result: ok, failed, unavailable
  readonly authBackendFailuresTotal: CellFamily; // backend, reason
  readonly authBackendDown: CellFamily; // backend
  readonly tlsSessionsTotal: CellFamily; // version
  readonly tlsResumptionsTotal: CellFamily;
  readonly tlsHandshakeFailuresTotal: CellFamily; // reason
  readonly tlsCertificateExpirySeconds: CellFamily; // certificate: default, sni, client-ca
  readonly eventLoopLagSeconds: CellFamily; // worker (slot)
  readonly stress: CellFamily; // worker (slot)
  readonly logLinesDroppedTotal: CellFamily;
  /** Called at the start of each snapshot, to fill gauges in. */
  onSnapshot(fill: () => void): void;
  snapshot(): MetricsSnapshot;
}
