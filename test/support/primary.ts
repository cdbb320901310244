/** The built primary (dist/) over workers without mail, for the tests of src/primary. */
import { connect, type Socket } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import type { Status } from '../../src/base/messages.js';
import { valueOf } from './exposition.js';
import { freePort } from './ports.js';
import { until } from './processes.js';
import { Program, signalQuietly, type Exit } from './program.js';

const driver = resolve(import.meta.dirname, 'primary-driver.mjs');

/** What fake-worker.mjs obeys. */
interface Fake {
  dieBeforeReady?: boolean;
  unable?: { code: string; message: string };
  neverReady?: boolean;
  /** Part of the name of a queue file that ends who scans it. */
  dieScanning?: string;
  dieSignal?: NodeJS.Signals;
  /** Stands still there instead of dying. */
  hang?: boolean;
  /** Part of the name of a queue file in which every commit fails. */
  cannotCommit?: string;
  /** Part of the name of a queue file that it calls unusable. */
  unusable?: string;
  /** What it does when it is to salvage a file; refuses otherwise. */
  salvage?: 'done' | 'die';
  leased?: number;
  /** Why it refuses mail. */
  refusing?: string;
  silent?: boolean;
  /** Leaves the admin's questions without an answer. */
  mute?: boolean;
  ignoreDrain?: boolean;
  cutOnReload?: boolean;
  networks?: Record<string, number>;
}

export interface PrimaryConfig {
  hostname?: string;
  dataDir?: string;
  workers?: number;
  admin?: { address: string; port: number; token: string };
  auth?: { usersFile?: string };
  notifications?: object;
  /** Only their names matter. */
  routes?: Record<string, object>;
  listeners?: { name: string; address: string; port: number }[];
  limits?: { connectionsPerWorker: number; connectionsPerHost: number; connectionsPerNetwork: number };
  log?: { level: string };
  /** `all` workers, and over it by slot. */
  fake?: Record<string, Fake>;
  /** Throws in the primary, outside of any call, at the next reload. */
  bug?: boolean;
  faults?: { place: string; path: string; text: string }[];
}

export type Line = Record<string, unknown> & {
  readonly event?: string;
  readonly slot?: number;
  readonly pid?: number;
  readonly time?: string;
  readonly text?: string;
};

export class Primary {
  readonly directory: string;
  readonly dataDir: string;
  readonly port: number;
  readonly adminPort: number;
  readonly log: Line[] = [];
  readonly #config: Required<Pick<PrimaryConfig, 'dataDir' | 'admin' | 'listeners'>> & PrimaryConfig;
  readonly #program: Program;

