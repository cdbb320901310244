/**
 * Tells senders what became of their messages: the Notifier of the relay. Asks duties who is owed what, keeps to the
 * limits, reads what goes back, has the report composed and stores it in the queue like any other message, from where
 * the relay takes it. Every way ends in a count and a log line; nothing is ever thrown.
 */
import { randomBytes } from 'node:crypto';

import { describeError } from '../../base/errors.js';
import { routeOf } from '../../base/destination.js';
import type { Log } from '../../base/log.js';
import type { Config, RetryConfig } from '../../config/config.js';
import type { Meters } from '../../metrics/meters.js';
import { NotificationRoute, type PostmasterAddress } from '../../policy/notification-route.js';
import type { RelayRefusal } from '../../policy/relay-decision.js';
import type { Lease, RecipientState, Spool } from '../../queue/spool.js';
import type { CarryOutcome } from '../carrier.js';
import { missingRouteRetry } from '../missing-route.js';
import type { Concluded, Notifier } from '../notifier.js';

import type { ReportedRecipient } from './delivery-status.js';
import {
  dutiesOf,
  owesAnything,
  type Duty,
  type DutyRules,
  type NotificationKind,
  type Told,
} from './duties.js';
import { readOriginal, type OriginalMessage } from './original-message.js';
import { ReportBudget } from './report-budget.js';
import { composeReport } from './report.js';
import { diagnose } from './status-code.js';
import { defaultTemplate, readTemplate, type Template } from './template.js';
import { Turns } from './turns.js';

export interface NotifierOptions {
  readonly config: Pick<
    Config,
    'hostname' | 'postmaster' | 'notifications' | 'routes' | 'domains' | 'listeners'
  >;
  readonly spool: Pick<Spool, 'begin'>;
  readonly log: Log;
  readonly meters: Pick<Meters, 'relayNotificationsTotal'>;
  /** Wall clock, milliseconds. */
  readonly now?: () => number;
  readonly monotonicNow?: () => number;
}

/** What became of a duty; the first three are the `result` label. */
type Fate = 'sent' | 'rate_limited' | 'impossible' | 'not-stored';

/** Why nobody can be told; RCPT would say the same of a sender of ours. */
type Impossible = 'no-postmaster' | 'no-route' | Exclude<RelayRefusal, 'relay-denied'>;

/** Each holds up to maxReturnedBytes and what is made of it: some megabytes altogether, while mail in an outage may
 *  expire by the thousand. */
const atOnce = 8;
/** A log line stays below 4 KiB; a path may be longer than any address that anybody uses. */
const loggedAddressChars = 256;

/** @throws PosternError CONFIG_INVALID when the template cannot be read or has a fault */
export function openNotifier(options: NotifierOptions): Notifier {
  const { enabled, templateFile } = options.config.notifications;
  if (!enabled) return silence;
  return new SenderNotifier(
    options,
    templateFile === undefined ? defaultTemplate : readTemplate(templateFile),
  );
}

/** notifications.enabled: false. */
const silence: Notifier = {
  owes: () => false,
  conclude: (_lease, { results }) => Promise.resolve({ results, delayNotified: false }),
};

class SenderNotifier implements Notifier {
  readonly lateAfterMs: number;
  readonly #options: NotifierOptions;
  readonly #template: Template;
  readonly #route: NotificationRoute;
  readonly #budget: ReportBudget;
  readonly #turns = new Turns(atOnce);
  readonly #now: () => number;
  readonly #monotonicNow: () => number;
  /** By route of the config. */
  readonly #rules: ReadonlyMap<string, DutyRules>;
  readonly #missingRules: DutyRules;
  /** Reasons that the log has had in words. */
  readonly #explained = new Set<string>();

  constructor(options: NotifierOptions, template: Template) {
    this.#options = options;
    this.#template = template;
    this.#route = new NotificationRoute(options.config);
    const routes = Object.entries(options.config.routes);
    this.#rules = new Map(routes.map(([name, { retry }]) => [name, this.#rulesBy(retry)]));
    this.#missingRules = this.#rulesBy(missingRouteRetry);
    const { perSenderPerHour, perHour } = options.config.notifications;
    this.#budget = new ReportBudget(perSenderPerHour, perHour);
    this.lateAfterMs = options.config.notifications.delayAfterMs;
    this.#now = options.now ?? Date.now;
    this.#monotonicNow = options.monotonicNow ?? (() => performance.now());
  }

