/**
 * The piscina seam: the one place that imports it. One pool per worker process, a fixed number of threads (a thread
 * takes about 0.1 s to start, so none comes or goes with the load). Owns the bounds: what runs, what waits, how long.
 * Does not know what a task does (thread.ts does). Every task has its own shorter deadline and ends by itself;
 * taskTimeoutMs is for the one that cannot, because it spins: its thread is ended and replaced.
 *
 * Choices, with their reasons:
 * - `atomics: 'disabled'`. The default blocks a thread's event loop between tasks, so that sockets and timers of DNS
 *   tasks would stand still; its round trip is no slower: 83 µs against 100 µs with 'sync' (package-pitfalls P1).
 *   The rest of the price, a new DNS resolver a task, is 50 µs.
 * - No AbortSignal. piscina gives a task that can be aborted a thread of its own whatever concurrentTasksPerWorker
 *   says, and keeps it in a queue that maxQueue does not count (P4). Waiting tasks leave our lanes instead.
 * - Lanes in front of piscina's queue, so that log-ins cannot starve DNS (base/lane.ts). piscina's own queue holds only
 *   what our lanes let through while a thread is being replaced; it is bounded all the same.
 */
import { fileURLToPath } from 'node:url';

import { Piscina, queueOptionsSymbol } from 'piscina';

import { describeError, PosternError } from '../base/errors.js';
import { Lane } from '../base/lane.js';
import { Call, type CallPlace } from './call.js';
import type { Pool, PoolOptions, TaskName, Tasks, ThreadAnswer } from './tasks.js';

/** Tasks that one thread has at a time. DNS tasks wait, so a burst of connections is asked for at once; 128 × one or
 *  two sockets each are at most half of the files that a worker keeps to itself (base/open-files.ts). */
const dnsPerThread = 128;
/** scrypt runs in libuv's pool, whose four threads also write and fsync the queue: one hash per thread of ours leaves
 *  most of them to the commits that 250s wait for. */
const passwordsPerThread = 1;

const resourceLimits = {
  // A task needs a few MiB; beyond this it is a runaway, and one thread dies of it instead of the worker (P8).
  maxOldGenerationSizeMb: 96,
  maxYoungGenerationSizeMb: 16,
};

export function openPool(options: PoolOptions, entry: string = threadEntry()): Pool {
  return new PiscinaPool(options, entry);
}

/** The compiled thread entry: in dist/ too when a test imports the source. */
function threadEntry(): string {
  const compiled = import.meta.url.endsWith('.ts') ? '../../dist/pool/thread.js' : '../pool/thread.js';
  return fileURLToPath(new URL(compiled, import.meta.url));
}

class PiscinaPool implements Pool {
  readonly #piscina: Piscina;
  readonly #places: Readonly<Record<TaskName, CallPlace>>;
  readonly #ending = new Set<number>();
  #closed = false;

  constructor(options: PoolOptions, entry: string) {
    const perThread = dnsPerThread + passwordsPerThread;
    this.#piscina = new Piscina({
      filename: entry,
      // The first task starts it: a thread takes 150 ms of CPU, which a start with a full queue has better use for.
      minThreads: 0,
      maxThreads: options.threads,
      idleTimeout: Infinity,
      concurrentTasksPerWorker: perThread,
      maxQueue: options.threads * perThread,
      atomics: 'disabled',
      recordTiming: false,
      resourceLimits,
      execArgv: [],
      loadBalancer: (task, threads) => choose(task, threads, perThread),
    });
    // A thread that dies with no task in it; piscina replaces it. Without a listener the worker would die of it.
    this.#piscina.on('error', (error: unknown) => options.threadLost?.(describeError(error)));
    this.#places = {
      dnsbl: this.#place(options, dnsPerThread),
      password: this.#place(options, passwordsPerThread),
    };
  }

  get queued(): number {
    return this.#places.dnsbl.lane.waiting + this.#places.password.lane.waiting;
  }

  run<N extends TaskName>(name: N, input: Tasks[N]['input'], first = false): Promise<Tasks[N]['output']> {
    if (this.#closed) return Promise.reject(new PosternError('POOL_TASK', 'the pool is closed'));
    return new Promise((resolve, reject) => {
      new Call<Tasks[N]['output']>(
        { name, input, goesFirst: first },
        this.#places[name],
        resolve,
        reject,
      ).enter();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#piscina.destroy();
  }

  #place(options: PoolOptions, perThread: number): CallPlace {
    return {
      options,
      lane: new Lane(options.threads * perThread, options.maxQueue),
      post: (call) => this.#post(call),
      replaceThread: (threadId) => this.#replaceThread(threadId),
    };
  }

  #post<Output>(call: Call<Output>): Promise<ThreadAnswer<Output>> {
    // The symbol carries the call to the load balancer; structured clone leaves it behind.
    return this.#piscina.run({ name: call.name, input: call.input, [queueOptionsSymbol]: call });
  }

  /** The exit makes piscina fail the thread's tasks and start another. All its tasks may run out at once. */
  #replaceThread(threadId: number): void {
    if (this.#ending.has(threadId)) return;
    const thread = this.#piscina.threads.find((thread) => thread.threadId === threadId);
    if (thread === undefined) return;
    this.#ending.add(threadId);
    void thread.terminate().finally(() => this.#ending.delete(threadId));
  }
}

type Balancer = NonNullable<NonNullable<ConstructorParameters<typeof Piscina>[0]>['loadBalancer']>;

/** The thread with the fewest tasks, and the call learns which it is. */
function choose(
  task: Parameters<Balancer>[0],
  threads: Parameters<Balancer>[1],
  perThread: number,
): ReturnType<Balancer> {
  let best: ReturnType<Balancer> = null;
  for (const thread of threads) if (thread.currentUsage < (best?.currentUsage ?? perThread)) best = thread;
  const call = task[queueOptionsSymbol];
  if (best !== null && call instanceof Call) call.posted(best.id);
  return best;
}
