/** Child processes that run the built queue, plain or under strace. Ended by their own handle only. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Undefined when strace works here, else why not. ptrace may be forbidden although the program is there. */
export function whyNoStrace(): string | undefined {
  const probe = spawnSync('strace', ['-f', '-o', '/dev/null', 'true']);
  if (probe.error !== undefined) return 'strace is not installed';
  return probe.status === 0 ? undefined : 'strace may not trace here';
}

function childPath(name: string): string {
  return fileURLToPath(new URL(`./children/${name}.mjs`, import.meta.url));
}

export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a child to its end. @param strace arguments of strace, or undefined to run without it */
export async function run(
  name: string,
  args: readonly string[],
  options: { strace?: readonly string[]; node?: readonly string[] } = {},
): Promise<Finished> {
  const node = [process.execPath, ...(options.node ?? []), childPath(name), ...args];
  const [command = '', ...rest] =
    options.strace === undefined ? node : ['strace', '-f', ...options.strace, ...node];
  // strace counts injected calls for each thread, and LMDB commits on those of the pool: let it be one.
  const child = spawn(command, rest, { env: { PATH: process.env['PATH'], UV_THREADPOOL_SIZE: '1' } });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  return { stdout, stderr };
}

/** A child that runs until it is killed, and the lines it has printed. */
export class Endless {
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #closed: Promise<void>;

  constructor(name: string, args: readonly string[]) {
    const child = spawn(process.execPath, [childPath(name), ...args], {
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    const reader = createInterface({ input: child.stdout });
    reader.on('line', (line) => this.lines.push(line));
    this.#closed = new Promise((resolve) => reader.once('close', resolve));
  }

  /** kill -9; resolves when all that it printed is in `lines`. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }
}

/** Undefined when a child can be given a disk of its own, else why not. */
export function whyNoSmallDisk(): string | undefined {
  const probe = spawnSync('unshare', ['-m', 'true']);
  return probe.status === 0 ? undefined : 'no right to mount: run as root';
}

/** Runs children one after the other on one small disk, which only they see. What each has printed, and what LMDB has said. */
export async function runOnSmallDisk(
  disk: string,
  mebibytes: number,
  children: readonly (readonly [name: string, ...args: string[]])[],
): Promise<{ readonly printed: string[]; readonly stderr: string }> {
  const quoted = children.map(([name, ...args]) => [process.execPath, childPath(name), ...args].join(' '));
  const script = [`mount -t tmpfs -o size=${mebibytes}m tmpfs ${disk}`, ...quoted].join('; ');
  const child = spawn('unshare', ['-m', 'sh', '-c', script], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  return { printed: stdout.trim().split('\n'), stderr };
}
