/** How long a slot waits for its next worker. Only early deaths wait: a kill -9 of a healthy worker never does. Pure. */

/** A death this soon after 'ready' is an early one: what ended the worker probably ends its successor too. */
const healthyAfterMs = 2_000;

const firstDelayMs = 250;
// Long enough that a worker which dies at once costs no CPU worth naming, short enough to be back soon when the
// cause goes away by itself (a full disk, a missing mount).
const maxDelayMs = 30_000;

/** @param readyForMs time since 'ready'; undefined: died before it. */
export function isEarlyDeath(readyForMs: number | undefined): boolean {
  return readyForMs === undefined || readyForMs < healthyAfterMs;
}

/** @param earlyDeaths in a row, in this slot. The first restart is at once. */
export function restartDelayMs(earlyDeaths: number): number {
  return earlyDeaths <= 1 ? 0 : Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(earlyDeaths - 2, 20));
}
