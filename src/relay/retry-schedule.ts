/** When a deferred message is tried again, and when it has had its chances. Pure: the caller has clock and dice. */
import type { RetryConfig } from '../config/config.js';
import type { Lease } from '../queue/spool.js';

/** Messages deferred together by one outage must not come back together. */
const jitter = 0.2;

/**
 * Age alone does not expire a message: after a jump of the wall clock everything would be old at once (fault F-30).
 * Three real attempts take at least firstMs + 2 · firstMs of time that passed for us.
 */
export const minAttemptsToExpire = 3;

/**
 * Milliseconds until the next attempt: firstMs, doubled by each attempt, at most maxMs, less up to a fifth.
 * @param attempts begun so far, at least 1
 * @param random 0 ≤ random < 1
 */
export function retryDelayMs(retry: RetryConfig, attempts: number, random: number): number {
  // Doubling 40 times passes every maxMs, and 2 ** n stays far from Infinity.
  const doublings = Math.min(Math.max(attempts - 1, 0), 40);
  const delayMs = Math.min(retry.firstMs * 2 ** doublings, retry.maxMs);
  return Math.round(delayMs * (1 - jitter * random));
}

/** Of this destination, the one under way too: another destination of the message has a schedule of its own. */
export function attemptsOf({ message, route }: Lease): number {
  return message.routes.find((progress) => progress.route === route)?.attempts ?? message.attempts;
}

/** RFC 5321 §4.5.4.1: give up after days, and only after real attempts. */
export function isExpired(
  retry: RetryConfig,
  message: { readonly arrivedAtMs: number; readonly attempts: number },
  nowMs: number,
): boolean {
  return message.attempts >= minAttemptsToExpire && isOld(retry, message.arrivedAtMs, nowMs);
}

/**
 * Has the outage lasted so long that messages which only wait for its end may expire by their age? They make no
 * attempts of their own; that much time has passed for us all the same.
 * @param outageMs monotonic
 */
export function isLongOutage(retry: RetryConfig, outageMs: number): boolean {
  return outageMs >= minAttemptsToExpire * retry.firstMs;
}

export function isOld(retry: RetryConfig, arrivedAtMs: number, nowMs: number): boolean {
  return nowMs - arrivedAtMs >= retry.expireMs;
}

/**
 * The moment to ask the queue for: normally now. When the earliest due time lies further off than any schedule can
 * put it, the wall clock was set back since: then that time itself, so that mail does not sleep for years.
 */
export function dueClockMs(retry: RetryConfig, earliestAtMs: number, nowMs: number): number {
  return earliestAtMs > nowMs + retry.maxMs ? earliestAtMs : nowMs;
}
