/**
 * Builds the shim (shim/system-calls.c) and speaks to it: the environment that loads it into a process, and the page
 * of memory that says which call of which kind shall fail. Without a compiler the suites that need it skip, and say so.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const source = resolve(import.meta.dirname, 'shim/system-calls.c');

/** Undefined when the shim can be built here. */
export function whyNoShim(): string | undefined {
  if (process.platform !== 'linux') return 'Linux only';
  if (spawnSync('gcc', ['--version']).status !== 0) return 'gcc is not installed (Debian: gcc libc6-dev)';
  return undefined;
}

export interface Shim {
  readonly library: string;
  dispose(): void;
}

/** @throws Error with what the compiler says */
export function buildShim(): Shim {
  const directory = mkdtempSync(join(tmpdir(), 'postern-shim-'));
  const library = join(directory, 'system-calls.so');
  const { status, stderr } = spawnSync('gcc', ['-shared', '-fPIC', '-O2', '-Wall', '-o', library, source], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the shim cannot be built: ${stderr}`);
  return { library, dispose: () => rmSync(directory, { recursive: true, force: true }) };
}

export interface ShimOptions {
  /** Only files below this directory are recorded or fail. Absolute. */
  readonly root: string;
  /** The record of process P goes to `<record>.P`. */
  readonly record?: string;
  readonly control?: ControlPage;
  /** The call that does nothing and says that it did. */
  readonly noSync?: 'fdatasync' | 'fsync' | 'dsync';
  /** Faults in every process, not only in cluster workers. */
  readonly anyProcess?: boolean;
}

export function shimEnvironment(shim: Shim, options: ShimOptions): Record<string, string> {
  return {
    LD_PRELOAD: shim.library,
    FAULTS_ROOT: options.root,
    ...(options.record === undefined ? {} : { FAULTS_RECORD: options.record }),
    ...(options.control === undefined ? {} : { FAULTS_CONTROL: options.control.file }),
    ...(options.noSync === undefined ? {} : { FAULTS_NO_SYNC: options.noSync }),
    ...(options.anyProcess === true ? { FAULTS_ANY_PROCESS: '1' } : {}),
    // libuv's ring would go round the C library.
    UV_USE_IO_URING: '0',
  };
}

/** As in the shim: 'write' is one of pages or of another file, 'meta' one of LMDB's meta pages (through O_DSYNC). */
const callBits = { write: 2, sync: 4, open: 8, meta: 9 } as const;
type Call = keyof typeof callBits;
const kinds = { EIO: 1, ENOSPC: 2, short: 3, slow: 4 } as const;
type FaultKind = keyof typeof kinds;

export interface Fault {
  readonly call: Call;
  readonly kind: FaultKind;
  /** From 1: the how manieth call of that kind, counted for the whole process. */
  readonly nth: number;
  readonly delayMs?: number;
  /** All later calls of that kind in that process, too. */
  readonly sticky?: boolean;
  /** Only in a process that starts after this. */
  readonly fresh?: boolean;
}

const pageBytes = 4096;

/** The page that the shim maps; one fault at a time, which strikes one process. */
export class ControlPage {
  readonly file: string;
  readonly #fd: number;
  #epoch = 0;

  constructor(file: string) {
    this.file = file;
    this.#fd = openSync(file, 'w+', 0o600);
    writeSync(this.#fd, Buffer.alloc(pageBytes), 0, pageBytes, 0);
  }

  arm(fault: Fault): void {
    this.disarm();
    const fields = [
      1 << callBits[fault.call],
      fault.nth,
      kinds[fault.kind],
      fault.delayMs ?? 0,
      fault.sticky === true ? 1 : 0,
      fault.fresh === true ? 1 : 0,
      0,
      0,
      0,
    ];
    const bytes = Buffer.alloc(4 * fields.length);
    fields.forEach((value, index) => bytes.writeUInt32LE(value, 4 * index));
    writeSync(this.#fd, bytes, 0, bytes.length, 4);
    this.#epoch += 1;
    this.#write(0, this.#epoch);
  }

  disarm(): void {
    this.#write(0, 0);
  }

  /** The process that it struck, 0 while none. */
  get victim(): number {
    return this.#read(28);
  }

  /** How many calls failed or were slow. */
  get struck(): number {
    return this.#read(32);
  }

  /** How many calls of the kind the busiest process has made. */
  get counted(): number {
    return this.#read(36);
  }

  /** And removes the file; processes that have mapped it keep the page. */
  close(): void {
    this.disarm();
    closeSync(this.#fd);
    rmSync(this.file);
  }

  #write(at: number, value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    writeSync(this.#fd, bytes, 0, 4, at);
  }

  #read(at: number): number {
    const bytes = Buffer.alloc(4);
    readSync(this.#fd, bytes, 0, 4, at);
    return bytes.readUInt32LE();
  }
}
