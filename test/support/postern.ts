/**
 * The built Postern (dist/) as a child process on free ports and a data directory of its own, for the end-to-end tests.
 * dist/ must exist: vitest's globalSetup builds it.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { freePort } from './ports.js';
import { childrenOf, commandLineOf, descendantsOf, until } from './processes.js';
import { Program, run, signalQuietly, type Exit } from './program.js';

export const root = resolve(import.meta.dirname, '../..');
export const posternMain = join(root, 'dist/cli/main.js');
/** Self-signed for localhost, 127.0.0.1 and mx.example.test; valid until 2126. */
export const testCertificate = {
  certificate: join(root, 'test/support/tls/localhost.crt'),
  key: join(root, 'test/support/tls/localhost.key'),
};

type Json = string | number | boolean | null | readonly Json[] | JsonMap;
type JsonMap = { readonly [key: string]: Json | undefined };
interface ListenerOverrides {
  readonly name: string;
  readonly port?: number;
  readonly [key: string]: Json | undefined;
}
/** As in a config file. */
export interface ConfigOverrides {
  readonly dataDir?: string;
  readonly listeners?: readonly ListenerOverrides[];
  readonly admin?: { readonly port?: number; readonly [key: string]: Json | undefined };
  readonly [key: string]: Json | undefined;
}

export interface PosternOptions {
  /** Laid over the base config: maps deeply, lists and scalars replaced. A listener without `port` gets a free one. */
  readonly config?: ConfigOverrides;
  /** From an earlier run: same ports, same data, same config file (`config` is ignored). */
  readonly again?: RunningPostern;
  readonly env?: Readonly<Record<string, string>>;
  /** Runs under this program: `['strace', '-f', '-o', FILE]`. */
  readonly wrapper?: readonly string[];
  readonly nodeArguments?: readonly string[];
  /** False: do not wait for /readyz, for starts that must fail. */
  readonly waitUntilReady?: boolean;
  /** Each line as it was written, before it is parsed. */
  readonly onLine?: (line: string) => void;
}

/** One line of Postern's log, as written. */
type LogLine = { readonly event?: string; readonly msg?: string } & Record<string, unknown>;

export interface RunningPostern {
  /** The primary. */
  readonly pid: number;
  /** In the order in which they were forked. */
  workerPids(): number[];
  /** Of the first listener. */
  readonly smtpPort: number;
  /** By listener name. */
  readonly ports: Readonly<Record<string, number>>;
  readonly adminPort: number;
  readonly adminUrl: string;
  /** Temporary; holds the config file and the data directory; removed by dispose(). */
  readonly directory: string;
  readonly dataDir: string;
  readonly configFile: string;
  readonly log: readonly LogLine[];
  /** What came on stdout and stderr that is not a log line. */
  readonly output: () => string;
  readonly exited: Promise<Exit>;
  /** Sum of the samples of a metric whose labels include these; 0 when there is none. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  /** A call to the admin API with its token. */
  api(path: string, init?: RequestInit): Promise<Response>;
  /** The `postern` command against this instance: `cli('queue', 'list', '--json')`. */
  cli(...args: string[]): Promise<Exit & { stdout: string; stderr: string }>;
  /** The primary alone. For a worker: process.kill(workerPids()[0], …). */
  kill(signal: NodeJS.Signals): void;
  /** Primary and workers at once, as a power cut would. */
  killAll(): Promise<void>;
  /** SIGTERM; resolves when it has exited. */
  stop(): Promise<Exit>;
  /** Stops if need be, and removes the directory. */
  dispose(): Promise<void>;
}

const baseListeners: readonly ListenerOverrides[] = [{ name: 'mx', role: 'inbound', tls: 'off' }];

const baseConfig: ConfigOverrides = {
  hostname: 'mx.example.test',
  workers: 2,
  domains: [{ names: ['example.test', 'localhost'], recipients: 'any', route: 'disk' }],
  routes: { disk: { to: 'maildir:./maildir' } },
  // Test machines have small disks; what happens at the reserve has its own test.
  limits: { diskReserve: '1MiB' },
};

/** `tls: starttls` on the only listener, with the test certificate. */
export const withStartTls: ConfigOverrides = {
  tls: testCertificate,
  listeners: [{ name: 'mx', role: 'inbound', tls: 'starttls' }],
};

export async function startPostern(options: PosternOptions = {}): Promise<RunningPostern> {
  const place = options.again ?? (await prepare(options.config ?? {}));
  const log: LogLine[] = [];
  const other: string[] = [];
  const [command, ...args] = [
    ...(options.wrapper ?? []),
    process.execPath,
    ...(options.nodeArguments ?? []),
    posternMain,
    'start',
    '--config',
    place.configFile,
  ];
  const program = new Program(command, args, {
    // Its default dataDir and everything relative belongs to this run.
    cwd: place.directory,
    env: { NODE_ENV: 'test', ...options.env },
    stopTimeoutMs: 45_000,
    onLine: (line) => {
      options.onLine?.(line);
      sortLine(line, log, other);
    },
  });
  const running = new Running(program, place, log, other);
  if (options.waitUntilReady !== false) await running.ready();
  return running;
}

