/**
 * The admin HTTP: /metrics, /livez and /readyz for anybody who can reach it, /api/v1 for who has the token. Owns the
 * listening socket, its bounds and the checks of Host, Origin and token; what is asked and answered is in routes.ts.
 * The primary starts it; it lives in the process that never touches mail.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

import { describeError, errorCodeOf, PosternError } from '../../base/errors.js';
import type { Log } from '../../base/log.js';
import type { Config } from '../../config/config.js';
import type { AdminBackend } from '../admin-backend.js';
import { SharedCall } from '../../base/shared-call.js';
import { acceptsOrigin, HostCheck } from './origin.js';
import { badRequest, failure, type Answer } from './answer.js';
import { checkNames, ParameterError } from './parameters.js';
import { matchRoute, type Route } from './routes.js';
import { keptToken, TokenCheck } from './token.js';

// A CLI, a few scrapers and a few open pages; far below the file descriptors that mail needs.
const maxConnections = 100;
const maxHeaderBytes = 8192;
// Both run on the whole of what they name, so that dripping bytes does not reset them.
const headersTimeoutMs = 5_000;
const requestTimeoutMs = 10_000;
// For the whole answer: a reader that takes it drop by drop must not keep a page of the queue in memory for ever.
const defaultAnswerTimeoutMs = 30_000;
const keepAliveTimeoutMs = 5_000;
const expiryCheckMs = 1_000;
// What a close gives to calls that are under way.
const closeGraceMs = 2_000;

export interface AdminServer {
  readonly port: number;
  /** A reload: its token and hostname hold from the next request on, also on connections that are open. */
  update(config: Config): Promise<void>;
  /** Takes no new connections, lets calls under way end (2 s), then cuts. */
  close(): Promise<void>;
}

export interface AdminOptions {
  readonly config: Config;
  readonly log: Log;
  readonly backend: AdminBackend;
  /** Until the last byte of an answer is sent, from its first; 30 s. */
  readonly answerTimeoutMs?: number;
}

/** @throws PosternError LISTEN_FAILED, DATA_DIR_UNUSABLE */
export async function startAdmin(options: AdminOptions): Promise<AdminServer> {
  const { address, port } = options.config.admin;
  const admin = new Admin(options, await tokenOf(options.config));
  const server = createServer({
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    connectionsCheckingInterval: expiryCheckMs,
  });
  server.maxConnections = maxConnections;
  server.on('request', (request, response) => void admin.serve(request, response));
  await listen(server, address, port);
  return {
    port: portOf(server),
    update: async (config) => {
      admin.use(config, await tokenOf(config));
    },
    close: () => closeServer(server),
  };
}

async function tokenOf(config: Config): Promise<string> {
  return config.admin.token ?? (await keptToken(config.dataDir));
}

async function listen(server: Server, address: string, port: number): Promise<void> {
  try {
    server.listen(port, address);
    await once(server, 'listening');
  } catch (error) {
    const why =
      errorCodeOf(error) === 'EADDRINUSE'
        ? 'something else listens there; stop it or set admin.port'
        : describeError(error);
    throw new PosternError(
      'LISTEN_FAILED',
      `the admin HTTP cannot listen on ${address}:${port}: ${why}`,
      error,
    );
  }
}

function portOf(server: Server): number {
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new TypeError('the admin server has no TCP address');
  return bound.port;
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  const cut = setTimeout(() => {
    server.closeAllConnections();
  }, closeGraceMs);
  await closed;
  clearTimeout(cut);
}

/** What a request asks for: RFC 9112 §3.2.1 origin-form, or §3.2.2 absolute-form, whose authority replaces Host. */
interface Target {
  readonly authority: string | undefined;
  readonly path: string;
  readonly query: URLSearchParams;
}

function targetOf(request: IncomingMessage): Target | undefined {
  const target = request.url ?? '';
  if (target.startsWith('/')) {
    const mark = target.indexOf('?');
    const path = mark < 0 ? target : target.slice(0, mark);
    const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1));
    return { authority: request.headers.host, path, query };
  }
  if (!target.startsWith('http://') || !URL.canParse(target)) return undefined;
  const url = new URL(target);
  return { authority: url.host, path: url.pathname, query: url.searchParams };
}

class Admin {
  readonly #log: Log;
  readonly #backend: AdminBackend;
  readonly #scrape: SharedCall<string>;
  #token: TokenCheck;
  #hosts: HostCheck;
  readonly #answerTimeoutMs: number;

  constructor({ config, log, backend, answerTimeoutMs }: AdminOptions, token: string) {
    this.#log = log;
    this.#backend = backend;
    this.#scrape = new SharedCall(() => backend.metrics());
    this.#token = new TokenCheck(token);
    this.#hosts = new HostCheck({ address: config.admin.address, names: [config.hostname] });
    this.#answerTimeoutMs = answerTimeoutMs ?? defaultAnswerTimeoutMs;
  }

