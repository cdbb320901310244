/**
 * One question to one URL, with a bound on everything that the other side decides: the bytes of its answer, where it
 * comes from (no redirect is followed), how many connections are kept. The time is the caller's, by the signal. Says
 * whether there was an answer; what it means is the caller's to judge.
 */
import { once } from 'node:events';
import { Agent as HttpAgent, IncomingMessage, request as httpRequest, type ClientRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { describeError, errorCodeOf, PosternError, type ErrorCode } from '../base/errors.js';

export interface HttpClientOptions {
  /** In front of its errors: `http`. */
  readonly name: string;
  readonly url: string;
  /** PEM of the authorities; undefined: the system's. */
  readonly ca: string | undefined;
  /** Kept and used at once. */
  readonly connections: number;
  /** Nothing of more than this is read. */
  readonly maxAnswerBytes: number;
  readonly lookup: LookupFunction;
}

export interface HttpQuestion {
  readonly headers: Readonly<Record<string, string>>;
  /** Posted; undefined: GET. */
  readonly body?: string;
}

export class HttpClient {
  readonly #options: HttpClientOptions;
  readonly #url: URL;
  readonly #agent: HttpAgent;

  constructor(options: HttpClientOptions) {
    this.#options = options;
    this.#url = new URL(options.url);
    const { connections: maxSockets, ca, lookup } = options;
    const pool = { keepAlive: true, maxSockets, maxFreeSockets: maxSockets, lookup };
    this.#agent =
      this.#url.protocol === 'https:'
        ? new HttpsAgent(ca === undefined ? pool : { ...pool, ca })
        : new HttpAgent(pool);
  }

  /**
   * The text of an answer with status 200.
   * @throws PosternError AUTH_UNREACHABLE; AUTH_TEMPORARY for 429 and 5xx; AUTH_PROTOCOL for any other, which is no answer
   */
  async ask(question: HttpQuestion, signal: AbortSignal): Promise<string> {
    // Twice where a kept connection had been closed by the service: it has not seen the request.
    const text = (await this.#try(question, signal)) ?? (await this.#try(question, signal));
    if (text === undefined) throw this.#trouble('AUTH_UNREACHABLE', 'it closes its connections');
    return text;
  }

  close(): void {
    this.#agent.destroy();
  }

  /** @returns undefined where a kept connection was no connection any more */
  async #try({ headers, body }: HttpQuestion, signal: AbortSignal): Promise<string | undefined> {
    const send = this.#url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = send(this.#url, {
      method: body === undefined ? 'GET' : 'POST',
      agent: this.#agent,
      signal,
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
        ...headers,
      },
    });
    const responded = once(request, 'response');
    request.end(body);
    let response: unknown;
    try {
      [response] = await responded;
    } catch (error) {
      // One that has gone silent stands for all that are kept: a firewall has forgotten them.
      if (signal.aborted && request.reusedSocket) this.#dropKept();
      if (wasStale(request, error)) return undefined;
      throw this.#trouble('AUTH_UNREACHABLE', describeError(error), error);
    }
    if (!(response instanceof IncomingMessage)) throw new TypeError('a response that is none');
    // Errors after this are the response's own.
    request.on('error', () => undefined);
    return this.#read(response);
  }

  async #read(response: IncomingMessage): Promise<string> {
    const { maxAnswerBytes } = this.#options;
    const status = response.statusCode ?? 0;
    if (status !== 200) {
      response.destroy();
      const isTemporary = status >= 500 || status === 429;
      throw this.#trouble(isTemporary ? 'AUTH_TEMPORARY' : 'AUTH_PROTOCOL', `it answered with ${status}`);
    }
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of response) {
        if (!Buffer.isBuffer(chunk)) throw new TypeError('a response without an encoding came as text');
        chunks.push(chunk);
        bytes += chunk.length;
        // Leaving the loop destroys the response and its connection.
        if (bytes > maxAnswerBytes)
          throw this.#trouble('AUTH_PROTOCOL', `it answered with more than ${maxAnswerBytes / 1024} KiB`);
      }
    } catch (error) {
      if (error instanceof PosternError) throw error;
      throw this.#trouble('AUTH_UNREACHABLE', `its answer broke off: ${describeError(error)}`, error);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  #dropKept(): void {
    for (const sockets of Object.values(this.#agent.freeSockets))
      for (const socket of sockets ?? []) socket.destroy();
  }

  #trouble(code: Extract<ErrorCode, `AUTH_${string}`>, why: string, cause?: unknown): PosternError {
    return new PosternError(code, `${this.#options.name}: ${why}`, cause);
  }
}

function wasStale(request: ClientRequest, error: unknown): boolean {
  return request.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(errorCodeOf(error) ?? '');
}
