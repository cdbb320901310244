/**
 * What can happen to a message in the queue, as pure functions from record to record. Nothing here writes, waits or
 * knows the time; the spool commits what these return.
 */
import type { MessageRecord, RecordOutline } from './record.js';
import type {
  Attempt,
  AttemptNote,
  MessageState,
  NewEnvelope,
  QueuedMessage,
  QueuedRecipient,
  RecipientResult,
  RouteProgress,
  StoredEnvelope,
} from './spool.js';

// Characters; as spool.ts promises.
const lastReplyLimit = 512;
const loggedReplyLimit = 256;
const loggedHopLimit = 256;
/** What `queue show` needs to tell the story of a message, in a record that is written at every deferral. */
const maxLoggedAttempts = 10;
/** Attempts that fell with their worker, until the message is tried alone among its like, and until it is parked. */
const deathsToSuspect = 2;
const deathsToPark = 3;

/** One line of printable ASCII: it goes to terminals and logs, and a next hop wrote it. */
function oneLine(text: string, limit: number): string {
  return text.slice(0, limit).replaceAll(/[^\x20-\x7e]/g, '?');
}

export interface StoredBody {
  readonly bytes: number;
  readonly chunks: number;
  readonly crc32: number;
}

/** The first attempt is counted here already, so that starting it costs no commit. */
export function newRecord(envelope: NewEnvelope, stored: StoredBody): MessageRecord {
  const routes = [...new Set(envelope.recipients.map((recipient) => recipient.route))];
  return {
    reversePath: envelope.reversePath,
    body: envelope.body,
    smtpUtf8: envelope.smtpUtf8,
    arrivedAtMs: envelope.arrivedAtMs,
    listener: envelope.listener,
    clientAddress: envelope.clientAddress,
    clientName: envelope.clientName,
    user: envelope.user,
    sessionId: envelope.sessionId,
    ret: envelope.ret,
    envelopeId: envelope.envelopeId,
    isNotification: envelope.isNotification === true,
    held: false,
    parked: '',
    bytes: stored.bytes,
    chunks: stored.chunks,
    crc32: stored.crc32,
    moves: 0,
    recipients: envelope.recipients.map((recipient) => ({
      address: recipient.address,
      route: recipient.route,
      state: 'pending',
      lastReply: '',
      notify: recipient.notify,
      originalRecipient: recipient.originalRecipient,
    })),
    routes: routes.map((route) => newProgress(route, envelope.arrivedAtMs)),
    attemptLog: [],
  };
}

/** As it was when it left a queue. A destination that nothing is known of is as that of a new message. */
export function restoredRecord(envelope: StoredEnvelope, stored: StoredBody): MessageRecord {
  const fresh = newRecord(envelope, stored);
  const known = new Map(envelope.routes.map((progress) => [progress.route, progress]));
  return {
    ...fresh,
    held: envelope.held,
    parked: oneLine(envelope.parked, lastReplyLimit),
    recipients: fresh.recipients.map((recipient, i) => ({
      ...recipient,
      state: envelope.recipients[i]?.state ?? 'pending',
      lastReply: oneLine(envelope.recipients[i]?.lastReply ?? '', lastReplyLimit),
    })),
    routes: fresh.routes.map((progress) => ({ ...progress, ...known.get(progress.route) })),
    attemptLog: envelope.attemptLog.slice(-maxLoggedAttempts).map(loggedAttempt),
  };
}

function newProgress(route: string, arrivedAtMs: number): RouteProgress {
  return {
    route,
    nextAttemptAtMs: arrivedAtMs,
    attempts: 1,
    ended: 0,
    tried: false,
    delayNotified: false,
  };
}

function loggedAttempt(attempt: Attempt): Attempt {
  return {
    route: attempt.route,
    atMs: attempt.atMs,
    hop: oneLine(attempt.hop, loggedHopLimit),
    reply: oneLine(attempt.reply, loggedReplyLimit),
  };
}

function withRoute(
  record: MessageRecord,
  route: string,
  change: (progress: RouteProgress) => RouteProgress,
): readonly RouteProgress[] {
  return record.routes.map((progress) => (progress.route === route ? change(progress) : progress));
}

export function beginAttempt(record: MessageRecord, route: string): MessageRecord {
  return {
    ...record,
    routes: withRoute(record, route, (progress) => ({ ...progress, attempts: progress.attempts + 1 })),
  };
}

export function settleAttempt(
  record: MessageRecord,
  route: string,
  results: readonly RecipientResult[],
  nextAttemptAtMs: number,
  note: AttemptNote = {},
): MessageRecord {
  const byAddress = new Map(results.map((result) => [result.address, result]));
  const settle = (recipient: QueuedRecipient): QueuedRecipient => {
    const result = recipient.route === route ? byAddress.get(recipient.address) : undefined;
    if (result === undefined) return recipient;
    return { ...recipient, state: result.state, lastReply: oneLine(result.lastReply, lastReplyLimit) };
  };
  return {
    ...record,
    recipients: record.recipients.map(settle),
    routes: withRoute(record, route, (progress) => ({
      ...progress,
      nextAttemptAtMs,
      // Forgiven before it began, an attempt must not count as a credit.
      ended: Math.min(progress.attempts, progress.ended + 1),
      tried: true,
      delayNotified: progress.delayNotified || note.delayNotified === true,
    })),
    attemptLog:
      note.attempt === undefined
        ? record.attemptLog
        : [...record.attemptLog.slice(1 - maxLoggedAttempts), loggedAttempt(note.attempt)],
  };
}

