/**
 * Asks Dovecot's auth service (`service auth { unix_listener … }`): one connection a worker, made when it is needed, many
 * log-ins on it at once. What password rules there are, its passdbs have.
 */
import type { LookupFunction } from 'node:net';
import { PosternError } from '../base/errors.js';
import type { BackendAnswer, BackendLogin } from '../policy/login.js';
import type { Backend } from './backend.js';
import { DovecotConnection, type DovecotTarget } from './dovecot-connection.js';
import { escapeField, type DovecotReply } from './dovecot-lines.js';

export interface DovecotOptions {
  readonly target: DovecotTarget;
  /** The `%s` of Dovecot's settings and rules. */
  readonly service: string;
  readonly lookup: LookupFunction;
}

export class DovecotBackend implements Backend {
  readonly name = 'dovecot';
  readonly #options: DovecotOptions;
  #connection: DovecotConnection | undefined;

  constructor(options: DovecotOptions) {
    this.#options = options;
  }

  async ask(login: BackendLogin, signal: AbortSignal): Promise<BackendAnswer> {
    const used = this.#connection?.usable === true ? this.#connection : undefined;
    const connection = used ?? this.#open();
    try {
      return await this.#askOn(connection, login, signal);
    } catch (error) {
      // A Dovecot that was restarted ended the old connection: that is no outage. Once, and only on one that had worked.
      if (used === undefined || used.usable || signal.aborted || !isLoss(error)) throw error;
      return this.#askOn(this.#connection?.usable === true ? this.#connection : this.#open(), login, signal);
    }
  }

  close(): void {
    this.#connection?.close();
  }

  #open(): DovecotConnection {
    this.#connection = new DovecotConnection(this.#options.target, this.#options.lookup);
    return this.#connection;
  }

  async #askOn(
    connection: DovecotConnection,
    login: BackendLogin,
    signal: AbortSignal,
  ): Promise<BackendAnswer> {
    await this.#handshake(connection, signal);
    // LOGIN is PLAIN in two steps: here both are known.
    if (!connection.serves('PLAIN'))
      throw new PosternError(
        'AUTH_PROTOCOL',
        'dovecot: it does not offer PLAIN: put it into auth_mechanisms of its config',
      );
    const reply = await connection.request('PLAIN', this.#fields(login), signal);
    return toAnswer(reply, login);
  }

  /** One that is still waited for when the time is up will never be ready. */
  async #handshake(connection: DovecotConnection, signal: AbortSignal): Promise<void> {
    const giveUp = (): void => connection.close();
    signal.addEventListener('abort', giveUp, { once: true });
    await connection.ready.finally(() => signal.removeEventListener('abort', giveUp));
  }

  #fields({ user, password, origin }: BackendLogin): string[] {
    const response = Buffer.from(`\0${user}\0${password}`).toString('base64');
    return [
      `service=${escapeField(this.#options.service)}`,
      // No log-in process will ask for this user after we did.
      'nologin',
      // Its own penalty makes an address that failed wait up to 15 s, which here would look like silence; ours tells it.
      'no-penalty',
      // AUTH is offered inside TLS only.
      'secured',
      `session=${escapeField(origin.sessionId)}`,
      `rip=${escapeField(origin.address)}`,
      // By the protocol the last one.
      `resp=${response}`,
    ];
  }
}

function toAnswer(reply: DovecotReply, login: BackendLogin): BackendAnswer {
  switch (reply.kind) {
    case 'ok':
      return { kind: 'ok', user: reply.user ?? login.user };
    case 'fail':
      if (!reply.temporary)
        return reply.reason === '' ? { kind: 'failed' } : { kind: 'failed', why: `dovecot: ${reply.reason}` };
      throw new PosternError('AUTH_TEMPORARY', `dovecot: it cannot say now: ${reply.reason || 'no reason'}`);
    case 'continue':
      throw new PosternError('AUTH_PROTOCOL', 'dovecot: it wants more than a name and a password');
  }
}

function isLoss(error: unknown): boolean {
  return error instanceof PosternError && error.code === 'AUTH_UNREACHABLE';
}
