/**
 * The admin API as the commands call it. Owns where it is, the token, and what a person is told when it cannot be
 * reached or refuses. Never opens a queue file: the server has them.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request, type IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { describeError, errorCodeOf, PosternError } from '../base/errors.js';
import { loadAdminAccess, type AdminAccess } from '../config/partial.js';
import type { ConfigOption } from './config-file.js';
import { UsageError } from './failure.js';

// A page of the queue comes from all workers; a busy one still answers within this.
const answerTimeoutMs = 30_000;
/** A reload answers when every worker has been replaced. */
export const reloadTimeoutMs = 300_000;

/** The API said no. `code` is its own, for programs; `details` what else came in the error. */
export class RefusedError extends PosternError {
  readonly status: number;
  readonly reason: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(status: number, reason: string, message: string, details: Readonly<Record<string, unknown>>) {
    super('ADMIN_REFUSED', message);
    this.status = status;
    this.reason = reason;
    this.details = details;
  }
}

type Method = 'GET' | 'POST' | 'DELETE';

const octets = 'application/octet-stream';

/** What goes along with a call: one body at most. */
export interface Sent {
  readonly json?: unknown;
  readonly bytes?: Buffer;
  readonly timeoutMs?: number;
}

interface Received {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
}

export class AdminClient {
  readonly #access: AdminAccess;
  readonly #configFile: string;
  // Calls follow each other closely: one connection serves many.
  readonly #agent = new Agent({ keepAlive: true });
  #token: string | undefined;

  /** @throws ConfigError, UsageError */
  constructor(options: ConfigOption) {
    this.#access = loadAdminAccess(options.config, process.env);
    this.#configFile = options.config;
    if (this.#access.port === 0)
      throw new UsageError(
        `admin.port in ${options.config} is 0, a free port each time, so it cannot be known: set a port`,
      );
  }

  /** `127.0.0.1:2580` */
  get place(): string {
    const host = reachable(this.#access.address);
    return `${isIPv6(host) ? `[${host}]` : host}:${this.#access.port}`;
  }

  /** @throws PosternError ADMIN_UNREACHABLE, ADMIN_REFUSED (RefusedError when the API itself says no) */
  async call<T>(method: Method, path: string, sent: Sent = {}): Promise<T> {
    const { status, body } = await this.#fetch(method, path, sent);
    const text = body.toString('utf8');
    const answer: unknown = parseJson(text);
    if (status >= 200 && status < 300 && answer !== undefined) {
      const value: T = JSON.parse(text);
      return value;
    }
    throw this.#refusal(status, answer);
  }

  /** Bytes as they are. @throws as call */
  async read(path: string): Promise<Buffer> {
    const { status, body, type } = await this.#fetch('GET', path, {});
    if (status === 200 && type === octets) return body;
    throw this.#refusal(status, parseJson(body.toString('utf8')));
  }

  /** Whether anything listens there still. */
  async isUp(): Promise<boolean> {
    try {
      await this.#exchange('GET', '/livez', {}, {}, AbortSignal.timeout(5_000));
      return true;
    } catch (error) {
      return isTimeout(error);
    }
  }

  async #fetch(method: Method, path: string, sent: Sent): Promise<Received> {
    const { timeoutMs = answerTimeoutMs } = sent;
    this.#token ??= this.#access.token ?? (await this.#readToken());
    const headers = { authorization: `Bearer ${this.#token}`, ...contentType(sent) };
    try {
      return await this.#exchange(method, path, headers, sent, AbortSignal.timeout(timeoutMs));
    } catch (error) {
      throw new PosternError('ADMIN_UNREACHABLE', this.#unreachable(error, timeoutMs), error);
    }
  }

  async #exchange(
    method: Method,
    path: string,
    headers: Record<string, string>,
    sent: Sent,
    signal: AbortSignal,
  ): Promise<Received> {
    const call = request(`http://${this.place}${path}`, { method, headers, agent: this.#agent, signal });
    call.end(sent.json === undefined ? sent.bytes : JSON.stringify(sent.json));
    const [response]: IncomingMessage[] = await once(call, 'response');
    if (response === undefined) throw new TypeError('no response came with its event');
    const chunks: Buffer[] = [];
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    const { statusCode = 0, headers: answered } = response;
    return { status: statusCode, type: answered['content-type'] ?? '', body: Buffer.concat(chunks) };
  }

  #unreachable(error: unknown, timeoutMs: number): string {
    const where = `the admin address ${this.place} of ${this.#configFile}`;
    if (isTimeout(error))
      return `no answer from ${where} within ${timeoutMs / 1000} s; the server's log may say why`;
    return errorCodeOf(error) === 'ECONNREFUSED'
      ? this.#notRunning()
      : `no Postern can be reached on ${where}: ${describeError(error)}`;
  }

  #notRunning(): string {
    return `no Postern runs on the admin address ${this.place} of ${this.#configFile}. Start it with \`postern start --config ${this.#configFile}\`, or name the config that it runs with: --config FILE`;
  }

  async #readToken(): Promise<string> {
    const file = join(this.#access.dataDir, 'admin.token');
    try {
      return readFileSync(file, 'utf8').trim();
    } catch (error) {
      // Without a server there need be no token either: the first is what to say then.
      if (!(await this.isUp())) throw new PosternError('ADMIN_UNREACHABLE', this.#notRunning(), error);
      const advice = tokenAdvice(error);
      throw new PosternError('ADMIN_REFUSED', `the admin token ${file} cannot be read: ${advice}`, error);
    }
  }

  #refusal(status: number, answer: unknown): PosternError {
    if (!isErrorBody(answer))
      return new PosternError(
        'ADMIN_REFUSED',
        `what answers on ${this.place} is no Postern (HTTP ${status}); is admin.port right in ${this.#configFile}?`,
      );
    const { code, message, ...details } = answer.error;
    if (status === 401 || status === 403)
      return new RefusedError(
        status,
        code,
        `${message}. The token came from ${this.#tokenSource()}: it must be the running server's. ${this.#tokenHint()}`,
        details,
      );
    return new RefusedError(status, code, message, details);
  }

  #tokenHint(): string {
    return this.#access.token === undefined
      ? otherFolder
      : 'One that was changed in the config holds after a reload: send the primary process SIGHUP';
  }