// ---- deaths ------------------------------------------------------------------------------------------------------

/** Attempts that began and neither ended nor were given back. */
function deathsOf(progress: RouteProgress): number {
  return progress.attempts - progress.ended;
}

/**
 * Workers fell while this was tried; one may be chance. The first attempt is counted when the message is stored, so that
 * after a crash all that was only waiting has one such attempt as well: those go on side by side.
 */
export function isSuspect(progress: RouteProgress): boolean {
  return deathsOf(progress) >= deathsToSuspect;
}

/** Why it is to be parked, if the worker fell too often while one of its destinations was tried; else undefined. */
export function poisonOf(record: RecordOutline): string | undefined {
  if (record.parked !== '') return undefined;
  const worst = pendingRoutes(record).find((progress) => deathsOf(progress) >= deathsToPark);
  if (worst === undefined) return undefined;
  return `${deathsOf(worst)} workers ended while it was being delivered by route ${worst.route}`;
}

/** Nobody blames it for the attempts that were cut short. */
export function forgive<R extends RecordOutline>(record: R): R {
  if (record.routes.every((progress) => deathsOf(progress) === 0)) return record;
  return { ...record, routes: record.routes.map((progress) => ({ ...progress, ended: progress.attempts })) };
}

// ---- the operator --------------------------------------------------------------------------------------------------

export function holdMessage(record: MessageRecord): MessageRecord {
  return { ...record, held: true };
}

/** An operator releases a message to see it move: it is due at once. A parked one begins with a clean record. */
export function releaseMessage(record: MessageRecord, nowMs: number): MessageRecord {
  const cleared = record.parked === '' ? record : forgive(record);
  return {
    ...cleared,
    held: false,
    parked: '',
    routes: cleared.routes.map((route) => dueAt(route, nowMs)),
  };
}

/** Due at once; what had failed is pending again. */
export function retryMessage(record: MessageRecord, nowMs: number): MessageRecord {
  return {
    ...releaseMessage(record, nowMs),
    recipients: record.recipients.map((recipient) =>
      recipient.state === 'failed' ? { ...recipient, state: 'pending' } : recipient,
    ),
  };
}

function dueAt(progress: RouteProgress, nowMs: number): RouteProgress {
  return { ...progress, nextAttemptAtMs: Math.min(progress.nextAttemptAtMs, nowMs) };
}

/** The routes that still have something to do. */
export function pendingRoutes(record: RecordOutline): readonly RouteProgress[] {
  if (record.routes.length === 1)
    return record.recipients.some(({ state }) => state === 'pending') ? record.routes : [];
  const routes = new Set<string>();
  for (const recipient of record.recipients) if (recipient.state === 'pending') routes.add(recipient.route);
  return record.routes.filter((progress) => routes.has(progress.route));
}

/** Nothing is left to do and nobody is left to be told: it leaves the queue. */
export function isDone(record: MessageRecord): boolean {
  return record.recipients.every(({ state }) => state === 'delivered' || state === 'bounced');
}

export function stateOf(record: RecordOutline, pending = pendingRoutes(record)): MessageState {
  if (record.held) return 'held';
  if (record.parked !== '') return 'parked';
  if (pending.length === 0) return 'failed';
  return pending.some((progress) => !progress.tried && progress.attempts === 1) ? 'active' : 'deferred';
}

/**
 * As the spool shows it. For a lease, attempts and next attempt are those of its route; for a list, the most attempts
 * and the earliest next one among the routes that are pending.
 */
export function toQueuedMessage(id: string, record: MessageRecord, route?: string): QueuedMessage {
  const pending = route === undefined ? pendingRoutes(record) : [];
  const shown =
    route === undefined
      ? pending.length > 0
        ? pending
        : record.routes
      : record.routes.filter((r) => r.route === route);
  return {
    id,
    reversePath: record.reversePath,
    recipients: record.recipients,
    routes: record.routes,
    body: record.body,
    smtpUtf8: record.smtpUtf8,
    arrivedAtMs: record.arrivedAtMs,
    listener: record.listener,
    clientAddress: record.clientAddress,
    clientName: record.clientName,
    user: record.user,
    sessionId: record.sessionId,
    ret: record.ret,
    envelopeId: record.envelopeId,
    isNotification: record.isNotification,
    held: record.held,
    parked: record.parked,
    attemptLog: record.attemptLog,
    state: stateOf(record),
    bytes: record.bytes,
    attempts: Math.max(...shown.map((progress) => progress.attempts)),
    nextAttemptAtMs: Math.min(...shown.map((progress) => progress.nextAttemptAtMs)),
  };
}

/**
 * As this clock has it: where the message came, or was tried last, in what is now the future, the clock was set back
 * since, and its next attempt is due as long from now as it was then (F-30). Else mail would wait for the old time.
 */
export function afterSetBack<R extends RecordOutline>(record: R, nowMs: number): R {
  const aheadMs = Math.max(record.arrivedAtMs, record.attemptLog.at(-1)?.atMs ?? 0) - nowMs;
  if (aheadMs <= 0) return record;
  const routes = record.routes.map((progress) => ({
    ...progress,
    nextAttemptAtMs: progress.nextAttemptAtMs - aheadMs,
  }));
  return { ...record, routes };
}