  owes(lease: Lease, outcome: CarryOutcome, nowMs: number): boolean {
    return owesAnything(lease, outcome, this.#rulesOf(lease.route), nowMs);
  }

  async conclude(lease: Lease, outcome: CarryOutcome, nowMs: number): Promise<Concluded> {
    const duties = dutiesOf(lease, outcome, this.#rulesOf(lease.route), nowMs);
    const states = new Map<string, RecipientState>();
    for (const address of duties.unwanted) states.set(address, 'bounced');
    if (duties.unwanted.length > 0) this.#count('failure', 'unwanted');
    if (duties.nobody.length > 0) this.#toNobody(lease, duties.nobody);
    let delayNotified = false;
    for (const duty of duties.due) {
      const fate = await this.#turns.run(() => this.#fulfil(lease, outcome, duty));
      if (duty.kind === 'delay') delayNotified = fate !== 'not-stored';
      else if (duty.kind !== 'success')
        for (const { result } of duty.told) states.set(result.address, stateAfter[fate]);
    }
    const results = outcome.results.map((result) => ({
      ...result,
      state: states.get(result.address) ?? result.state,
    }));
    return { results, delayNotified };
  }

  /** Made once: asked for after every attempt. Routes that the config does not have share theirs. */
  #rulesOf(destination: string): DutyRules {
    return this.#rules.get(routeOf(destination)) ?? this.#missingRules;
  }

  #rulesBy({ expireMs, firstMs }: RetryConfig): DutyRules {
    const { delayAfterMs } = this.#options.config.notifications;
    return { delayAfterMs, expireMs, firstRetryMs: firstMs };
  }

