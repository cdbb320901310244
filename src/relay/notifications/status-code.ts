/**
 * The Status field (RFC 3464 §2.3.4) of a recipient out of what is known of him: his action and his last reply. The
 * code is the hop's own where its reply begins with one, or ours where an obstacle of ours does. Pure.
 */

/** 'expanded' is not here: Postern has no lists and no aliases. */
export type Action = 'failed' | 'delayed' | 'delivered' | 'relayed';

/** What the relay puts before the last reply of a recipient whose time is over (outcomes.ts). */
export const expiredPrefix = 'expired: ';

export interface Diagnosis {
  /** `5.1.1`; its class fits the action. */
  readonly status: string;
  /** The reply without what the relay put before it. */
  readonly reply: string;
  readonly expired: boolean;
}

/** @param lastReply `550 5.1.1 No such user`, `5.6.7 the next hop …`, `expired: 451 4.2.0 …`, or a sentence */
export function diagnose(action: Action, lastReply: string): Diagnosis {
  const expired = action === 'failed' && lastReply.startsWith(expiredPrefix);
  const reply = expired ? lastReply.slice(expiredPrefix.length) : lastReply;
  // RFC 3463 §3.5, X.4.7. Class 4, though the delivery has failed: sent again, it may succeed (RFC 3463 §3.1).
  return { status: expired ? '4.4.7' : statusOf(action, reply), reply, expired };
}

const classes = { failed: '5', delayed: '4', delivered: '2', relayed: '2' } as const;

function statusOf(action: Action, reply: string): string {
  const found = /^(?:\d{3} )?([245]\.\d{1,3}\.\d{1,3})(?= |$)/.exec(reply)?.[1];
  const wanted = classes[action];
  return found?.startsWith(wanted) === true ? found : `${wanted}.0.0`;
}
