/**
 * Stops asking a DNSBL that has stopped answering: with the list dead, every new client would wait for the whole
 * time-out and hold a place in the pool meanwhile (F-17). After a row of failures the list is left out; one question
 * every few seconds finds out whether it is back. Pure, but for the clock it is given.
 */
import type { ListResult } from './dnsbl.js';

/** So many in a row are no bad luck: at 5 % lost answers a row of 20 comes once in 10^26. */
const failuresToOpen = 20;
const probeEveryMs = 5_000;

interface State {
  failures: number;
  /** While open: when the next question may go out. */
  probeAtMs: number;
  last: 'timeout' | 'error';
}

export class ListBreaker {
  readonly #states: readonly State[];

  constructor(lists: number) {
    this.#states = Array.from({ length: lists }, () => ({ failures: 0, probeAtMs: 0, last: 'timeout' }));
  }

  /** Undefined: ask it. Else what it is taken to have said, which is how it failed last. */
  leftOut(list: number, nowMs: number): 'timeout' | 'error' | undefined {
    const state = this.#states[list];
    if (state === undefined || state.failures < failuresToOpen) return undefined;
    if (nowMs < state.probeAtMs) return state.last;
    state.probeAtMs = nowMs + probeEveryMs;
    return undefined;
  }

  record(list: number, result: ListResult, nowMs: number): void {
    const state = this.#states[list];
    if (state === undefined) return;
    if (result === 'listed' || result === 'clear') {
      state.failures = 0;
      return;
    }
    state.failures++;
    state.last = result;
    if (state.failures === failuresToOpen) state.probeAtMs = nowMs + probeEveryMs;
  }
}
