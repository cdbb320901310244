/**
 * Every metric that Postern exports, one row each: name, help, labels, buckets, and how workers' values are merged.
 * worker-meters makes cells from it, aggregate merges by it, deploy/METRICS.md is printed from it, and a test holds
 * every PromQL expression in deploy/ against it. A label is never an address, a domain or anything a client wrote.
 */

/**
 * Which values a label can have. A list: exactly these. 'listeners', 'routes', 'dnsblLists', 'mechanisms', 'workers':
 * the names in the config (routes: and `_missing`, for all that it does not have). 'fixed in code': a set that the
 * program bounds but that is not worth listing twice.
 */
export type LabelValues =
  readonly string[] | 'listeners' | 'routes' | 'dnsblLists' | 'mechanisms' | 'workers' | 'fixed in code';

interface RowBase {
  readonly name: `postern_${string}`;
  readonly help: string;
  /** In the order that `of(...)` takes them and snapshots carry them. */
  readonly labels: Readonly<Record<string, LabelValues>>;
}

export interface CounterRow extends RowBase {
  readonly type: 'counter';
}

export interface GaugeRow extends RowBase {
  readonly type: 'gauge';
  /** Counters and histograms are always summed; a gauge says what makes sense for it. */
  readonly merge: 'sum' | 'max';
}

export interface HistogramRow extends RowBase {
  readonly type: 'histogram';
  /** Upper bounds, ascending, without +Inf. */
  readonly buckets: readonly number[];
}

export type MetricRow = CounterRow | GaugeRow | HistogramRow;

function counter(name: RowBase['name'], labels: RowBase['labels'], help: string): CounterRow {
  return { type: 'counter', name, labels, help };
}

function gauge(
  name: RowBase['name'],
  labels: RowBase['labels'],
  help: string,
  merge: GaugeRow['merge'] = 'sum',
): GaugeRow {
  return { type: 'gauge', name, labels, help, merge };
}

function histogram(
  name: RowBase['name'],
  labels: RowBase['labels'],
  help: string,
  buckets: readonly number[],
): HistogramRow {
  return { type: 'histogram', name, labels, help, buckets };
}

