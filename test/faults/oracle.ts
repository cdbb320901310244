/**
 * The oracle of all fault suites. The sender notes each message it begins to send and what became of it, the hop notes
 * each message it takes; after the fault and a drain both lists must agree:
 *
 *   lost        acknowledged, and neither delivered nor notified: none may be
 *   invented    delivered, and never sent
 *   forbidden   delivered, though its sender was answered 4xx or 5xx
 *   changed     delivered with other bytes or to others than it was sent
 *   unexplained delivered twice, and no kill fell between the hop's 250 and the removal
 *
 * It judges records and knows of no process. Times are monotonic milliseconds (monotonic.ts).
 */

/** 'unknown': the connection ended before the reply to the end of data was read whole. */
type SendOutcome = 'acked' | 'refused' | 'unknown';

export interface Sent {
  readonly sha256: string;
  readonly recipients: readonly string[];
  outcome: SendOutcome;
  /** When the last byte of the complete reply was read. */
  answeredAtMs: number;
}

export interface Taken {
  readonly id: string;
  readonly sha256: string;
  readonly recipients: readonly string[];
  /** When the hop had the end of data, just before it answered 250. */
  readonly takenAtMs: number;
}

/** Something that ended processes, or a fault that made one end itself. */
export interface Blow {
  readonly kind: string;
  readonly atMs: number;
  /** When the last process that it ended was gone. */
  readonly untilMs: number;
}

interface Duplicate {
  readonly id: string;
  readonly firstAtMs: number;
  readonly againAtMs: number;
  /** The blow that explains it; undefined: nothing does. */
  readonly blow: Blow | undefined;
}

export interface Verdict {
  readonly sent: number;
  readonly acked: number;
  readonly refused: number;
  readonly unknown: number;
  readonly delivered: number;
  readonly notified: number;
  readonly lost: readonly string[];
  readonly invented: readonly string[];
  readonly forbidden: readonly string[];
  readonly changed: readonly string[];
  readonly duplicates: readonly Duplicate[];
  readonly unexplained: readonly Duplicate[];
}

/** A removal waits this long for company at most, then for its commit, which shares the disk with all others. */
const removalWindowMs = 1_000;
// The hop reads what the worker had sent before it died a little later than that.
const hopLagMs = 1_000;

export interface Evidence {
  readonly sent: ReadonlyMap<string, Sent>;
  readonly taken: readonly Taken[];
  readonly notified: ReadonlySet<string>;
  readonly blows: readonly Blow[];
}

export function judge({ sent, taken, notified, blows }: Evidence): Verdict {
  const byId = new Map<string, Taken[]>();
  for (const delivery of taken) {
    const before = byId.get(delivery.id);
    if (before === undefined) byId.set(delivery.id, [delivery]);
    else before.push(delivery);
  }
  const verdict = {
    sent: sent.size,
    acked: 0,
    refused: 0,
    unknown: 0,
    delivered: byId.size,
    notified: notified.size,
    lost: [] as string[],
    invented: [] as string[],
    forbidden: [] as string[],
    changed: [] as string[],
    duplicates: [] as Duplicate[],
    unexplained: [] as Duplicate[],
  };
  for (const [id, { outcome }] of sent) {
    verdict[outcome] += 1;
    if (outcome === 'acked' && !byId.has(id) && !notified.has(id)) verdict.lost.push(id);
  }
  for (const id of notified) if (!sent.has(id)) verdict.invented.push(id);
  for (const [id, deliveries] of byId) {
    const origin = sent.get(id);
    if (origin === undefined) verdict.invented.push(id);
    else if (origin.outcome === 'refused') verdict.forbidden.push(id);
    else if (!deliveries.every((delivery) => isSame(delivery, origin))) verdict.changed.push(id);
    verdict.duplicates.push(...duplicatesOf(deliveries, blows));
  }
  verdict.unexplained = verdict.duplicates.filter(({ blow }) => blow === undefined);
  return verdict;
}

function isSame(delivery: Taken, origin: Sent): boolean {
  return (
    delivery.sha256 === origin.sha256 &&
    delivery.recipients.length === origin.recipients.length &&
    origin.recipients.every((recipient) => delivery.recipients.includes(recipient))
  );
}

function duplicatesOf(deliveries: readonly Taken[], blows: readonly Blow[]): Duplicate[] {
  const found: Duplicate[] = [];
  const inOrder = deliveries.toSorted((a, b) => a.takenAtMs - b.takenAtMs);
  inOrder.reduce((first, again) => {
    const blow = blows.find(
      ({ atMs, untilMs }) =>
        untilMs >= first.takenAtMs - hopLagMs &&
        atMs <= first.takenAtMs + removalWindowMs &&
        atMs <= again.takenAtMs,
    );
    found.push({ id: first.id, firstAtMs: first.takenAtMs, againAtMs: again.takenAtMs, blow });
    return again;
  });
  return found;
}

/** Empty when all is as it must be; else one line for each thing that is not. */
export function faultsOf(verdict: Verdict): string[] {
  const { lost, invented, forbidden, changed, unexplained } = verdict;
  const lists = { lost, invented, forbidden, changed, unexplained: unexplained.map(({ id }) => id) };
  return Object.entries(lists)
    .filter(([, ids]) => ids.length > 0)
    .map(([what, ids]) => `${what}: ${ids.length} (${ids.slice(0, 5).join(', ')})`);
}