  private constructor(
    directory: string,
    config: PrimaryConfig,
    ports: { smtp: number; admin: number },
    silenceBoundMs?: number,
  ) {
    this.directory = directory;
    this.#config = {
      hostname: 'first.example.test',
      workers: 2,
      dataDir: join(directory, 'data'),
      admin: { address: '127.0.0.1', port: ports.admin, token: 'a-token-for-tests' },
      listeners: [{ name: 'mx', address: '127.0.0.1', port: ports.smtp }],
      limits: { connectionsPerWorker: 100, connectionsPerHost: 5, connectionsPerNetwork: 10 },
      log: { level: 'info' },
      auth: { usersFile: '/etc/postern/users.yaml' },
      notifications: {},
      routes: {},
      fake: {},
      ...config,
    };
    this.dataDir = this.#config.dataDir;
    this.adminPort = this.#config.admin.port;
    this.port = this.#config.listeners[0]?.port ?? 0;
    this.#write(this.#config);
    const silence = silenceBoundMs === undefined ? [] : [String(silenceBoundMs)];
    this.#program = new Program(process.execPath, [driver, this.configFile, ...silence], {
      // What vitest puts there is for vitest's own processes.
      env: { NODE_OPTIONS: '' },
      stopTimeoutMs: 45_000,
      onLine: (line) => {
        if (line.startsWith('{')) this.#take(line);
      },
    });
  }

  static async start(config: PrimaryConfig = {}, silenceBoundMs?: number): Promise<Primary> {
    const directory = mkdtempSync(join(tmpdir(), 'postern-primary-'));
    const ports = { smtp: await freePort(), admin: await freePort() };
    return new Primary(directory, config, ports, silenceBoundMs);
  }

  static async startReady(config: PrimaryConfig = {}, silenceBoundMs?: number): Promise<Primary> {
    const primary = await Primary.start(config, silenceBoundMs);
    await primary.event('service.ready');
    return primary;
  }

  get configFile(): string {
    return join(this.directory, 'config.json');
  }

  get pid(): number {
    return this.#program.pid;
  }

  get exited(): Promise<Exit> {
    return this.#program.exited;
  }

  get stderr(): string {
    return this.#program.stderr.join('\n');
  }

  events(event: string, facts: Line = {}): Line[] {
    return this.log.filter(
      (line) => line.event === event && Object.entries(facts).every(([key, value]) => line[key] === value),
    );
  }

  /** Waits for the `count`-th such line. */
  async event(event: string, facts: Line = {}, count = 1): Promise<Line> {
    const what = `${count} × ${event} ${JSON.stringify(facts)}`;
    try {
      return await until(what, () => this.events(event, facts)[count - 1]);
    } catch (error) {
      const lines = this.log.map((line) => JSON.stringify(line)).join('\n');
      throw new Error(`${what} is not in the log:\n${lines}\n${this.stderr}`, { cause: error });
    }
  }

  /** Process ids by slot, of the workers that accept mail. */
  async pids(): Promise<Map<number, number>> {
    const { workers } = await this.api<Status>('/api/v1/status');
    const ready = workers.filter(({ state }) => state === 'ready');
    return new Map(ready.map(({ slot, pid }) => [slot, pid]));
  }

  async pidOf(slot: number): Promise<number> {
    return until(`a worker in slot ${slot}`, async () => (await this.pids()).get(slot));
  }

  /** Slots with a worker that accepts mail, in order. */
  async slots(): Promise<number[]> {
    return [...(await this.pids()).keys()].toSorted((a, b) => a - b);
  }

  async api<T = unknown>(path: string, method = 'GET'): Promise<T> {
    const answer = await this.fetch(path, method);
    // The caller asks for what the test is about.
    const value: T = JSON.parse(await answer.text());
    return value;
  }

  /** @param series as in the exposition, labels included */
  async metric(series: string): Promise<number | undefined> {
    return valueOf(await (await this.fetch('/metrics')).text(), series);
  }

  /** A client that has been greeted; what it was greeted with is its worker's process id. */
  async connect(): Promise<{ socket: Socket; pid: number }> {
    const socket = connect(this.port, '127.0.0.1');
    socket.setEncoding('latin1');
    const pid = await new Promise<number>((resolve, reject) => {
      socket.once('data', (greeting) => resolve(Number(greeting)));
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('closed before the greeting')));
    });
    return { socket, pid };
  }

  async fetch(path: string, method = 'GET', token = this.#config.admin.token): Promise<Response> {
    const headers = { Authorization: `Bearer ${token}` };
    return fetch(`http://127.0.0.1:${this.adminPort}${path}`, { method, headers });
  }

  /** What the next reload reads. */
  change(config: PrimaryConfig): void {
    this.#write({ ...this.#config, ...config });
  }

  signal(signal: NodeJS.Signals): void {
    signalQuietly(this.pid, signal);
  }

  async stop(): Promise<Exit> {
    return this.#program.stop();
  }

  async dispose(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #take(line: string): void {
    const parsed: Line = JSON.parse(line);
    this.log.push(parsed);
  }

  #write(config: PrimaryConfig): void {
    writeFileSync(this.configFile, JSON.stringify(config));
  }
}