// From what an NVMe fsync takes to the five seconds after which a commit counts as failed.
const commitSeconds = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
// One range for stages as unlike as a recipient check and a 25 MiB body over a slow line.
const stageSeconds = [
  0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300,
];
// One delivery attempt: a local Maildir takes a millisecond, RFC 5321 §4.5.3.2 lets a next hop take ten minutes.
const relaySeconds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600];
// A thread hop costs about 0.1 ms, a password check 50 ms and more, a DNSBL time-out seconds.
const poolSeconds = [0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
// A directory next door takes a millisecond; Dovecot makes a wrong password wait two seconds.
const backendSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const messagesPerCommit = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

const none = {} as const;
/** What is asked about: passwords of auth.backend, tokens of the issuer of auth.tokens. */
const backends = ['passwords', 'tokens'] as const;

/** Counted in workers. The keys are the members of Meters: camel case, without `postern_`. */
export const workerMetrics = {
  connectionsTotal: counter('postern_connections_total', { listener: 'listeners' }, 'Connections accepted.'),
  connectionsOpen: gauge('postern_connections_open', { listener: 'listeners' }, 'Connections open now.'),
  connectionsRefusedTotal: counter(
    'postern_connections_refused_total',
    { listener: 'listeners', reason: 'fixed in code' },
    'Connections refused before a session began, by reason.',
  ),
  sessionsCutTotal: counter(
    'postern_sessions_cut_total',
    { reason: 'fixed in code' },
    'Sessions that Postern ended, or whose client went away within a transaction (lost), by reason.',
  ),
  commandsTotal: counter(
    'postern_commands_total',
    { verb: 'fixed in code', code: 'fixed in code' },
    'Replies by the verb they answer (also CONNECT, MESSAGE and UNKNOWN) and their code.',
  ),
  messagesAcceptedTotal: counter(
    'postern_messages_accepted_total',
    { listener: 'listeners' },
    'Messages committed to disk and answered with 250.',
  ),
  messageBytesTotal: counter(
    'postern_message_bytes_total',
    { listener: 'listeners' },
    'Bytes of accepted messages.',
  ),
  recipientsAcceptedTotal: counter(
    'postern_recipients_accepted_total',
    none,
    'Recipients answered with 250 to RCPT.',
  ),
  rejectionsTotal: counter(
    'postern_rejections_total',
    { stage: 'fixed in code', reason: 'fixed in code', code: 'fixed in code', enhanced: 'fixed in code' },
    'Replies 4xx and 5xx to commands and messages: where, why (row of the reply catalogue), with which codes.',
  ),
  stageSeconds: histogram(
    'postern_stage_seconds',
    { stage: ['dnsbl', 'auth', 'recipient', 'data', 'filter', 'commit'] },
    'Seconds spent in a stage of receiving a message.',
    stageSeconds,
  ),
  queueMessages: gauge(
    'postern_queue_messages',
    { state: ['active', 'deferred', 'held', 'parked', 'failed'] },
    'Messages in the queue by state.',
  ),
  queueBytes: gauge('postern_queue_bytes', none, 'Bytes of the messages in the queue.'),
  queueBytesInFlight: gauge(
    'postern_queue_bytes_in_flight',
    none,
    'Bytes received and not yet on disk; bounded per worker by limits.bytesInFlight.',
  ),
  queueOldestSeconds: gauge(
    'postern_queue_oldest_seconds',
    none,
    'Age of the oldest message in the queue.',
    'max',
  ),
  queueCommitSeconds: histogram(
    'postern_queue_commit_seconds',
    none,
    'Seconds of one commit to disk, fsync included.',
    commitSeconds,
  ),
  queueCommitMessages: histogram(
    'postern_queue_commit_messages',
    none,
    'Messages that shared one fsync.',
    messagesPerCommit,
  ),
  queueDamagedTotal: counter(
    'postern_queue_damaged_total',
    none,
    'Queue records or files whose length, checksum or format is wrong; they were left where they are.',
  ),
  relayDeliveriesTotal: counter(
    'postern_relay_deliveries_total',
    { route: 'routes', result: ['delivered', 'deferred', 'failed'] },
    'Recipients tried, by route and result; route _missing: all routes that are not in the config.',
  ),
  relayAmbiguousTotal: counter(
    'postern_relay_ambiguous_total',
    { route: 'routes' },
    'Attempts without a reply to the final dot: the hop may have the message, the next attempt may make a second copy.',
  ),
  relaySeconds: histogram(
    'postern_relay_seconds',
    { route: 'routes' },
    'Seconds of one delivery attempt of a message; route _missing: all routes that are not in the config.',
    relaySeconds,
  ),
  relayHopsResting: gauge(
    'postern_relay_hops_resting',
    { route: 'routes' },
    'Next hops that are left alone for a while because they could not be reached.',
  ),
  relayNotificationsTotal: counter(
    'postern_relay_notifications_total',
    {
      kind: ['failure', 'delay', 'success', 'postmaster'],
      result: ['sent', 'rate_limited', 'unwanted', 'impossible'],
    },
    'Delivery status notifications by kind and what became of them.',
  ),
  queueParkedTotal: counter(
    'postern_queue_parked_total',
    none,
    'Messages parked because three workers ended while they were relaying them.',
  ),
  queueSalvagedTotal: counter(
    'postern_queue_salvaged_total',
    { result: ['stored', 'known', 'unreadable'] },
    'Messages found in quarantined queue files.',
  ),
  queueDiskFull: gauge('postern_queue_disk_full', none, 'Workers whose last commit found the disk full.'),
  poolQueue: gauge('postern_pool_queue', none, 'Tasks that wait for a pool thread.'),
  poolSeconds: histogram(
    'postern_pool_seconds',
    { task: ['dnsbl', 'password'], phase: ['wait', 'run'] },
    'Seconds a pool task waited for a thread and ran in it.',
    poolSeconds,
  ),
  dnsblLookupsTotal: counter(
    'postern_dnsbl_lookups_total',
    { list: 'dnsblLists', result: ['listed', 'clear', 'timeout', 'error', 'cached'] },
    'DNSBL look-ups by list (its zone in the config) and result.',
  ),
  authTotal: counter(
    'postern_auth_total',
    { mechanism: 'mechanisms', result: ['ok', 'failed', 'unavailable', 'limited'] },
    'Authentication attempts by mechanism and result; limited: not looked at, there were too many failures or checks under way.',
  ),
  authBackendSeconds: histogram(
    'postern_auth_backend_seconds',
    { backend: backends, result: ['ok', 'failed', 'unavailable'] },
    'Seconds of one question to an authentication backend (passwords: auth.backend, tokens: the issuer of auth.tokens), the wait for its turn included.',
    backendSeconds,
  ),
  authBackendFailuresTotal: counter(
    'postern_auth_backend_failures_total',
    {
      backend: backends,
      reason: ['unreachable', 'timeout', 'temporary', 'protocol', 'full', 'resting'],
    },
    'Questions to an authentication backend that got no answer, by reason; resting: not asked, because it was down.',
  ),
  authBackendDown: gauge(
    'postern_auth_backend_down',
    { backend: backends },
    'Workers whose authentication backend did not answer the last times it was asked.',
  ),
  tlsSessionsTotal: counter(
    'postern_tls_sessions_total',
    { version: ['TLSv1.2', 'TLSv1.3'] },
    'TLS handshakes completed, by version.',
  ),
  tlsResumptionsTotal: counter(
    'postern_tls_resumptions_total',
    none,
    'TLS handshakes that took up an earlier session; of those in postern_tls_sessions_total.',
  ),
  tlsHandshakeFailuresTotal: counter(
    'postern_tls_handshake_failures_total',
    {
      reason: [
        'no-shared-cipher',
        'old-version',
        'not-tls',
        'certificate-refused',
        'refused',
        'closed',
        'timeout',
        'shutdown',
        'other',
      ],
    },
    'TLS handshakes that failed, by reason. certificate-refused: the client does not trust ours.',
  ),
  tlsCertificateExpirySeconds: gauge(
    'postern_tls_certificate_expiry_seconds',
    { certificate: 'fixed in code' },
    'Unix time at which the first certificate of a use ends: default (`tls.certificate`), sni, client-ca.',
    'max',
  ),
  eventLoopLagSeconds: gauge(
    'postern_event_loop_lag_seconds',
    { worker: 'workers' },
    'Delay of the event loop in the last 15 to 30 seconds, 99th percentile.',
    'max',
  ),
  stress: gauge(
    'postern_stress',
    { worker: 'workers' },
    'Whether a worker is so loaded that the limits under limits.stress hold: 1, otherwise 0.',
    'max',
  ),
  logLinesDroppedTotal: counter(
    'postern_log_lines_dropped_total',
    none,
    'Log lines dropped because stdout did not take them in time.',
  ),
  processResidentBytes: gauge(
    'postern_process_resident_bytes',
    { worker: 'workers' },
    "Resident memory of a worker's process (with mapped queue pages), and of the primary.",
  ),
  processHeapBytes: gauge(
    'postern_process_heap_bytes',
    { worker: 'workers' },
    "JavaScript heap in use in a worker's process, and in the primary.",
  ),
  processCpuSecondsTotal: counter(
    'postern_process_cpu_seconds_total',
    { worker: 'workers' },
    "CPU seconds, user and system, of a worker's slot over all its processes, and of the primary.",
  ),
} satisfies Record<string, MetricRow>;

/** Known to the primary alone. */
export const primaryMetrics = {
  buildInfo: gauge(
    'postern_build_info',
    { version: 'fixed in code' },
    'Always 1; the version is in the label.',
  ),
  workersReady: gauge('postern_workers_ready', none, 'Workers that accept mail.'),
  workerRestartsTotal: counter(
    'postern_worker_restarts_total',
    none,
    'Workers that died without being told to and were replaced.',
  ),
  scrapeWorkersMissing: gauge(
    'postern_scrape_workers_missing',
    none,
    'Workers that did not answer this scrape in time; their last known values are in it.',
  ),
  queueQuarantinedFiles: gauge(
    'postern_queue_quarantined_files',
    none,
    'Queue files set aside because they were damaged or ended their workers, and not yet salvaged.',
  ),
  diskFreeBytes: gauge(
    'postern_disk_free_bytes',
    none,
    'Bytes that Postern can still write on the file system of dataDir.',
  ),
  diskReserveBytes: gauge(
    'postern_disk_reserve_bytes',
    none,
    'The reserve (limits.diskReserve): with less than 1 MiB for each worker above it free, MAIL is answered 452.',
  ),
} satisfies Record<string, MetricRow>;

/** In the order of the exposition. */
export const catalogue: readonly MetricRow[] = [
  ...Object.values<MetricRow>(primaryMetrics),
  ...Object.values<MetricRow>(workerMetrics),
];

export const catalogueByName: ReadonlyMap<string, MetricRow> = new Map(
  catalogue.map((row) => [row.name, row]),
);
