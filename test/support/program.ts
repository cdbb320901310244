/** A program that a test starts and must end: its output, its exit, and no survivor when the test process goes. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

import { errorCodeOf } from '../../src/base/errors.js';
import { isRunning } from './processes.js';

export interface ProgramOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Written to stdin, which is then closed. Without it stdin is empty. */
  readonly input?: string | Buffer;
  /** Stdin stays open, for who writes to `child.stdin` in the course of a dialogue. */
  readonly openInput?: boolean;
  /** After SIGTERM, how long until SIGKILL. */
  readonly stopTimeoutMs?: number;
  /** Called for each line of stdout and stderr as it comes. */
  readonly onLine?: (line: string) => void;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const running = new Set<ChildProcess>();
// vitest ends a worker that ran too long: what it started must not stay behind.
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Program {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  readonly #stopTimeoutMs: number;
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];

  constructor(command: string, args: readonly string[], options: ProgramOptions = {}) {
    this.#stopTimeoutMs = options.stopTimeoutMs ?? 20_000;
    this.child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    running.add(this.child);
    this.child.stdin?.on('error', () => undefined); // a program may end without reading its input
    if (options.openInput === true) this.child.stdin?.write(options.input ?? '');
    else this.child.stdin?.end(options.input ?? '');
    this.exited = this.#collect(options.onLine);
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error(`could not start ${this.child.spawnfile}`);
    return this.child.pid;
  }

  get output(): string {
    return [...this.stdout, ...this.stderr].join('\n');
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Asks `pid` to end (a wrapper's child may be meant) and kills what does not go in time. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', pid = this.pid): Promise<Exit> {
    signalQuietly(pid, signal);
    const killer = setTimeout(() => {
      signalQuietly(pid, 'SIGKILL');
      this.child.kill('SIGKILL');
    }, this.#stopTimeoutMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(killer);
    }
  }

  get isRunning(): boolean {
    return this.child.pid !== undefined && isRunning(this.child.pid);
  }

  #collect(onLine: ProgramOptions['onLine']): Promise<Exit> {
    const { child } = this;
    for (const [stream, lines] of [
      [child.stdout, this.stdout],
      [child.stderr, this.stderr],
    ] as const) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        onLine?.(line);
      });
    }
    return new Promise((resolve, reject) => {
      child.once('error', (error) => {
        running.delete(child);
        reject(error);
      });
      child.once('close', (code, signal) => {
        running.delete(child);
        resolve({ code, signal });
      });
    });
  }
}

/** For a process that may be gone already, which is then what was wanted. */
export function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (errorCodeOf(error) !== 'ESRCH') throw error;
  }
}

/** Runs a program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Exit & { stdout: string; stderr: string }> {
  const program = new Program(command, args, options);
  const exit = await program.exited;
  return { ...exit, stdout: program.stdout.join('\n'), stderr: program.stderr.join('\n') };
}