interface Place {
  readonly directory: string;
  readonly dataDir: string;
  readonly configFile: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly adminPort: number;
}

async function prepare(overrides: ConfigOverrides): Promise<Place> {
  const directory = mkdtempSync(join(tmpdir(), 'postern-test-'));
  const dataDir = overrides.dataDir ?? join(directory, 'data');
  const ports: Record<string, number> = {};
  const listeners: ListenerOverrides[] = [];
  for (const listener of overrides.listeners ?? baseListeners) {
    const port = listener.port ?? (await freePort());
    ports[listener.name] = port;
    listeners.push({ address: '127.0.0.1', ...listener, port });
  }
  const adminPort = overrides.admin?.port ?? (await freePort());
  const config = {
    ...merge(baseConfig, overrides),
    dataDir,
    listeners,
    admin: { address: '127.0.0.1', ...overrides.admin, port: adminPort },
  };
  const configFile = join(directory, 'postern.yaml');
  writeFileSync(configFile, JSON.stringify(config, undefined, 2)); // JSON is YAML
  return { directory, dataDir, configFile, ports, adminPort };
}

function merge(base: JsonMap, over: JsonMap): JsonMap {
  const merged: Record<string, Json | undefined> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const old = merged[key];
    merged[key] = isMap(old) && isMap(value) ? merge(old, value) : value;
  }
  return merged;
}

function isMap(value: Json | undefined): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sortLine(line: string, log: LogLine[], other: string[]): void {
  const parsed = parseJson(line);
  if (typeof parsed === 'object' && parsed !== null) log.push({ ...parsed });
  else other.push(line);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

class Running implements RunningPostern {
  readonly log: LogLine[];
  readonly directory: string;
  readonly dataDir: string;
  readonly configFile: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly adminPort: number;
  readonly #program: Program;
  readonly #other: string[];

  constructor(program: Program, place: Place, log: LogLine[], other: string[]) {
    this.#program = program;
    this.log = log;
    this.#other = other;
    this.directory = place.directory;
    this.dataDir = place.dataDir;
    this.configFile = place.configFile;
    this.ports = place.ports;
    this.adminPort = place.adminPort;
  }

  get pid(): number {
    const candidates = [this.#program.pid, ...descendantsOf(this.#program.pid)];
    const primary = candidates.find((pid) => commandLineOf(pid).startsWith(process.execPath));
    return primary ?? this.#program.pid;
  }

  workerPids(): number[] {
    return childrenOf(this.pid);
  }

  get smtpPort(): number {
    const [port] = Object.values(this.ports);
    if (port === undefined) throw new Error('no listener');
    return port;
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${this.adminPort}`;
  }

  get exited(): Promise<Exit> {
    return this.#program.exited;
  }

  readonly output = (): string => this.#other.join('\n');

  async ready(): Promise<void> {
    let gone: Exit | undefined;
    void this.exited.then((exit) => (gone = exit));
    try {
      await until('Postern is ready', async () => {
        if (gone !== undefined) throw new Error(`Postern ended with ${gone.code ?? gone.signal}`);
        const response = await fetch(`${this.adminUrl}/readyz`).catch(() => undefined);
        return response?.status === 200;
      });
    } catch (error) {
      const lines = [...this.#other, ...this.log.map((line) => JSON.stringify(line))].slice(-30);
      await this.dispose();
      throw new Error(`${String(error)}\n${lines.join('\n')}`, { cause: error });
    }
  }

  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const text = await (await fetch(`${this.adminUrl}/metrics`)).text();
    const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
    return text
      .split('\n')
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
      .filter((line) => wanted.every((label) => line.includes(label)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  api(path: string, init: RequestInit = {}): Promise<Response> {
    const token = readFileSync(join(this.dataDir, 'admin.token'), 'utf8').trim();
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${token}`);
    return fetch(`${this.adminUrl}${path}`, { ...init, headers });
  }

  cli(...args: string[]): Promise<Exit & { stdout: string; stderr: string }> {
    return run(process.execPath, [posternMain, ...args, '--config', this.configFile], {
      cwd: this.directory,
    });
  }

  kill(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  async killAll(): Promise<void> {
    // The primary first: it must not see its workers die and replace them.
    const pids = [this.pid, ...this.workerPids()];
    for (const pid of pids) signalQuietly(pid, 'SIGKILL');
    await this.exited;
    await until('all processes are gone', () => pids.every((pid) => commandLineOf(pid) === ''));
  }

  stop(): Promise<Exit> {
    // Under a wrapper the signal is for Postern; the wrapper ends with it.
    return this.#program.stop('SIGTERM', this.pid);
  }

  async dispose(): Promise<void> {
    if (this.#program.isRunning) await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
