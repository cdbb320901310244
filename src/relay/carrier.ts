/** What a route's queue needs of whatever takes its mail away: SMTP and LMTP hops (hop-pool) or a Maildir. */
import type { Lease, RecipientResult } from '../queue/spool.js';

/** What one attempt did to one recipient. */
export interface CarryResult extends RecipientResult {
  /** The reply is the hop's own; false or absent: we say so (no connection, an obstacle of ours, expiry). */
  readonly fromHop?: boolean | undefined;
}

/**
 * Who answers for notifications of success once a recipient is delivered: 'final': nobody further, this was the
 * mailbox (Maildir, LMTP). 'relayed': a hop that does not speak DSN. 'dsn': a hop that took NOTIFY and will tell
 * itself. RFC 3461 §5.2.
 */
export type Handover = 'final' | 'relayed' | 'dsn';

export interface CarryOutcome {
  /** `host:port` or the Maildir's path, for the log: of what was tried last, or rests. */
  readonly hop: string;
  /** What the connection to it was in: `TLSv1.3`, or 'none'; undefined where there was no connection. */
  readonly tls?: string | undefined;
  /** One per address. */
  readonly results: readonly CarryResult[];
  readonly handover?: Handover | undefined;
  /** The hop may have the message although it counts as pending: the next attempt may make a second copy. */
  readonly ambiguous: boolean;
  /** The stored message is damaged; nothing of it was delivered by this attempt. */
  readonly corrupt: boolean;
  /** All hops rest after failures and none was asked: this was no attempt. */
  readonly untried?: boolean;
  /** Wall clock, milliseconds: until then the hop named is left alone. */
  readonly restsUntilMs?: number | undefined;
}

/** Nothing can be reached for now. */
export interface Outage {
  readonly hop: string;
  /** The last failure, one line. */
  readonly reason: string;
  /** Monotonic: what a jump of the wall clock does not add to. */
  readonly lastsMs: number;
  /** Wall clock, milliseconds; undefined while it is being tried. */
  readonly restsUntilMs: number | undefined;
}

export interface Carrier {
  /** What it tries first, for the log: `host:port`, or the Maildir's path. */
  readonly hop: string;
  /** One attempt for these recipients (distinct, not empty). Hops, disks and broken messages end in results, never throw. */
  carry(lease: Lease, addresses: readonly string[]): Promise<CarryOutcome>;
  /** > 0: nothing can be reached, and the mail is better left in the queue for so long. */
  pauseMs(): number;
  /** Undefined: something is known to work, or nothing was tried yet. */
  outage(): Outage | undefined;
  /** Whatever pauses it is to be tried again now. */
  endRests(): void;
  /** How many messages at once make sense: Infinity while something is known to work, else as many as it takes to find
   *  out, those under way included. At least 1. */
  readonly usefulLanes: number;
  /** No more carry() will come: ends what is idle. */
  close(): Promise<void>;
  /** Ends what is under way, at once. */
  cut(reason: string): void;
}

/** Of recipients that went different ways: 'relayed' where they differ, so that one of us tells each of them. */
export function handoverOfBoth(one: Handover | undefined, other: Handover | undefined): Handover | undefined {
  if (one === undefined || other === undefined || one === other) return one ?? other;
  return 'relayed';
}

/** All recipients alike. */
export function sameResult(
  addresses: readonly string[],
  state: RecipientResult['state'],
  lastReply: string,
): RecipientResult[] {
  return addresses.map((address) => ({ address, state, lastReply }));
}

/** What a lease is about. Each address once: two recipients that are spelt alike get one copy and one result. */
export function pendingAddresses({ message, route }: Lease): string[] {
  const addresses = new Set<string>();
  for (const recipient of message.recipients)
    if (recipient.route === route && recipient.state === 'pending') addresses.add(recipient.address);
  return [...addresses];
}
