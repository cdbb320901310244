/** One Worker in the test's own process, on free ports and a data directory of its own. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';

import type { Log } from '../../src/base/log.js';
import type { LimitsConfig } from '../../src/config/config.js';
import { loadConfig } from '../../src/config/load.js';
import { addUser } from '../../src/pool/users-file.js';
import { Worker } from '../../src/worker/worker.js';
import { freePort } from '../support/ports.js';
import { testCertificate } from '../support/postern.js';

export interface TestListener {
  readonly name: string;
  readonly address?: string;
  readonly role?: 'inbound' | 'submission';
  readonly protocol?: 'smtp' | 'lmtp';
  readonly tls?: 'off' | 'starttls' | 'required' | 'implicit';
  readonly proxyProtocol?: readonly string[];
  readonly clientCertificate?: 'off' | 'ask' | 'require';
  readonly xclient?: readonly string[];
}

export interface TestWorkerOptions {
  /** Beside the test certificate, under `tls`. */
  readonly tls?: Readonly<Record<string, unknown>>;
  readonly ticketSecret?: Buffer;
  readonly maxRecipientsHeld?: number;
  readonly listeners?: readonly TestListener[];
  readonly limits?: Readonly<Record<string, string | number | readonly string[]>>;
  readonly unauthorizedPipelining?: 'refuse' | 'tolerate';
  readonly greetDelay?: string;
  /** With the lists to ask and a DNS server. */
  readonly dnsbl?: Readonly<Record<string, unknown>>;
  readonly dnsServer?: string;
  /** Over all of the above, and with values that no config file may have. */
  readonly exactLimits?: Partial<LimitsConfig>;
  /** Of the route that all mail takes; left out: a port where nobody listens. */
  readonly to?: string;
  /** Beside ok.test. */
  readonly domains?: readonly object[];
  /** Name → password. */
  readonly users?: Readonly<Record<string, string>>;
  readonly log?: Log;
  /** PLAIN and LOGIN where left out. */
  readonly mechanisms?: readonly string[];
}

export interface TestWorker {
  readonly worker: Worker;
  readonly ports: Readonly<Record<string, number>>;
  /** Of the first listener. */
  readonly port: number;
  close(): Promise<void>;
}

/** Accepts mail for ok.test and keeps it, unless `to` leads somewhere. */
export async function startWorker(options: TestWorkerOptions = {}): Promise<TestWorker> {
  const directory = mkdtempSync(join(tmpdir(), 'postern-worker-'));
  const ports: Record<string, number> = {};
  const wanted = options.listeners ?? [{ name: 'mx' }];
  for (const { name } of wanted) ports[name] = await freePort();
  const listeners = wanted.map((listener) => ({
    address: '127.0.0.1',
    role: 'inbound',
    tls: 'off',
    ...(listener.role === 'submission' ? { route: 'nowhere' } : {}),
    ...listener,
    port: ports[listener.name],
  }));
  const usersFile = join(directory, 'users.yaml');
  for (const [name, password] of Object.entries(options.users ?? {}))
    await addUser(usersFile, name, password, { extras: ['SCRAM-SHA-1', 'CRAM-MD5'] });
  const text = JSON.stringify({
    hostname: 'mx.test',
    dataDir: directory,
    workers: 1,
    listeners,
    ...(listeners.some(({ tls }) => tls !== 'off') ? { tls: { ...testCertificate, ...options.tls } } : {}),
    ...(options.users === undefined
      ? {}
      : { auth: { mechanisms: options.mechanisms ?? ['PLAIN', 'LOGIN'], users: { file: usersFile } } }),
    domains: [{ names: ['ok.test'], recipients: 'any', route: 'nowhere' }, ...(options.domains ?? [])],
    routes: { nowhere: { to: options.to ?? `smtp://127.0.0.1:${await freePort()}` } },
    // Tests that break rules on purpose neither wait nor are sent away for it, unless they ask for that.
    limits: { diskReserve: '0', errorDelay: '0', ...options.limits },
    policy: {
      unauthorizedPipelining: options.unauthorizedPipelining ?? 'tolerate',
      greetDelay: options.greetDelay ?? '0',
      ...(options.dnsbl === undefined ? {} : { dnsbl: options.dnsbl }),
    },
    ...(options.dnsServer === undefined ? {} : { dns: { servers: [options.dnsServer] } }),
  });
  const file = join(directory, 'postern.yaml');
  writeFileSync(file, text);
  const config = loadConfig(file, {});
  const worker = await Worker.open({
    config: { ...config, limits: { ...config.limits, ...options.exactLimits } },
    slot: 0,
    incarnation: `test-${process.pid}-${Object.values(ports).join('-')}`,
    ...(options.ticketSecret === undefined ? {} : { ticketSecret: options.ticketSecret }),
    maxRecipientsHeld: options.maxRecipientsHeld,
    log: options.log ?? pino({ level: 'silent' }),
    onPhase: () => undefined,
    onFailing: () => undefined,
    onFailed: () => undefined,
  });
  await worker.serve();
  return {
    worker,
    ports,
    port: Object.values(ports)[0] ?? 0,
    close: async () => {
      await worker.drain('stop', 0);
      rmSync(directory, { recursive: true });
    },
  };
}
