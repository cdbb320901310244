/**
 * One connection to Dovecot's auth service: the handshake, requests by number, and their replies in whatever order.
 * Owns the socket and its bounds; knows no password rule. Lives until it breaks: then all that wait are told.
 */
import { randomInt } from 'node:crypto';
import { connect, type LookupFunction, type Socket } from 'node:net';
import { PosternError, type ErrorCode } from '../base/errors.js';
import { keepAliveMs } from './keep-alive.js';
import { DovecotLines, parseReply, type DovecotReply } from './dovecot-lines.js';

export type DovecotTarget = { readonly path: string } | { readonly host: string; readonly port: number };

/** Versions of one major number understand each other. 1.1 is the oldest that has what we say. */
const major = '1';
const hello = 'VERSION\t1\t1\n';
/** VERSION, SPID, CUID, COOKIE, DONE, and a MECH for each mechanism. */
const maxHandshakeLines = 100;
/** Numbers of requests are 32 bits and never used twice. At its end a connection is replaced. */
const maxRequests = 2 ** 31;

interface Waiter {
  resolve(reply: DovecotReply): void;
  reject(error: PosternError): void;
}

export class DovecotConnection {
  readonly #socket: Socket;
  readonly #lines = new DovecotLines();
  readonly #waiters = new Map<number, Waiter>();
  readonly #mechanisms = new Set<string>();
  #handshakeLines = 0;
  #hasVersion = false;
  #opened: { resolve(): void; reject(error: PosternError): void } | undefined;
  #lastId = 0;
  #error: PosternError | undefined;
  /** When it last said anything. */
  #heardMs = 0;
  readonly ready: Promise<void>;

  constructor(target: DovecotTarget, lookup: LookupFunction) {
    const keepAlive = { keepAlive: true, keepAliveInitialDelay: keepAliveMs };
    this.#socket = connect('path' in target ? target : { ...target, ...keepAlive, lookup, noDelay: true });
    this.ready = new Promise((resolve, reject) => {
      this.#opened = { resolve, reject };
    });
    // Whoever waits for it hears of it; nobody has to.
    this.ready.catch(() => undefined);
    this.#socket.once('connect', () => {
      // A number that no other client of this Dovecot has; process ids are the same in two containers.
      this.#socket.write(`${hello}CPID\t${randomInt(1, 2 ** 31 - 1)}\n`);
    });
    this.#socket.on('data', (chunk) => this.#read(chunk));
    this.#socket.once('error', (error) => this.#break('AUTH_UNREACHABLE', error.message));
    this.#socket.once('close', () => this.#break('AUTH_UNREACHABLE', 'the connection was closed'));
  }

  get usable(): boolean {
    return this.#error === undefined && this.#lastId < maxRequests;
  }

  serves(mechanism: string): boolean {
    return this.#mechanisms.has(mechanism);
  }

  /**
   * @param fields of the AUTH request after the mechanism, escaped
   * @throws PosternError AUTH_UNREACHABLE, AUTH_PROTOCOL. Aborted: the request is cancelled.
   */
  request(mechanism: string, fields: readonly string[], signal: AbortSignal): Promise<DovecotReply> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    const id = ++this.#lastId;
    const sentMs = performance.now();
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        const heard = this.#heardMs >= sentMs;
        const late = new PosternError('AUTH_UNREACHABLE', 'dovecot: no answer in time');
        if (heard) this.#cancel(id, late);
        // Not a word to anybody since: whatever this connection leads to, it is not there any more.
        else this.#break('AUTH_UNREACHABLE', 'it has gone silent');
      };
      const over = (): void => {
        signal.removeEventListener('abort', abort);
        this.#waiters.delete(id);
        if (!this.usable && this.#waiters.size === 0) this.close();
      };
      this.#waiters.set(id, {
        resolve: (reply) => {
          over();
          resolve(reply);
        },
        reject: (error) => {
          over();
          reject(error);
        },
      });
      signal.addEventListener('abort', abort, { once: true });
      this.#socket.write(`AUTH\t${id}\t${mechanism}\t${fields.join('\t')}\n`);
    });
  }

  close(): void {
    this.#break('AUTH_UNREACHABLE', 'closed by us');
  }

  #cancel(id: number, error: PosternError): void {
    this.#waiters.get(id)?.reject(error);
    if (this.#error === undefined) this.#socket.write(`CANCEL\t${id}\n`);
  }

  #read(chunk: Buffer): void {
    this.#heardMs = performance.now();
    const lines = this.#lines.push(chunk);
    if (lines === undefined) return this.#break('AUTH_PROTOCOL', 'it sends lines without end');
    for (const line of lines) {
      if (this.#error !== undefined) return;
      if (this.#opened === undefined) this.#reply(line);
      else this.#greet(line);
    }
  }

  #greet(line: string): void {
    const [word, ...fields] = line.split('\t');
    if (++this.#handshakeLines > maxHandshakeLines)
      return this.#break('AUTH_PROTOCOL', 'its handshake has no end');
    if (word === 'VERSION') {
      if (fields[0] !== major) return this.#break('AUTH_PROTOCOL', 'it speaks another version');
      this.#hasVersion = true;
    }
    if (word === 'MECH') this.#mechanisms.add(fields[0] ?? '');
    if (word !== 'DONE') return;
    // Dovecot's master socket greets otherwise; there is more than one socket to mistake for this one.
    if (!this.#hasVersion)
      return this.#break('AUTH_PROTOCOL', 'this is no socket for authentication clients');
    this.#opened?.resolve();
    this.#opened = undefined;
  }

  #reply(line: string): void {
    const reply = parseReply(line);
    // Other words may come at any time by the protocol's own rule; nobody waits for them.
    if (reply === undefined) return;
    if (reply.id > this.#lastId) return this.#break('AUTH_PROTOCOL', 'it answers what was not asked');
    // One that nobody waits for any more was late.
    this.#waiters.get(reply.id)?.resolve(reply);
  }

  #break(code: Extract<ErrorCode, `AUTH_${string}`>, why: string): void {
    if (this.#error !== undefined) return;
    const error = new PosternError(code, `dovecot: ${why}`);
    this.#error = error;
    this.#socket.on('error', () => undefined);
    this.#socket.destroy();
    this.#opened?.reject(error);
    this.#opened = undefined;
    for (const waiter of this.#waiters.values()) waiter.reject(error);
  }
}
