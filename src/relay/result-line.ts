/**
 * The log line of one kind of result of one attempt: relay.delivered, relay.deferred, relay.failed. It stays below
 * 4 KiB, up to which a pipe keeps it in one piece; addresses and replies are others' words and may be long.
 */
import { routeOf } from '../base/destination.js';
import { jsonBytes, loggedAddresses } from '../base/logged-values.js';
import type { Lease, RecipientResult } from '../queue/spool.js';

import type { CarryOutcome } from './carrier.js';
import { attemptsOf } from './retry-schedule.js';

/** Of the hop, as JSON: host names and ordinary Maildir paths fit. */
const loggedHopBytes = 512;

export interface ResultLine {
  readonly qid: string;
  readonly sid: string;
  readonly route: string;
  /** Where the route looks MX up: `<route>/<domain>`. */
  readonly destination?: string;
  readonly hop: string;
  /** Of the connection to a network hop: the version, or 'none'. */
  readonly tls?: string;
  readonly to: readonly string[];
  /** All of them, whether named in `to` or not. */
  readonly recipients: number;
  readonly reply: string;
  readonly attempts: number;
  readonly seconds: number;
}

/** @param results of one state, at least one; the reply logged is that of the first */
export function resultLine(
  lease: Lease,
  outcome: Pick<CarryOutcome, 'hop' | 'tls' | 'restsUntilMs'>,
  results: readonly RecipientResult[],
  seconds: number,
): ResultLine {
  const { message } = lease;
  const route = routeOf(lease.route);
  return {
    qid: message.id,
    sid: message.sessionId,
    route,
    ...(lease.route === route ? {} : { destination: cutJson(lease.route, loggedHopBytes) }),
    hop: cutJson(outcome.hop, loggedHopBytes),
    ...(outcome.tls === undefined ? {} : { tls: outcome.tls }),
    to: loggedAddresses(results.map(({ address }) => address)),
    recipients: results.length,
    reply: withRest(results[0], outcome.restsUntilMs),
    attempts: attemptsOf(lease),
    seconds: Math.round(seconds * 1e6) / 1e6,
  };
}

/** In the log only: in the queue it would be read long after that time. */
function withRest(result: RecipientResult | undefined, restsUntilMs: number | undefined): string {
  const reply = result?.lastReply ?? '';
  if (restsUntilMs === undefined || result?.state === 'delivered') return reply;
  return `${reply}; hop rests until ${new Date(restsUntilMs).toISOString()}`;
}

function cutJson(text: string, maxBytes: number): string {
  let cut = text.slice(0, maxBytes);
  while (jsonBytes(cut) > maxBytes) cut = cut.slice(0, Math.floor(cut.length * 0.9));
  return cut;
}
