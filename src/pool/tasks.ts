/** The tasks that run in pool threads: their inputs and outputs, plain values that structured clone copies. */
import type { PasswordTask } from '../policy/authenticate.js';
import type { DnsblAnswer, DnsblTask } from '../policy/dnsbl.js';

export type { DnsblAnswer, DnsblTask, PasswordTask };

export interface Tasks {
  dnsbl: { input: DnsblTask; output: DnsblAnswer[] };
  password: { input: PasswordTask; output: boolean };
}

export type TaskName = keyof Tasks;

export interface Pool {
  /**
   * @param first before all that are not
   * @throws PosternError POOL_FULL at once when the queue is full; POOL_TIMEOUT, POOL_TASK
   */
  run<N extends TaskName>(name: N, input: Tasks[N]['input'], first?: boolean): Promise<Tasks[N]['output']>;
  /** Tasks that wait for a thread. */
  readonly queued: number;
  close(): Promise<void>;
}

export interface PoolOptions {
  readonly threads: number;
  readonly maxQueue: number;
  /** Beyond this a task counts as lost, its thread is replaced. Each task has a shorter deadline of its own. */
  readonly taskTimeoutMs: number;
  observe(task: TaskName, phase: 'wait' | 'run', seconds: number): void;
  /** A thread died outside any task and was replaced: for a log line. */
  threadLost?(message: string): void;
}

/** What pool.ts posts to thread.ts. */
export type ThreadJob = {
  [N in TaskName]: { readonly name: N; readonly input: Tasks[N]['input'] };
}[TaskName];

/** What comes back. Values, because an error loses its code on the way between threads. */
export type ThreadAnswer<Output> =
  | { readonly kind: 'value'; readonly value: Output }
  /** The task's own deadline. */
  | { readonly kind: 'timeout' }
  | { readonly kind: 'failed'; readonly message: string };
