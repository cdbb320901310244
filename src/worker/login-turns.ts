/**
 * Checks of log-ins that have no answer yet: each counts as a failure that may come, so that many guesses at once get no
 * further than as many one after another. Who would be one too many is not refused for it but waits for the
 * answers of those before him: an office that opens its mail at nine guesses at nothing.
 */
import type { LoginGuard, LoginKeys, LoginLimit } from './login-guard.js';

/** Of one worker. Each is a connection that waits; beyond it clients get 454 and come again. */
const maxWaiting = 1_000;
/**
 * As long as a backend is given for its answer, unless the config says otherwise (auth.backend: timeout). Behind one that
 * is given longer, and behind hashes that wait for the pool, a client may get 454 before the checks ahead of it are over.
 */
const maxWaitMs = 10_000;

export interface Turn {
  readonly kind: 'turn';
  /** The answer is there, and a failure has been counted. */
  readonly end: () => void;
}

export type TurnAnswer =
  | Turn
  | { readonly kind: 'refused'; readonly by: LoginLimit }
  /** Too many wait, or it did too long. */
  | { readonly kind: 'busy' };

/** In the line. */
export interface Place {
  readonly kind: 'place';
  readonly answer: Promise<TurnAnswer>;
  /** Nobody is there any more to hear it: busy, at once. */
  readonly leave: () => void;
}

interface Waiting {
  readonly keys: LoginKeys;
  readonly settle: (answer: TurnAnswer) => void;
}

const busy: TurnAnswer = { kind: 'busy' };
const nothing = (): void => undefined;

export class LoginTurns {
  readonly #guard: LoginGuard;
  /** An entry lives as long as a check counts on it. */
  readonly #underWay = new Map<string, number>();
  /** In the order in which they came. */
  readonly #waiting = new Set<Waiting>();
  #isCalling = false;

  constructor(guard: LoginGuard) {
    this.#guard = guard;
  }

  /** May it be checked now? A turn has to be ended. */
  begin(keys: LoginKeys): TurnAnswer | Place {
    return this.#answerNow(keys) ?? this.#wait(keys);
  }

  /** Undefined: it has to wait. */
  #answerNow(keys: LoginKeys): TurnAnswer | undefined {
    const by = this.#guard.limitAt(keys);
    if (by !== undefined) return { kind: 'refused', by };
    for (const key of keys.watched.keys())
      if (this.#guard.isFull(key, this.#underWay.get(key) ?? 0)) return undefined;
    return this.#start(keys);
  }

  #start({ counted }: LoginKeys): Turn {
    for (const key of counted) this.#underWay.set(key, (this.#underWay.get(key) ?? 0) + 1);
    return { kind: 'turn', end: () => this.#end(counted) };
  }

  #end(counted: readonly string[]): void {
    for (const key of counted) {
      const others = (this.#underWay.get(key) ?? 0) - 1;
      if (others > 0) this.#underWay.set(key, others);
      else this.#underWay.delete(key);
    }
    if (this.#isCalling || this.#waiting.size === 0) return;
    // Once for all that end together: with a backend that goes down hundreds do.
    this.#isCalling = true;
    queueMicrotask(() => this.#callNext());
  }

  #callNext(): void {
    this.#isCalling = false;
    for (const waiting of this.#waiting) {
      const answer = this.#answerNow(waiting.keys);
      if (answer !== undefined) waiting.settle(answer);
    }
  }

  #wait(keys: LoginKeys): TurnAnswer | Place {
    if (this.#waiting.size >= maxWaiting) return busy;
    let leave = nothing;
    const answer = new Promise<TurnAnswer>((resolve) => {
      const settle = (answer: TurnAnswer): void => {
        clearTimeout(timer);
        this.#waiting.delete(waiting);
        resolve(answer);
      };
      const waiting: Waiting = { keys, settle };
      const timer = setTimeout(settle, maxWaitMs, busy);
      this.#waiting.add(waiting);
      leave = () => settle(busy);
    });
    return { kind: 'place', answer, leave };
  }
}