  #tokenSource(): string {
    return this.#access.token === undefined
      ? join(this.#access.dataDir, 'admin.token')
      : 'admin.token of the config';
  }
}

// A server cannot be asked for its folder without its token.
const otherFolder =
  'The running server keeps its token in the `dataDir` that it was started with. If that differs from the config now: only a restart can change `dataDir`. Put the old one back into the config, or stop the server with SIGTERM and start it again. Without `dataDir` in the config it is ./data in the folder where the server was started';

function tokenAdvice(error: unknown): string {
  const code = errorCodeOf(error);
  if (code === 'EACCES' || code === 'EPERM')
    return 'only the user that runs the server may read it. Run this as that user, or set `admin.token` in the config';
  if (code === 'ENOENT') return `there is none. ${otherFolder}`;
  return describeError(error);
}

function contentType({ json, bytes }: Sent): Record<string, string> {
  if (json !== undefined) return { 'content-type': 'application/json' };
  return bytes === undefined ? {} : { 'content-type': octets };
}

/** An address to connect to, where the config has one to listen on. */
function reachable(address: string): string {
  if (address === '0.0.0.0') return '127.0.0.1';
  return address === '::' ? '::1' : address;
}

/** http's own error has the signal's as its cause. */
function isTimeout(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === 'TimeoutError' || isTimeout(error.cause);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isErrorBody(value: unknown): value is { error: { code: string; message: string } } {
  if (typeof value !== 'object' || value === null || !('error' in value)) return false;
  const { error } = value;
  if (typeof error !== 'object' || error === null || !('code' in error) || !('message' in error))
    return false;
  return typeof error.code === 'string' && typeof error.message === 'string';
}
