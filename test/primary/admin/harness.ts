/** Starts the admin HTTP on a free port over a fake backend, and speaks HTTP to it, also raw. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach } from 'vitest';

import type { Config } from '../../../src/config/config.js';
import { startAdmin, type AdminServer } from '../../../src/primary/admin/server.js';
import { FakeBackend } from './fake-backend.js';

export const token = 'test-token-0123456789';

export interface Harness {
  readonly backend: FakeBackend;
  readonly admin: AdminServer;
  readonly dataDir: string;
  /** Lines of the log, parsed. */
  readonly logged: Record<string, unknown>[];
}

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

export async function temporaryDataDir(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-admin-'));
  cleanups.push(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

export async function startHarness(
  admin: Partial<Config['admin']> = {},
  options: { readonly answerTimeoutMs?: number } = {},
): Promise<Harness> {
  const dataDir = await temporaryDataDir();
  const logged: Record<string, unknown>[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => logged.push(parseObject(line)) });
  const backend = new FakeBackend();
  const server = await startAdmin({ config: configWith(dataDir, admin), log, backend, ...options });
  cleanups.push(() => server.close());
  return { backend, admin: server, dataDir, logged };
}

/** Only what the admin HTTP reads of it matters here. */
export function configWith(dataDir: string, admin: Partial<Config['admin']>): Config {
  return {
    hostname: 'mx1.example.org',
    postmaster: undefined,
    dataDir,
    workers: 1,
    listeners: [],
    tls: undefined,
    admin: { address: '127.0.0.1', port: 0, token, ...admin },
    dns: { servers: [] },
    domains: [],
    routes: {},
    notifications: {
      enabled: false, delayAfterMs: 0, route: undefined, templateFile: undefined, perSenderPerHour: 1, perHour: 1,
      keepFailedMs: 0,
    }, // prettier-ignore
    limits: noLimits,
    policy: {
      bareNewlines: { mode: 'reject', normalizeFrom: [] },
      dnsbl: undefined,
      greetDelayMs: 0,
      unauthorizedPipelining: 'tolerate',
    },
    auth: { mechanisms: [], usersFile: undefined, backend: undefined, cacheMs: 0, tokens: undefined },
    log: { level: 'info' },
  };
}

const noLimits: Config['limits'] = {
  messageBytes: 0, recipients: 0, bytesInFlight: 0, diskReserve: 0, queueMessages: 0, queueBytes: 0, ownReceivedHops: 0, exempt: [], connectionsPerWorker: 0,
  connectionsPerHost: 0, connectionsPerNetwork: 0, connectionsPerHostPerMinute: 0, connectionsPerNetworkPerMinute: 0,
  messagesPerHostPerMinute: 0, messagesPerNetworkPerMinute: 0, recipientsPerHostPerMinute: 0,
  recipientsPerNetworkPerMinute: 0, authFailuresPerHostPerMinute: 0, authFailuresPerNetworkPerMinute: 0,
  authFailuresPerAccountPerMinute: 0, errors: 0, junkCommands: 0, authFailures: 0,
  commandLineBytes: 0, dataLineBytes: 0, headerBytes: 0, receivedHops: 0, commandTimeoutMs: 0,
  dataTimeoutMs: 0, messageTimeoutMs: 0, tlsHandshakeTimeoutMs: 0, proxyHeaderTimeoutMs: 0, softErrors: 0, errorDelayMs: 0,
  headerFields: 0, bytesInFlightPerHost: 0, bytesInFlightPerNetwork: 0, transactions: 0, dataBytesPerSecond: 0, dataRateAfterMs: 0,
  sessionAgeMs: 0,
  stress: { errors: 0, junkCommands: 0, commandTimeoutMs: 0, dataTimeoutMs: 0, tlsHandshakeTimeoutMs: 0 },
}; // prettier-ignore

export interface Answered {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly text: string;
  readonly bytes: Buffer;
  /** The body as JSON; undefined where it is none. */
  readonly json: unknown;
}

/** fetch() lets nobody set Host; this does. The token goes along unless `headers` has an authorization. */
export async function call(
  { admin }: Harness,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string | Buffer,
): Promise<Answered> {
  const sent = request({
    host: '127.0.0.1',
    port: admin.port,
    method,
    path,
    headers: { authorization: `Bearer ${token}`, ...headers },
    agent: false,
  });
  sent.end(body);
  const [response] = await once(sent, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(Buffer.from(chunk));
  const bytes = Buffer.concat(chunks);
  const text = bytes.toString('utf8');
  const isJson = String(response.headers['content-type']).startsWith('application/json');
  return {
    status: response.statusCode,
    headers: response.headers,
    text,
    bytes,
    json: isJson && text !== '' ? JSON.parse(text) : undefined,
  };
}

function parseObject(line: string): Record<string, unknown> {
  const value: unknown = JSON.parse(line);
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

/** A raw TCP connection; destroyed after the test. */
export async function rawConnection({ admin }: Harness): Promise<Socket> {
  const socket = connect(admin.port, '127.0.0.1');
  socket.on('error', () => socket.destroy());
  cleanups.push(async () => {
    socket.destroy();
  });
  await once(socket, 'connect');
  return socket;
}

/** Everything until the server closes. */
export async function readToEnd(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}