  async #fulfil(lease: Lease, outcome: CarryOutcome, duty: Duty): Promise<Fate> {
    const { address, route } = this.#targetOf(lease, duty);
    let fate: Fate;
    if (address === undefined || route === undefined) {
      fate = 'impossible';
      this.#explain(lease, duty, address);
    } else if (!this.#budget.take(address, this.#monotonicNow())) {
      fate = 'rate_limited';
      this.#say('notification.rate-limited', lease, duty, address);
    } else fate = await this.#send(lease, outcome, duty, address, route);
    if (fate !== 'not-stored') this.#count(duty.kind, fate);
    return fate;
  }

  #targetOf({ message }: Lease, { kind }: Duty): Partial<PostmasterAddress> {
    if (kind === 'postmaster') return this.#route.postmaster ?? {};
    const route = this.#route.destinationForSender(message.reversePath);
    return { address: message.reversePath, ...(route === undefined ? {} : { route }) };
  }

  async #send(
    lease: Lease,
    outcome: CarryOutcome,
    duty: Duty,
    to: string,
    destination: string,
  ): Promise<Fate> {
    const { spool, log } = this.#options;
    const original = outcome.corrupt ? undefined : await this.#original(lease, duty);
    const nowMs = this.#now();
    const writer = spool.begin(nowMs);
    try {
      const report = this.#compose(lease, outcome, duty, to, original, writer.id, nowMs);
      writer.write(report.bytes);
      await writer.commit({
        reversePath: '',
        // RFC 3461 §6.2 wants no more notifications of the postmaster's copy; ours shows by it that it is the last.
        recipients: [
          { address: to, route: destination, notify: duty.kind === 'postmaster' ? [] : undefined },
        ],
        body: report.eightBit ? '8BITMIME' : '7BIT',
        smtpUtf8: report.smtpUtf8,
        arrivedAtMs: nowMs,
        listener: 'postern',
        clientAddress: '',
        clientName: '',
        user: '',
        sessionId: lease.message.sessionId,
        isNotification: true,
      });
    } catch (error) {
      writer.abort();
      log.error(
        { ...this.#line('notification.not-stored', lease, duty, to), reason: describeError(error) },
        'a notification could not be written to the queue; that of a failure or delay comes with the next attempt',
      );
      return 'not-stored';
    }
    log.info({ qid: writer.id, ...this.#line('notification.sent', lease, duty, to) });
    return 'sent';
  }

  #compose(
    lease: Lease,
    outcome: CarryOutcome,
    duty: Duty,
    to: string,
    original: OriginalMessage | undefined,
    queueId: string,
    nowMs: number,
  ): ReturnType<typeof composeReport> {
    const { hostname, postmaster } = this.#options.config;
    const { message, route } = lease;
    return composeReport({
      kind: duty.kind,
      queueId,
      nowMs,
      boundary: `=_${queueId}.${randomBytes(12).toString('hex')}`,
      hostname,
      postmaster: postmaster ?? `postmaster@${hostname}`,
      to,
      message,
      recipients: duty.told.map((told) => reported(told, outcome.hop)),
      retryUntilMs: duty.kind === 'delay' ? message.arrivedAtMs + this.#rulesOf(route).expireMs : undefined,
      original,
      template: this.#template,
    });
  }

  /** Undefined: it is damaged, or the queue will not give it; the notification goes without. */
  async #original(lease: Lease, duty: Duty): Promise<OriginalMessage | undefined> {
    // RFC 3461 §4.3: RET is about failures. Without it the header: the sender has his message, and what a forged
    // one would get back is the spam itself. What failed of our own goes whole to the postmaster, who is to see it.
    const whole = duty.kind === 'postmaster' || (duty.kind === 'failure' && lease.message.ret === 'FULL');
    try {
      return await readOriginal(lease, whole);
    } catch (error) {
      this.#options.log.error({
        event: 'notification.original-unreadable',
        of: lease.message.id,
        reason: describeError(error),
      });
      return undefined;
    }
  }

  // ---- counts and words -------------------------------------------------------------------------------------------

  #count(kind: NotificationKind, result: string): void {
    this.#options.meters.relayNotificationsTotal.of(kind, result).value++;
  }

  #line(event: string, lease: Lease, { kind, told }: Duty, to: string | undefined): Record<string, unknown> {
    const { id, sessionId } = lease.message;
    const logged = to?.slice(0, loggedAddressChars) ?? '';
    return { event, of: id, sid: sessionId, to: logged, kind, recipients: told.length };
  }

  #say(event: string, lease: Lease, duty: Duty, to: string): void {
    this.#options.log.warn(this.#line(event, lease, duty, to));
  }

  /** In words once for each reason: after that the operator knows, and such senders may be many. */
  #explain(lease: Lease, duty: Duty, to: string | undefined): void {
    const reason = this.#reasonOf(lease, duty);
    const line = { ...this.#line('notification.impossible', lease, duty, to), reason };
    const words = wordsFor(reason);
    if (this.#explained.has(reason)) this.#options.log.info(line);
    else this.#options.log.warn(line, words);
    this.#explained.add(reason);
  }

  #reasonOf({ message }: Lease, { kind }: Duty): Impossible {
    if (kind === 'postmaster') return 'no-postmaster';
    const refusal = this.#route.refusalOfSender(message.reversePath);
    return refusal === 'relay-denied' ? 'no-route' : refusal;
  }

  #toNobody(lease: Lease, told: readonly Told[]): void {
    const { message } = lease;
    const kind = message.isNotification === true ? 'postmaster' : 'failure';
    this.#count(kind, message.isNotification === true ? 'impossible' : 'unwanted');
    const line = this.#line('notification.nobody', lease, { kind, told }, '');
    if (kind === 'failure') this.#options.log.info(line);
    else
      this.#options.log.error(
        line,
        'a report to the postmaster could not be delivered; it stays in the queue',
      );
  }
}

function wordsFor(reason: Impossible): string {
  if (reason === 'no-postmaster')
    return 'a notification could not be delivered and the postmaster cannot be told: set postmaster to an address in domains, or notifications.route to a route that reaches it. What failed stays in the queue for notifications.keepFailed';
  if (reason === 'no-route')
    return 'there is no route to this sender, so that he cannot be told: set notifications.route to a route that delivers anywhere, for example one with to: mx. The message stays in the queue as failed for notifications.keepFailed';
  return `this sender is in a domain of ours, which would refuse him as a recipient (${reason}): his address counts as made up, and he is not told. If it is real, add it to the recipients of that domain. The message stays in the queue as failed for notifications.keepFailed`;
}

/** Not stored: it is tried again, and told of then. */
const stateAfter: Readonly<Record<Fate, RecipientState>> = {
  sent: 'bounced',
  rate_limited: 'failed',
  impossible: 'failed',
  'not-stored': 'pending',
};

function reported({ recipient, result, action }: Told, hop: string): ReportedRecipient {
  const { status, reply, expired } = diagnose(action, result.lastReply);
  return {
    address: recipient.address,
    originalRecipient: recipient.originalRecipient,
    action,
    status,
    diagnostic: reply,
    expired,
    remoteHost: result.fromHop === true ? hostOf(hop) : '',
  };
}

/** `host:25` and `[2001:db8::1]:25` without their port. */
function hostOf(hop: string): string {
  return hop.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}
