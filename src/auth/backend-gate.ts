/**
 * The one way to a backend of log-ins or of tokens: so many questions at once, so many that wait, one deadline for both,
 * and none at all while it does not answer (circuit-breaker). Runs in the worker, not in the pool: these questions wait
 * rather than compute, many at once on one event loop, and a thread would add its hop (about 0.1 ms) and need the
 * sockets for itself.
 */
import { PosternError, type ErrorCode } from '../base/errors.js';
import { Lane, type Entry } from '../base/lane.js';
import type { Backend, GivenAnswer } from './backend.js';
import { CircuitBreaker, type Passage } from './circuit-breaker.js';

export interface BackendBounds {
  /** Of one log-in, the time in the line included: what a client is made to wait at most. */
  readonly timeoutMs: number;
  readonly concurrent: number;
  readonly waiting: number;
}

export interface BackendGateOptions<Question, Answer extends GivenAnswer> {
  readonly backend: Backend<Question, Answer>;
  readonly bounds: BackendBounds;
  /** Every question, with what became of it: the kind of an answer or the code of an error. */
  observe(result: Answer['kind'] | ErrorCode, seconds: number): void;
  /** It does not answer: why, and how long it is left alone. Said again for each probe without an answer. */
  down(error: PosternError, restMs: number): void;
  up(): void;
  readonly now?: () => number;
}

/** A question on its way. */
interface Attempt<Answer> extends Entry {
  readonly passage: Passage;
  readonly startedMs: number;
  readonly abort: AbortController;
  state: 'waiting' | 'asking' | 'over';
  settle(answer: Answer | Error): void;
}

export class BackendGate<Question, Answer extends GivenAnswer> {
  readonly #options: BackendGateOptions<Question, Answer>;
  readonly #lane: Lane;
  readonly #breaker = new CircuitBreaker();
  readonly #now: () => number;
  /** Those in the line. Bounded by it. */
  readonly #waiting = new Set<Attempt<Answer>>();

  constructor(options: BackendGateOptions<Question, Answer>) {
    this.#options = options;
    this.#lane = new Lane(options.bounds.concurrent, options.bounds.waiting);
    this.#now = options.now ?? (() => performance.now());
  }

  /** No answer the last times; log-ins are not made to wait for it. */
  get isDown(): boolean {
    return this.#breaker.isDown;
  }

  close(): void {
    this.#options.backend.close();
  }

  /**
   * @param first before those that are not
   * @throws PosternError AUTH_RESTING, AUTH_FULL, AUTH_TIMEOUT, and what the backend throws
   */
  ask(question: Question, first = false): Promise<Answer> {
    const startedMs = this.#now();
    const passage = this.#breaker.enter(startedMs);
    return new Promise((resolve, reject) => {
      const attempt: Attempt<Answer> = {
        goesFirst: first,
        passage,
        startedMs,
        abort: new AbortController(),
        state: 'waiting',
        start: () => void this.#ask(attempt, question),
        settle: (answer) => {
          if (attempt.state === 'over') return;
          attempt.state = 'over';
          clearTimeout(timer);
          this.#waiting.delete(attempt);
          this.#observe(attempt, answer);
          if (answer instanceof Error) reject(answer);
          else resolve(answer);
        },
      };
      const timer = setTimeout(() => this.#expire(attempt), this.#options.bounds.timeoutMs);
      if (passage === 'resting') attempt.settle(this.#trouble('AUTH_RESTING'));
      else this.#enter(attempt);
    });
  }

  #enter(attempt: Attempt<Answer>): void {
    this.#waiting.add(attempt);
    if (this.#lane.enter(attempt)) return;
    this.#breaker.withdrawn(attempt.passage);
    attempt.settle(this.#trouble('AUTH_FULL'));
  }

  async #ask(attempt: Attempt<Answer>, question: Question): Promise<void> {
    this.#waiting.delete(attempt);
    attempt.state = 'asking';
    const answer = await this.#options.backend.ask(question, attempt.abort.signal).catch(asError);
    if (!attempt.abort.signal.aborted) {
      this.#judge(attempt, answer);
      attempt.settle(answer);
    }
    // Its place is free only now: one that ends late still holds a connection.
    this.#lane.leave(attempt);
  }

  #judge(attempt: Attempt<Answer>, answer: Answer | Error): void {
    if (answer instanceof PosternError && answer.code === 'AUTH_UNREACHABLE') this.#silent(attempt, answer);
    else if (answer instanceof Error && !(answer instanceof PosternError))
      this.#breaker.withdrawn(attempt.passage);
    else if (this.#breaker.answered()) this.#options.up();
  }

  #expire(attempt: Attempt<Answer>): void {
    const error = this.#trouble('AUTH_TIMEOUT');
    attempt.abort.abort();
    if (attempt.state === 'asking') this.#silent(attempt, error);
    else {
      // It waited all its time: that the backend is slow, the ones before it will say.
      this.#lane.leave(attempt);
      this.#breaker.withdrawn(attempt.passage);
    }
    attempt.settle(error);
  }

  #silent(attempt: Attempt<Answer>, error: PosternError): void {
    const restMs = this.#breaker.silent(attempt.passage, this.#now());
    if (restMs === 0) return;
    this.#options.down(error, restMs);
    // Who waits would only wait in vain.
    for (const waiting of this.#waiting) {
      this.#lane.leave(waiting);
      waiting.settle(this.#trouble('AUTH_RESTING'));
    }
  }

  #observe(attempt: Attempt<Answer>, answer: Answer | Error): void {
    const seconds = (this.#now() - attempt.startedMs) / 1000;
    if (!(answer instanceof Error)) this.#options.observe(answer.kind, seconds);
    else if (answer instanceof PosternError) this.#options.observe(answer.code, seconds);
  }

  #trouble(code: keyof typeof troubles): PosternError {
    return new PosternError(code, `${this.#options.backend.name}: ${troubles[code]}`);
  }
}

const troubles = {
  AUTH_RESTING: 'it did not answer and is left alone for a while',
  AUTH_FULL: 'too many log-ins wait for it',
  AUTH_TIMEOUT: 'no answer in time',
} as const;

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
