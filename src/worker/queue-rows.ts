/** What the spool holds as the admin API tells it: rows, details, figures. Pure; queue-calls.ts asks for it. */
import { routeOf } from '../base/destination.js';
import type { QueueDetail, QueueRow, QueueStats, RouteLoad } from '../base/messages.js';
import type { QueuedMessage, Spool, SpoolStats } from '../queue/spool.js';

// A page has up to 1000 rows and a message up to thousands of recipients: together they must not fill the primary.
const recipientsOfRow = 20;

export function toStats(stats: SpoolStats, nowMs: number): QueueStats {
  const oldest = stats.oldestArrivedAtMs;
  return {
    messages: { ...stats.messages },
    bytes: stats.bytes,
    oldestSeconds: oldest === undefined ? 0 : Math.max(0, (nowMs - oldest) / 1000),
    files: stats.files,
  };
}

/** @param due Spool.due @param resting hops that rest, by route: all that the config has */
export function toRouteLoads(
  due: ReturnType<Spool['due']>,
  resting: ReadonlyMap<string, number>,
): RouteLoad[] {
  const loads = new Map<string, RouteLoad>();
  const loadOf = (route: string): RouteLoad => {
    const missing = resting.has(route) ? {} : ({ missing: true } as const);
    const load = loads.get(route) ?? { route, waiting: 0, hopsResting: 0, ...missing };
    loads.set(route, load);
    return load;
  };
  for (const [destination, { count }] of due) if (count > 0) loadOf(routeOf(destination)).waiting += count;
  for (const [route, hops] of resting) if (hops > 0) loadOf(route).hopsResting = hops;
  return [...loads.values()].sort((a, b) => (a.route < b.route ? -1 : 1));
}

/**
 * Which worker tells, and when the relay will try what is due for a destination: its hops may rest. Infinity: not
 * before an operator thaws the route.
 */
export interface RowSource {
  readonly slot: number;
  readonly triedAtMs: (destination: string, dueAtMs: number) => number;
}

/** A line of a list: of many recipients only the first. */
export function toRow(message: QueuedMessage, source: RowSource): QueueRow {
  const left = message.recipients.length - recipientsOfRow;
  const row = rowOf(message, source, message.recipients.slice(0, recipientsOfRow));
  return left > 0 ? { ...row, moreRecipients: left } : row;
}

function rowOf(
  message: QueuedMessage,
  { slot, triedAtMs }: RowSource,
  recipients: QueuedMessage['recipients'],
): QueueRow {
  const waits = message.state === 'active' || message.state === 'deferred';
  return {
    id: message.id,
    slot,
    state: message.state,
    bytes: message.bytes,
    arrivedAt: isoTime(message.arrivedAtMs),
    nextAttemptAt: waits ? timeOrNull(nextAttemptAtMs(message, triedAtMs)) : null,
    attempts: message.attempts,
    from: message.reversePath,
    recipients: recipients.map(({ address, route, state, lastReply }) => ({
      address,
      route,
      state,
      lastReply,
    })),
  };
}

/** Of the destinations that still have something to do, the first to be tried. */
function nextAttemptAtMs(message: QueuedMessage, triedAtMs: RowSource['triedAtMs']): number {
  const pending = new Set(
    message.recipients.filter(({ state }) => state === 'pending').map(({ route }) => route),
  );
  const times = message.routes.filter(({ route }) => pending.has(route));
  return Math.min(...times.map((progress) => triedAtMs(progress.route, progress.nextAttemptAtMs)));
}

/** @param head the stored bytes from the top, as many as are to be shown of a header section */
export function toDetail(message: QueuedMessage, source: RowSource, head: Buffer): QueueDetail {
  return {
    ...rowOf(message, source, message.recipients),
    listener: message.listener,
    clientAddress: message.clientAddress,
    clientName: message.clientName,
    user: message.user,
    sessionId: message.sessionId,
    ret: message.ret ?? '',
    envelopeId: message.envelopeId ?? '',
    dsn: message.recipients.flatMap(dsnOf),
    parked: message.parked,
    attemptLog: message.attemptLog.map(({ route, atMs, hop, reply }) => ({
      route,
      at: isoTime(atMs),
      hop,
      reply,
    })),
    header: headerOf(head),
  };
}

function dsnOf({
  address,
  notify,
  originalRecipient,
}: QueuedMessage['recipients'][number]): QueueDetail['dsn'] {
  if (notify === undefined && originalRecipient === undefined) return [];
  return [
    {
      address,
      ...(notify === undefined ? {} : { notify: [...notify] }),
      ...(originalRecipient === undefined ? {} : { originalRecipient }),
    },
  ];
}

function headerOf(head: Buffer): string {
  const end = head.indexOf('\r\n\r\n');
  return (end < 0 ? head : head.subarray(0, end + 2)).toString('utf8');
}

function timeOrNull(ms: number): string | null {
  return ms === Infinity ? null : isoTime(ms);
}

/** A time that no clock could have made (a damaged or foreign record) must not fail the whole page. */
function isoTime(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? new Date(0).toISOString() : date.toISOString();
}
