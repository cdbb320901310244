/**
 * What the primary and its workers say to each other over the cluster channel, and what the admin API answers.
 * Plain JSON values only. The config travels as `unknown` here because base knows no config; both ends cast it once.
 */
import type { OverLimit, TallyReport } from './tallies.js';

// ---- metrics ---------------------------------------------------------------------------------------------------

export interface HistogramValue {
  sum: number;
  count: number;
  /** Per bucket, not cumulative; the last one is +Inf. */
  buckets: number[];
}

/** By metric name; each sample has its label values in the catalogue's order. */
export type MetricsSnapshot = Record<string, { labels: string[]; value: number | HistogramValue }[]>;

// ---- queue calls of the admin API, answered by the worker that holds the message ----------------------------------

export type QueueState = 'active' | 'deferred' | 'held' | 'parked' | 'failed';

export interface QueueRow {
  id: string;
  slot: number;
  state: QueueState;
  bytes: number;
  arrivedAt: string;
  nextAttemptAt: string | null;
  attempts: number;
  from: string;
  recipients: {
    address: string;
    route: string;
    state: 'pending' | 'delivered' | 'failed' | 'bounced';
    lastReply: string;
  }[];
  /** In a list only the first few are named; how many more it has. Absent: none. */
  moreRecipients?: number;
}

export interface QueueDetail extends QueueRow {
  listener: string;
  clientAddress: string;
  clientName: string;
  user: string;
  sessionId: string;
  /** RET of RFC 3461 §4.3; '' where it was not given. */
  ret: string;
  /** ENVID of RFC 3461 §4.4, still xtext; '' where it was not given. */
  envelopeId: string;
  /** NOTIFY and ORCPT of the recipients that had one of them; an empty list is NOTIFY=NEVER. RFC 3461 §4.1, §4.2. */
  dsn: { address: string; notify?: string[]; originalRecipient?: string }[];
  /** Why it was parked; '' otherwise. */
  parked: string;
  /** The last few attempts, oldest first. */
  attemptLog: { route: string; at: string; hop: string; reply: string }[];
  /** The stored header section, at most 64 KiB. */
  header: string;
}

export interface QueueStats {
  messages: Record<QueueState, number>;
  bytes: number;
  oldestSeconds: number;
  files: number;
  /** By name, sorted; only routes that have mail to try or a hop that rests. */
  routes?: RouteLoad[];
  /** False: a worker was missing, or has not read all its queue files. Added by the primary. */
  complete?: boolean;
}

export interface RouteLoad {
  route: string;
  /** Messages with recipients to try there; one for several domains of an mx route counts once for each. */
  waiting: number;
  /** Next hops that are left alone because they failed. */
  hopsResting: number;
  /** The config no longer has it. */
  missing?: true;
}

/** As QueueFilter of queue/spool.ts: all that are given must hold. */
export interface QueueSelection {
  state?: QueueState;
  route?: string;
  domain?: string;
  sender?: string;
  recipient?: string;
  olderThanMs?: number;
  youngerThanMs?: number;
  error?: string;
}

export interface QueueShape {
  ageMinutes: number[];
  rows: { domain: string; counts: number[] }[];
}

/** What a change of many messages would reach. */
export interface QueueSurvey {
  found: number;
  bytes: number;
  /** Of the recipients, sorted; a bounded number of them. */
  domains: string[];
}

export interface SalvageReport {
  /** Where the file lies now. */
  file: string;
  salvaged: number;
  /** In the queue already. */
  known: number;
  unreadable: number;
  /** Pages that are lost: whole messages may have been in them, of which nothing is left to count. Then `unreadable` is
   *  the least there were. */
  damagedPlaces: number;
}

export type QueueCall =
  | { method: 'list'; filter: QueueSelection; offset: number; limit: number }
  /** Ids in ascending order, which is that of arrival. `after`: only greater ones; `limit`: at most so many. */
  | { method: 'select'; filter: QueueSelection; after?: string; limit?: number }
  /** Rows of those that are there; others are left out. */
  | { method: 'rows'; ids: string[] }
  /** How many of these are there, their bytes and the domains of their recipients. */
  | { method: 'survey'; ids: string[] }
  | { method: 'show' | 'hold' | 'release' | 'retry' | 'delete'; id: string }
  /** Several at once; the answer says how many were here and done. */
  | { method: 'change'; change: 'hold' | 'release' | 'retry' | 'delete'; ids: string[] }
  | { method: 'stats' }
  | { method: 'shape' }
  /** The whole envelope of a message (StoredEnvelope as JSON), for an export. */
  | { method: 'envelope'; id: string }
  /** Stored bytes, base64, at most 512 KiB a call; empty at the end. */
  | { method: 'read'; id: string; offset: number; limit: number }
  /** One message of an export: begun at one worker, its bytes in order, then committed there or dropped. */
  | { method: 'import-begin'; id: string }
  /** `offset`: bytes written before; another number is a call lost or made twice. */
  | { method: 'import-write'; id: string; offset: number; data: string }
  | { method: 'import-commit'; id: string; bytes: number; envelope: unknown }
  | { method: 'import-drop'; id: string }
  /** Reads a quarantined file and stores what is whole in it again. */
  | { method: 'salvage'; file: string };