  use(config: Config, token: string): void {
    this.#token = new TokenCheck(token);
    this.#hosts = new HostCheck({ address: config.admin.address, names: [config.hostname] });
  }

  /** One request; never rejects. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      this.#send(request, response, await this.#answer(request, response));
    } catch (error) {
      // Ours or the backend's fault, unless the client went away while its body was read: then nobody listens.
      if (!response.destroyed) this.#log.error({ event: 'admin.failed', err: error }, describeError(error));
      this.#send(
        request,
        response,
        failure(500, 'INTERNAL', 'the call failed; the log says why (admin.failed)'),
      );
    }
  }

  #send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
    if (response.destroyed) return;
    const cut = setTimeout(() => response.destroy(), this.#answerTimeoutMs);
    response.once('close', () => {
      clearTimeout(cut);
    });
    // What is left of a refused body is not worth reading.
    if (!request.complete) response.setHeader('Connection', 'close');
    response.writeHead(answer.status, {
      'Content-Type': answer.contentType,
      'Content-Length': Buffer.byteLength(answer.body),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      'Cross-Origin-Resource-Policy': 'same-origin',
    });
    response.end(answer.body);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<Answer> {
    const target = targetOf(request);
    if (target === undefined) return failure(400, 'BAD_REQUEST', 'not a path');
    const denied = this.#denied(request, response, target);
    if (denied !== undefined) return denied;
    const match = matchRoute(request.method ?? '', target.path);
    if (match.kind === 'none') return failure(404, 'NOT_FOUND', 'no such path or message');
    if (match.kind === 'other-method') {
      response.setHeader('Allow', match.allow);
      return failure(405, 'METHOD_NOT_ALLOWED', `this path takes ${match.allow}`);
    }
    const { route, name } = match;
    const body = await readBody(request, route.maxBodyBytes);
    if (body === undefined)
      return failure(413, 'BODY_TOO_LARGE', `this call takes at most ${route.maxBodyBytes} bytes`);
    if (route.body !== 'none' && mediaType(request) !== route.body)
      return failure(415, 'BODY_TYPE', `this call takes a body of Content-Type ${route.body}`);
    return this.#call(request, route, { name, query: target.query, body });
  }

  /** Host, Origin and token, before the path is looked up: who has no token learns nothing about what is there. */
  #denied(request: IncomingMessage, response: ServerResponse, target: Target): Answer | undefined {
    const { authority, path } = target;
    // No Host at all is HTTP/1.0: a health check, never a browser.
    if (authority !== undefined && !this.#hosts.acceptsHost(authority))
      return failure(403, 'HOST_REFUSED', 'the Host header is not a name of this admin address');
    if (!acceptsOrigin(request.headers.origin, authority))
      return failure(403, 'ORIGIN_REFUSED', 'calls from pages of other sites are refused');
    if (!path.startsWith('/api/') || this.#token.accepts(request.headers.authorization)) return undefined;
    response.setHeader('WWW-Authenticate', 'Bearer realm="postern admin"');
    return failure(401, 'UNAUTHORIZED', 'this call needs the admin token: Authorization: Bearer TOKEN');
  }

  async #call(
    request: IncomingMessage,
    route: Route,
    given: { readonly name: string; readonly query: URLSearchParams; readonly body: Buffer },
  ): Promise<Answer> {
    const answer = await this.#handle(route, given);
    if (route.changes) {
      const call = `${route.method} ${route.path}`;
      const client = request.socket.remoteAddress ?? '';
      const { status, logged } = answer;
      this.#log.info({
        event: 'admin.call',
        call,
        ...subjectOf(route, given.name),
        client,
        status,
        ...logged,
      });
    }
    return answer;
  }

  async #handle(
    route: Route,
    given: { readonly name: string; readonly query: URLSearchParams; readonly body: Buffer },
  ): Promise<Answer> {
    try {
      // Scrapers and health checks may add what they like.
      if (!route.open) checkNames(given.query, route.query);
      return await route.handle({ backend: this.#backend, metrics: () => this.#scrape.get(), ...given });
    } catch (error) {
      if (error instanceof ParameterError) return badRequest(error.message);
      throw error;
    }
  }
}

function subjectOf(route: Route, name: string): Record<string, string> {
  if (name === '') return {};
  return route.path.includes('{id}') ? { qid: name } : { route: name };
}

function mediaType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** Undefined as soon as it is larger than `maxBytes`. Rejects when the client goes away first. */
function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    // No `for await`: leaving it early would destroy the socket that the refusal must go out on.
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxBytes) chunks.push(chunk);
      else {
        chunks.length = 0;
        resolve(undefined);
      }
    });
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('error', reject);
  });
}
