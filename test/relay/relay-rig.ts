/** A dispatcher over a fake spool, and what tests of it say again and again: hops, routes, waiting, log lines, counts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';

import type { Hop, RetryConfig, RouteConfig } from '../../src/config/config.js';
import { Dispatcher, type DispatcherOptions } from '../../src/relay/dispatcher.js';
import { FakeHop, type FakeHopOptions } from '../support/fake-hop.js';
import { MemorySpool, type Settlement } from './memory-spool.js';

export const retry: RetryConfig = { firstMs: 60_000, maxMs: 3_600_000, expireMs: 86_400_000 };

export function routeTo(hops: readonly Hop[], changes: Partial<RouteConfig> = {}): RouteConfig {
  return {
    name: 'out',
    hops,
    tls: 'off',
    tlsCa: undefined,
    tlsFingerprints: [],
    auth: undefined,
    timeouts: {},
    messagesPerSecond: Infinity,
    connections: 4,
    messagesPerConnection: 100,
    retry,
    ...changes,
  };
}

export function smtp(port: number, host = '127.0.0.1', priority = 0, weight = 1): Hop {
  return { kind: 'smtp', host, port, priority, weight };
}

export function lmtp(port: number): Hop {
  return { kind: 'lmtp', host: '127.0.0.1', port, priority: 0, weight: 1 };
}

/** A hop that is tried when those before it cannot be reached. */
export function backup(port: number): Hop {
  return smtp(port, '127.0.0.1', 1);
}

/** A hop that is closed after the test. */
export async function fakeHop(options: FakeHopOptions = {}): Promise<FakeHop> {
  const hop = await new FakeHop(options).listen();
  onTestFinished(() => hop.close());
  return hop;
}

/** Answers no SYN, as a dead machine does: a stopped process whose queue of connections is full. */
export async function blackHole(host: string, port = 0): Promise<number> {
  const listen = `listen({host:'${host}',port:${port},backlog:1},function(){console.log(this.address().port)})`;
  const program = `require('net').createServer().${listen}`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [said] = await once(child.stdout, 'data');
  child.kill('SIGSTOP');
  const bound = Number(String(said));
  for (let i = 0; i < 8; i++) {
    const socket = connect({ host, port: bound });
    socket.on('error', () => socket.destroy());
    onTestFinished(() => void socket.destroy());
  }
  return bound;
}

/** A port that nobody listens on. */
export async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return address.port;
}

export type LogLine = { readonly event: string } & Readonly<Record<string, unknown>>;

export class RelayRig {
  readonly spool = new MemorySpool();
  readonly lines: LogLine[] = [];
  readonly deliveries = new Map<string, number>();
  readonly seconds: number[] = [];
  readonly ambiguous = { value: 0 };
  readonly resting = { value: 0 };
  readonly dispatcher: Dispatcher;

  constructor(route: RouteConfig | readonly RouteConfig[], options: Partial<DispatcherOptions> = {}) {
    const routes = 'name' in route ? [route] : route;
    const lines = this.lines;
    this.dispatcher = new Dispatcher({
      spool: this.spool,
      routes: Object.fromEntries(routes.map((each) => [each.name, each])),
      hostname: 'mx.example.org',
      log: pino({ level: 'debug' }, { write: (text: string) => lines.push(parseLine(text)) }),
      meters: {
        relayDeliveriesTotal: { of: (...labels) => this.#cell(labels.join(' ')) },
        relayAmbiguousTotal: { of: () => this.ambiguous },
        relayHopsResting: { of: () => this.resting },
        relaySeconds: { of: () => ({ observe: (value) => this.seconds.push(value) }) },
      },
      idleConnectionMs: 300,
      ...options,
    });
    onTestFinished(() => this.dispatcher.stop(100));
  }

  start(): this {
    this.dispatcher.start();
    return this;
  }

  /** One message to these recipients of route `out`, delivered once: what was settled for it. */
  async deliver(body: Buffer | string, ...names: string[]): Promise<Settlement> {
    const before = this.spool.settlements.length;
    const recipients = (names.length === 0 ? ['someone'] : names).map((name) => ({
      address: `${name}@example.test`,
      route: 'out',
    }));
    this.spool.add(body, { recipients });
    this.start();
    await this.settled(before + 1);
    const settlement = this.spool.settlements[before];
    if (settlement === undefined) throw new Error('unreachable');
    return settlement;
  }

  events(event: string): LogLine[] {
    return this.lines.filter((line) => line.event === event);
  }

  /** Waits until as many settlements are there. */
  async settled(count: number): Promise<void> {
    await until(() => this.spool.settlements.length >= count, `${count} settlements`);
  }

  #cell(labels: string): { value: number } {
    const { deliveries } = this;
    return {
      get value() {
        return deliveries.get(labels) ?? 0;
      },
      set value(value) {
        deliveries.set(labels, value);
      },
    };
  }
}

/** `delivered 250 2.0.0 taken` per recipient. */
export function told(settlement: Settlement): string[] {
  return settlement.results.map((result) => `${result.state} ${result.lastReply}`);
}

function parseLine(text: string): LogLine {
  const line: LogLine = JSON.parse(text);
  return line;
}

/** A generous bound: tests say what must happen, not how fast. */
export async function until(condition: () => boolean, what: string, boundMs = 15_000): Promise<void> {
  const endMs = Date.now() + boundMs;
  while (!condition()) {
    if (Date.now() > endMs) throw new Error(`did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
