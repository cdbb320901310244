/**
 * One task on its way: waits in its lane, runs in a thread, ends once. Owns its two bounds, each taskTimeoutMs long:
 * on the waiting (then it leaves the line and nothing is lost but time) and on the running (then its thread hangs and
 * is replaced). Two, because one for both would blame a healthy thread for a long line.
 */
import { describeError, PosternError } from '../base/errors.js';
import type { Entry, Lane } from '../base/lane.js';
import type { PoolOptions, TaskName, ThreadAnswer } from './tasks.js';

/** What a call needs of the pool around it. */
export interface CallPlace {
  readonly lane: Lane;
  readonly options: PoolOptions;
  /** Hands it to a thread; calls `posted` when one has taken it. Rejects when that thread dies. */
  post<Output>(call: Call<Output>): Promise<ThreadAnswer<Output>>;
  /** Ends the thread with all its tasks; another takes its place. */
  replaceThread(threadId: number): void;
}

export class Call<Output> implements Entry {
  readonly name: TaskName;
  readonly input: unknown;
  readonly goesFirst: boolean;
  readonly #place: CallPlace;
  readonly #resolve: (value: Output) => void;
  readonly #reject: (error: PosternError) => void;
  readonly #enteredAt = performance.now();
  #postedAt: number | undefined;
  #threadId = -1;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    task: { readonly name: TaskName; readonly input: unknown; readonly goesFirst: boolean },
    place: CallPlace,
    resolve: (value: Output) => void,
    reject: (error: PosternError) => void,
  ) {
    this.name = task.name;
    this.input = task.input;
    this.goesFirst = task.goesFirst;
    this.#place = place;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  enter(): void {
    if (!this.#place.lane.enter(this)) return this.#reject(new PosternError('POOL_FULL', full(this.name)));
    if (this.#timer === undefined) this.#arm(() => this.#expireWaiting());
  }

  start(): void {
    clearTimeout(this.#timer);
    this.#arm(() => this.#expireRunning());
    this.#place.post(this).then(
      (answer) => this.#answered(answer),
      (error: unknown) => this.#lost(error),
    );
  }

  /** A thread has it. */
  posted(threadId: number): void {
    this.#threadId = threadId;
    // From here on: it may have stood in the pool's own line while a thread was being replaced.
    clearTimeout(this.#timer);
    this.#arm(() => this.#expireRunning());
    this.#postedAt = performance.now();
    this.#place.options.observe(this.name, 'wait', (this.#postedAt - this.#enteredAt) / 1000);
  }

  #answered(answer: ThreadAnswer<Output>): void {
    this.#end();
    if (answer.kind === 'value') this.#resolve(answer.value);
    else if (answer.kind === 'timeout') this.#reject(new PosternError('POOL_TIMEOUT', late(this.name)));
    else this.#reject(new PosternError('POOL_TASK', `a ${this.name} task failed: ${answer.message}`));
  }

  #lost(error: unknown): void {
    this.#end();
    const message = `the thread of a ${this.name} task ended: ${describeError(error)}`;
    this.#reject(new PosternError('POOL_TASK', message, error));
  }

  #expireWaiting(): void {
    this.#place.lane.leave(this);
    this.#reject(new PosternError('POOL_TIMEOUT', `no thread was free in time for a ${this.name} task`));
  }

  /** Its place in the lane stays taken until the thread is gone: that is when there is room again. */
  #expireRunning(): void {
    this.#reject(new PosternError('POOL_TIMEOUT', late(this.name)));
    if (this.#threadId >= 0) this.#place.replaceThread(this.#threadId);
  }

  #end(): void {
    clearTimeout(this.#timer);
    const { lane, options } = this.#place;
    if (this.#postedAt !== undefined)
      options.observe(this.name, 'run', (performance.now() - this.#postedAt) / 1000);
    lane.leave(this);
  }

  #arm(expire: () => void): void {
    this.#timer = setTimeout(expire, this.#place.options.taskTimeoutMs).unref();
  }
}

function full(name: TaskName): string {
  return `too many ${name} tasks wait for a thread`;
}

function late(name: TaskName): string {
  return `a ${name} task passed its deadline`;
}
