/**
 * Who is to be told what after an attempt: RFC 3461 §4.1 (NOTIFY) and §5.2 (which of us tells), RFC 5321 §6.1. Says
 * nothing of whether it can be told: addresses, routes and limits are the notifier's. Pure.
 */
import type { Lease, QueuedRecipient } from '../../queue/spool.js';
import type { CarryOutcome, CarryResult } from '../carrier.js';
import { minAttemptsToExpire } from '../retry-schedule.js';

import type { Action } from './status-code.js';

/** The `kind` label of relay_notifications_total. 'postmaster': a notification of ours that failed for good. */
export type NotificationKind = 'failure' | 'delay' | 'success' | 'postmaster';

export interface Told {
  readonly recipient: QueuedRecipient;
  readonly result: CarryResult;
  readonly action: Action;
}

export interface Duty {
  readonly kind: NotificationKind;
  readonly told: readonly Told[];
}

export interface Duties {
  /** At most one of each kind: all recipients of the attempt that are owed it share it. */
  readonly due: readonly Duty[];
  /** Addresses that failed and whose sender asked not to be told (NOTIFY without FAILURE). */
  readonly unwanted: readonly string[];
  /** Recipients that failed, and there is nobody who could be told: the null reverse-path, or a report to the
   *  postmaster that failed itself. */
  readonly nobody: readonly Told[];
}

export interface DutyRules {
  /** 0: never. */
  readonly delayAfterMs: number;
  /** Of the route. */
  readonly expireMs: number;
  readonly firstRetryMs: number;
}

const nothing: Duties = { due: [], unwanted: [], nobody: [] };

/** As cheap as it can be: asked after every attempt. True: dutiesOf has something to say. */
export function owesAnything(lease: Lease, outcome: CarryOutcome, rules: DutyRules, nowMs: number): boolean {
  let pending = false;
  for (const { state } of outcome.results) {
    if (state === 'failed') return true;
    if (state === 'pending') pending = true;
  }
  if (lease.message.reversePath === '') return false;
  if (pending && late(lease, outcome, rules, nowMs).length > 0) return true;
  return outcome.handover !== 'dsn' && lease.message.recipients.some(wantsSuccess);
}

export function dutiesOf(lease: Lease, outcome: CarryOutcome, rules: DutyRules, nowMs: number): Duties {
  const { message } = lease;
  const failed = tell(lease, outcome, 'failed', 'failed');
  if (message.reversePath === '') {
    // RFC 5321 §6.1, §4.5.5: nothing ever goes to <>. What failed of our own goes to the postmaster, once.
    const first =
      message.isNotification === true ? failed.filter(({ recipient }) => !isNever(recipient)) : [];
    const nobody = failed.filter((told) => !first.includes(told));
    return { ...nothing, due: ifAny('postmaster', first), nobody };
  }
  const wanted = failed.filter(({ recipient }) => wantsFailure(recipient));
  const unwanted = failed.filter((told) => !wanted.includes(told)).map(({ recipient }) => recipient.address);
  return {
    due: [
      ...ifAny('failure', wanted),
      ...ifAny('success', delivered(lease, outcome)),
      ...ifAny('delay', late(lease, outcome, rules, nowMs)),
    ],
    unwanted,
    nobody: [],
  };
}

/** RFC 3461 §5.2.1: a hop that took NOTIFY tells himself. §5.2.2: at one that could not, it ends with 'relayed'. */
function delivered(lease: Lease, outcome: CarryOutcome): Told[] {
  if (outcome.handover === 'dsn') return [];
  const action = outcome.handover === 'final' ? 'delivered' : 'relayed';
  return tell(lease, outcome, 'delivered', action).filter(({ recipient }) => wantsSuccess(recipient));
}

function late(lease: Lease, outcome: CarryOutcome, rules: DutyRules, nowMs: number): Told[] {
  if (!isLate(lease, outcome, rules, nowMs)) return [];
  return tell(lease, outcome, 'pending', 'delayed').filter(({ recipient }) => wantsDelay(recipient));
}

/**
 * Once per message and destination. Not when it is about to expire: two notifications would come at once. Age alone
 * does not make it late, as after a jump of the wall clock everything would be (fault F-30): as many attempts as
 * expiry wants show that the time has passed for us too; so does a caller that tells of an outage and tried nothing.
 */
function isLate(lease: Lease, outcome: CarryOutcome, rules: DutyRules, nowMs: number): boolean {
  const ageMs = nowMs - lease.message.arrivedAtMs;
  if (rules.delayAfterMs === 0 || ageMs < rules.delayAfterMs) return false;
  if (ageMs + rules.firstRetryMs >= rules.expireMs) return false;
  const progress = lease.message.routes.find(({ route }) => route === lease.route);
  if (progress === undefined || progress.delayNotified) return false;
  return progress.attempts >= minAttemptsToExpire || outcome.untried === true;
}

/** Two recipients that are spelt alike have one result between them. */
function tell(lease: Lease, outcome: CarryOutcome, state: CarryResult['state'], action: Action): Told[] {
  const results = new Map(outcome.results.map((result) => [result.address, result]));
  const told: Told[] = [];
  for (const recipient of lease.message.recipients) {
    if (recipient.route !== lease.route || recipient.state !== 'pending') continue;
    const result = results.get(recipient.address);
    if (result?.state === state) told.push({ recipient, result, action });
  }
  return told;
}

function ifAny(kind: NotificationKind, told: readonly Told[]): Duty[] {
  return told.length === 0 ? [] : [{ kind, told }];
}

/** RFC 3461 §4.1: without NOTIFY failure, and delay as the server likes. */
function wantsFailure({ notify }: QueuedRecipient): boolean {
  return notify === undefined || notify.includes('FAILURE');
}

function wantsDelay({ notify }: QueuedRecipient): boolean {
  return notify === undefined || notify.includes('DELAY');
}

function wantsSuccess({ notify }: QueuedRecipient): boolean {
  return notify?.includes('SUCCESS') === true;
}

function isNever({ notify }: QueuedRecipient): boolean {
  return notify?.length === 0;
}
