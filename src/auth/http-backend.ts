/**
 * Asks an operator's own service: one POST of JSON for each log-in, answered with 200 and JSON. Anything else, a 401 too, is
 * no answer: a service that does not know us must not tell users that their passwords are wrong. The contract is in
 * deploy/AUTH.md.
 */
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { Agent as HttpAgent, IncomingMessage, request as httpRequest, type ClientRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { describeError, errorCodeOf, PosternError, type ErrorCode } from '../base/errors.js';
import type { BackendAnswer, BackendLogin } from '../policy/login.js';
import type { Backend } from './backend.js';

/** `{"result":"ok","user":"…"}` and room for what a service adds; nothing of more than this is read. */
const maxResponseBytes = 16 * 1024;

export interface HttpOptions {
  readonly url: string;
  /** Sent as `Authorization: Bearer …`. */
  readonly token: string | undefined;
  /** Key of the HMAC in `Postern-Signature`. */
  readonly secret: string | undefined;
  /** PEM of the authorities; undefined: the system's. */
  readonly ca: string | undefined;
  /** Connections kept and used at once. */
  readonly connections: number;
  readonly nowMs?: () => number;
}

export class HttpBackend implements Backend {
  readonly name = 'http';
  readonly #options: HttpOptions;
  readonly #url: URL;
  readonly #agent: HttpAgent;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#url = new URL(options.url);
    const { connections: maxSockets, ca } = options;
    // The gate lets no more through than there are sockets.
    const pool = { keepAlive: true, maxSockets, maxFreeSockets: maxSockets };
    this.#agent =
      this.#url.protocol === 'https:'
        ? new HttpsAgent(ca === undefined ? pool : { ...pool, ca })
        : new HttpAgent(pool);
  }

  async ask(login: BackendLogin, signal: AbortSignal): Promise<BackendAnswer> {
    const body = JSON.stringify({
      user: login.user,
      password: login.password,
      mechanism: login.mechanism,
      client: login.origin.address,
      listener: login.origin.listener,
      session: login.origin.sessionId,
    });
    // Twice where a kept connection had been closed by the service: it has not seen the request.
    const text = (await this.#post(body, signal)) ?? (await this.#post(body, signal));
    if (text === undefined) throw trouble('AUTH_UNREACHABLE', 'it closes its connections');
    return toAnswer(text, login);
  }

  close(): void {
    this.#agent.destroy();
  }

  /** @returns undefined where a kept connection was no connection any more */
  async #post(body: string, signal: AbortSignal): Promise<string | undefined> {
    const send = this.#url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = send(this.#url, {
      method: 'POST',
      agent: this.#agent,
      signal,
      headers: this.#headers(body),
    });
    const responded = once(request, 'response');
    request.end(body);
    let response: unknown;
    try {
      [response] = await responded;
    } catch (error) {
      if (wasStale(request, error)) return undefined;
      throw trouble('AUTH_UNREACHABLE', describeError(error), error);
    }
    if (!(response instanceof IncomingMessage)) throw new TypeError('a response that is none');
    // Errors after this are the response's own.
    request.on('error', () => undefined);
    return readAll(response);
  }

  #headers(body: string): Record<string, string | number> {
    const { token, secret } = this.#options;
    const headers: Record<string, string | number> = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      accept: 'application/json',
    };
    if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
    if (secret !== undefined) {
      // The time is signed too, so that a request that was written down cannot be used for ever.
      const seconds = Math.floor((this.#options.nowMs ?? Date.now)() / 1000);
      const signature = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex');
      headers['postern-signature'] = `t=${seconds},v1=${signature}`;
    }
    return headers;
  }
}

/** @throws PosternError AUTH_TEMPORARY, AUTH_PROTOCOL, AUTH_UNREACHABLE */
async function readAll(response: IncomingMessage): Promise<string> {
  const status = response.statusCode ?? 0;
  if (status !== 200) {
    response.destroy();
    throw trouble(
      status >= 500 || status === 429 ? 'AUTH_TEMPORARY' : 'AUTH_PROTOCOL',
      `it answered with ${status}`,
    );
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response) {
      if (!Buffer.isBuffer(chunk)) throw new TypeError('a response without an encoding came as text');
      chunks.push(chunk);
      bytes += chunk.length;
      // Leaving the loop destroys the response and its connection.
      if (bytes > maxResponseBytes) throw trouble('AUTH_PROTOCOL', 'it answered with more than 16 KiB');
    }
  } catch (error) {
    if (error instanceof PosternError) throw error;
    throw trouble('AUTH_UNREACHABLE', `its answer broke off: ${describeError(error)}`, error);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function toAnswer(text: string, login: BackendLogin): BackendAnswer {
  const { result, user } = fieldsOf(text);
  if (result === 'failed') return { kind: 'failed' };
  if (result === 'unavailable') throw trouble('AUTH_TEMPORARY', 'it says that it is unavailable');
  if (result !== 'ok') throw trouble('AUTH_PROTOCOL', 'its answer has no result: ok, failed or unavailable');
  if (user === undefined || user === null) return { kind: 'ok', user: login.user };
  if (typeof user === 'string') return { kind: 'ok', user };
  throw trouble('AUTH_PROTOCOL', 'the user in its answer is no text');
}

function fieldsOf(text: string): { result?: unknown; user?: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

function wasStale(request: ClientRequest, error: unknown): boolean {
  return request.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(errorCodeOf(error) ?? '');
}

function trouble(code: Extract<ErrorCode, `AUTH_${string}`>, why: string, cause?: unknown): PosternError {
  return new PosternError(code, `http: ${why}`, cause);
}
