/**
 * Asks an operator's own service: one POST of JSON for each log-in, answered with 200 and JSON. Anything else, a 401 too, is
 * no answer: a service that does not know us must not tell users that their passwords are wrong. The contract is in
 * deploy/AUTH.md.
 */
import { createHmac } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { PosternError, type ErrorCode } from '../base/errors.js';
import type { BackendAnswer, BackendLogin } from '../policy/login.js';
import type { Backend } from './backend.js';
import { HttpClient } from './http-client.js';

/** `{"result":"ok","user":"…"}` and room for what a service adds. */
const maxAnswerBytes = 16 * 1024;

export interface HttpOptions {
  readonly url: string;
  /** Sent as `Authorization: Bearer …`. */
  readonly token: string | undefined;
  /** Key of the HMAC in `Postern-Signature`. */
  readonly secret: string | undefined;
  /** PEM of the authorities; undefined: the system's. */
  readonly ca: string | undefined;
  /** Connections kept and used at once: as many as the gate lets questions through. */
  readonly connections: number;
  readonly lookup: LookupFunction;
  readonly nowMs?: () => number;
}

export class HttpBackend implements Backend {
  readonly name = 'http';
  readonly #options: HttpOptions;
  readonly #client: HttpClient;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#client = new HttpClient({ ...options, name: this.name, maxAnswerBytes });
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
    return toAnswer(await this.#client.ask({ headers: this.#headers(body), body }, signal), login);
  }

  close(): void {
    this.#client.close();
  }

  #headers(body: string): Record<string, string> {
    const { token, secret } = this.#options;
    const headers: Record<string, string> = { 'content-type': 'application/json' };
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

function trouble(code: Extract<ErrorCode, `AUTH_${string}`>, why: string): PosternError {
  return new PosternError(code, `http: ${why}`);
}