export type QueueValue =
  /** `complete`, which the primary adds: no worker was missing, and every queue file has been read. */
  | { total: number; messages: QueueRow[]; complete?: boolean }
  /** `total`: all that fit, also those that `after` and `limit` leave out. */
  | { ids: string[]; total: number; complete?: boolean }
  | QueueSurvey
  | { done: number }
  | QueueDetail
  | QueueStats
  | QueueShape
  | { envelope: unknown; bytes: number }
  | { data: string }
  | SalvageReport
  | null;

export type QueueAnswer = { ok: true; value: QueueValue } | { ok: false; code: string; message: string };

// ---- primary → worker --------------------------------------------------------------------------------------------

export type ToWorker =
  /** The first message. `config` is the checked, frozen Config; `adopt` the queue files of processes that are gone. */
  | {
      type: 'init';
      config: unknown;
      slot: number;
      incarnation: string;
      adopt: string[];
      /** See Spool.adopt. */
      blame: boolean;
      /** Names of routes that an operator has frozen: nothing is tried there. */
      frozen: string[];
      /** Base64: the keys of TLS session tickets come from it. Never in a log. */
      ticketSecret: string;
    }
  /** More queue files whose process is gone. */
  | { type: 'adopt'; files: string[]; blame: boolean }
  /** The whole set each time. */
  | { type: 'freeze'; routes: string[] }
  /** A new one: tickets made before are worth nothing from now on. */
  | { type: 'ticket-secret'; secret: string }
  /** Stop accepting, finish as promise 8 says, exit 0; at the bound, cut. */
  | { type: 'drain'; reason: 'stop' | 'reload'; boundMs: number }
  /** Keys at a limit across all workers: no more of that kind from them. */
  | { type: 'over-limit'; over: OverLimit }
  /** Keys of base/known-logins.ts that other workers told of. */
  | { type: 'known-logins'; keys: string[] }
  | { type: 'snapshot'; id: number }
  | { type: 'call'; id: number; call: QueueCall };

// ---- worker → primary --------------------------------------------------------------------------------------------

export type FromWorker =
  /** Ready for 'init'. */
  | { type: 'online' }
  /** All listeners are open. `refusing`: as in heartbeat. */
  | { type: 'ready'; refusing?: string }
  /** Cannot run: the primary stops everything (a start) or gives the reload up. `code` as in base/errors. */
  | { type: 'unable'; code: string; message: string }
  /** What the spool is doing to which file, for the attribution of a death. */
  | { type: 'phase'; kind: 'opening' | 'scanning' | 'draining' | 'idle'; file: string }
  /** A queue file that is closed in this process and of no use to any: refused as damaged, or only damage is left. */
  | { type: 'unusable'; file: string; reason: string }
  /** Every second; a worker silent for 30 s is killed. `connections`: open now. `refusing`: why MAIL gets 4xx now,
   *  one sentence; '' or absent while it does not. */
  | { type: 'heartbeat'; leased: number; connections: number; files: string[]; refusing?: string }
  /** What changed in the tallies per client network, at most every 200 ms. */
  | { type: 'tallies'; report: TallyReport }
  /** Who logged in from where, by the keys of base/known-logins.ts; each once an hour at most. */
  | { type: 'known-logins'; keys: string[] }
  | { type: 'snapshot'; id: number; metrics: MetricsSnapshot }
  /** The last snapshot, sent before an orderly exit. */
  | { type: 'farewell'; metrics: MetricsSnapshot }
  | { type: 'answer'; id: number; answer: QueueAnswer };

// ---- admin API ---------------------------------------------------------------------------------------------------

export interface WorkerStatus {
  slot: number;
  pid: number;
  state: 'starting' | 'ready' | 'draining';
  upSeconds: number;
  restarts: number;
  connections: number;
  /** Why it refuses mail now, one sentence; '' while it does not. */
  refusing?: string;
}

/** GET /api/v1/status */
export interface Status {
  version: string;
  hostname: string;
  state: 'starting' | 'ready' | 'draining';
  upSeconds: number;
  pid: number;
  /** How many workers there should be. */
  slots: number;
  workers: WorkerStatus[];
  queue: QueueStats;
  quarantined: string[];
  /** Quarantined files that were salvaged, until somebody removes them; the first hundred. */
  salvaged: string[];
  /** Frozen routes. */
  frozen: string[];
}

/** GET /api/v1/routes */
export interface RouteStatus {
  name: string;
  frozen: boolean;
}

/** POST /api/v1/reload: 200 with this, or 409 when refused, with the keys that need a restart. */
export type ReloadAnswer =
  /** `reread`: the files that the config names and the new workers have read, whether they differ or not;
   *  `changedFiles`: those of them that differ from what they were at the start or the last reload. */
  | { ok: true; changed: string[]; reread: string[]; changedFiles: string[]; workers: number }
  | { ok: false; code: string; message: string; keys: string[] };
