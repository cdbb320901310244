/**
 * What can happen to a message in the queue, as pure functions from record to record. Nothing here writes, waits or
 * knows the time; the spool commits what these return.
 */
import type { MessageRecord, RouteProgress } from './record.js';
import type { MessageState, NewEnvelope, QueuedMessage, QueuedRecipient, RecipientResult } from './spool.js';

const lastReplyLimit = 512; // characters; as spool.ts promises

/** One line of printable ASCII: it goes to terminals and logs, and a next hop wrote it. */
function oneLine(text: string): string {
  return text.slice(0, lastReplyLimit).replaceAll(/[^\x20-\x7e]/g, '?');
}

/** The first attempt is counted here already, so that starting it costs no commit. */
export function newRecord(
  envelope: NewEnvelope,
  stored: { bytes: number; chunks: number; crc32: number },
): MessageRecord {
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
    held: false,
    bytes: stored.bytes,
    chunks: stored.chunks,
    crc32: stored.crc32,
    recipients: envelope.recipients.map(({ address, route }) => ({
      address,
      route,
      state: 'pending',
      lastReply: '',
    })),
    routes: routes.map((route) => ({
      route,
      nextAttemptAtMs: envelope.arrivedAtMs,
      attempts: 1,
      tried: false,
    })),
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
): MessageRecord {
  const byAddress = new Map(results.map((result) => [result.address, result]));
  const settle = (recipient: QueuedRecipient): QueuedRecipient => {
    const result = recipient.route === route ? byAddress.get(recipient.address) : undefined;
    if (result === undefined) return recipient;
    return { ...recipient, state: result.state, lastReply: oneLine(result.lastReply) };
  };
  return {
    ...record,
    recipients: record.recipients.map(settle),
    routes: withRoute(record, route, (progress) => ({ ...progress, nextAttemptAtMs, tried: true })),
  };
}

export function holdMessage(record: MessageRecord): MessageRecord {
  return { ...record, held: true };
}

/** An operator releases a message to see it move: it is due at once. */
export function releaseMessage(record: MessageRecord, nowMs: number): MessageRecord {
  return { ...record, held: false, routes: record.routes.map((route) => dueAt(route, nowMs)) };
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
export function pendingRoutes(record: MessageRecord): RouteProgress[] {
  const routes = new Set<string>();
  for (const recipient of record.recipients) if (recipient.state === 'pending') routes.add(recipient.route);
  return record.routes.filter((progress) => routes.has(progress.route));
}

export function isDelivered(record: MessageRecord): boolean {
  return record.recipients.every((recipient) => recipient.state === 'delivered');
}

export function stateOf(record: MessageRecord): MessageState {
  if (record.held) return 'held';
  const pending = pendingRoutes(record);
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
    body: record.body,
    smtpUtf8: record.smtpUtf8,
    arrivedAtMs: record.arrivedAtMs,
    listener: record.listener,
    clientAddress: record.clientAddress,
    clientName: record.clientName,
    user: record.user,
    sessionId: record.sessionId,
    state: stateOf(record),
    bytes: record.bytes,
    attempts: Math.max(...shown.map((progress) => progress.attempts)),
    nextAttemptAtMs: Math.min(...shown.map((progress) => progress.nextAttemptAtMs)),
  };
}
