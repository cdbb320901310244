/** Which messages an operator means: what the index can answer first, then what only the record knows. Pure. */
import { routeOf } from '../base/destination.js';
import type { MessageRecord } from './record.js';
import type { MessageState, QueueFilter } from './spool.js';

/** What is known of a message without reading it. */
export interface Outline {
  readonly state: MessageState;
  readonly arrivedAtMs: number;
  readonly routes: readonly string[];
}

export function outlineFits(outline: Outline, filter: QueueFilter, nowMs: number): boolean {
  const ageMs = nowMs - outline.arrivedAtMs;
  return (
    (filter.state === undefined || outline.state === filter.state) &&
    (filter.olderThanMs === undefined || ageMs > filter.olderThanMs) &&
    (filter.youngerThanMs === undefined || ageMs < filter.youngerThanMs) &&
    (filter.route === undefined ||
      outline.routes.some((destination) => routeOf(destination) === filter.route))
  );
}

/** False: the outline says it all. */
export function needsRecord({ domain, sender, recipient, error }: QueueFilter): boolean {
  return domain !== undefined || sender !== undefined || recipient !== undefined || error !== undefined;
}

export function recordFits(record: MessageRecord, filter: QueueFilter): boolean {
  const { domain, sender, recipient, error } = filter;
  const { reversePath, recipients } = record;
  return (
    (domain === undefined ||
      recipients.some(({ address }) => domainOfAddress(address) === domain.toLowerCase())) &&
    (sender === undefined || addressFits(reversePath, sender)) &&
    (recipient === undefined || recipients.some(({ address }) => addressFits(address, recipient))) &&
    (error === undefined ||
      recipients.some(({ lastReply }) => lastReply.toLowerCase().includes(error.toLowerCase())))
  );
}

/** Lower case; '' where there is none. */
export function domainOfAddress(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase();
}

function addressFits(address: string, wanted: string): boolean {
  if (wanted === '<>') return address === '';
  const lower = wanted.toLowerCase();
  if (lower.startsWith('@')) return address.toLowerCase().endsWith(lower);
  return address.toLowerCase() === lower;
}
