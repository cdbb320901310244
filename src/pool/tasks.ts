/** The tasks that run in pool threads: their inputs and outputs, plain values that structured clone copies. */

export interface DnsblTask {
  /** Normalized client address. */
  readonly address: string;
  readonly zones: readonly string[];
  readonly servers: readonly string[];
  readonly timeoutMs: number;
}

/** One per zone, in order. 'error' covers SERVFAIL and every fault that is neither an answer, nor "no such name", nor time. */
export type DnsblAnswer =
  | { readonly kind: 'answer'; readonly addresses: readonly string[]; readonly ttlSeconds: number }
  | { readonly kind: 'none' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'error'; readonly code: string };

export interface PasswordTask {
  readonly password: string;
  /** The stored scrypt hash of the user, or the dummy that costs the same when there is no such user. */
  readonly hash: string;
}

export interface Tasks {
  dnsbl: { input: DnsblTask; output: DnsblAnswer[] };
  password: { input: PasswordTask; output: boolean };
}

export type TaskName = keyof Tasks;

export interface Pool {
  /** @throws PosternError POOL_FULL at once when the queue is full; POOL_TIMEOUT, POOL_TASK. */
  run<N extends TaskName>(name: N, input: Tasks[N]['input']): Promise<Tasks[N]['output']>;
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
}
