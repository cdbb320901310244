/** What the children print of each message (children/churn.mjs), as the oracle takes it. */
import type { Sent } from './oracle.js';

export interface Events {
  readonly sent: ReadonlyMap<string, Sent>;
  /** When a message was first out of the queue's hands. */
  readonly deliveredAtMs: ReadonlyMap<string, number>;
}

export function readEvents(lines: readonly string[]): Events {
  const sent = new Map<string, Sent>();
  const deliveredAtMs = new Map<string, number>();
  for (const line of lines) {
    const [event, id = '', value = ''] = line.split(' ');
    const message = sent.get(id);
    if (event === 'sent')
      sent.set(id, { sha256: value, recipients: [], outcome: 'unknown', answeredAtMs: 0 });
    else if (event === 'given') deliveredAtMs.set(id, Number(value));
    else if (message !== undefined && (event === 'acked' || event === 'refused')) {
      message.outcome = event;
      message.answeredAtMs = Number(value);
    }
  }
  return { sent, deliveredAtMs };
}
