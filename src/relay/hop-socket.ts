/**
 * The wire to one next hop: a socket, its reply reader, and the count of replies that are owed to us. Owns deadlines
 * on single waits and the step from TCP to TLS; knows no SMTP verb. A reply that nobody asked for ends it: a 250
 * before the final dot must never be taken for the answer to it (attack A-142).
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

import { describeError, PosternError, type ErrorCode } from '../base/errors.js';

import { describeReply, type HopReply } from './last-reply.js';
import { ReplyReader } from './reply-reader.js';

interface Waiter {
  resolve(reply: HopReply): void;
  reject(error: Error): void;
}

export class HopSocket {
  #socket: Socket;
  #reader = new ReplyReader();
  /** Replies owed by the hop: at first its greeting, then one per command of the group that was written. */
  #owed = 1;
  /** Came before anybody waited: at most #owed at the time of writing. */
  readonly #replies: HopReply[] = [];
  #waiter: Waiter | undefined;
  #drained: { resolve(): void; reject(error: Error): void } | undefined;
  #error: PosternError | undefined;
  /** Called once, when the socket can no longer be used. */
  onBroken: ((error: PosternError) => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen(socket);
  }

  get error(): PosternError | undefined {
    return this.#error;
  }

  /** Declares that the hop owes `count` more replies: before the bytes that ask for them are written. */
  expect(count: number): void {
    this.#owed += count;
  }

  /** @throws PosternError RELAY_TIMEOUT, RELAY_PROTOCOL. After either the socket is destroyed. */
  reply(phase: string, timeoutMs: number): Promise<HopReply> {
    const early = this.#replies.shift();
    if (early !== undefined) return Promise.resolve(early);
    if (this.#error !== undefined) return Promise.reject(this.#error);
    return new Promise((resolve, reject) => {
      const timer = this.#deadline(`no reply to ${phase}`, timeoutMs);
      this.#waiter = {
        resolve: (reply) => {
          clearTimeout(timer);
          resolve(reply);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
    });
  }

  write(bytes: Buffer | string): boolean {
    return this.#socket.writable && this.#socket.write(bytes);
  }

  /** Two buffers in one packet train. */
  writeBoth(first: Buffer, second: Buffer): void {
    this.#socket.cork();
    this.write(first);
    this.write(second);
    this.#socket.uncork();
  }

  /** Writes, and waits while more than the socket's buffer is not yet with the kernel. @throws as reply() */
  async send(bytes: Buffer, timeoutMs: number): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    if (this.write(bytes)) return;
    await this.#drain(timeoutMs);
  }

  /**
   * TLS on this connection. The certificate is not checked: `required` means encrypted, as next hops inside a site
   * seldom have names that a public authority signs.
   * @throws PosternError RELAY_TLS; RELAY_PROTOCOL when plaintext came behind the 220 (attack A-028).
   */
  async upgrade(host: string, timeoutMs: number): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    if (!this.#reader.idle || this.#replies.length > 0) {
      const error = new PosternError('RELAY_PROTOCOL', 'plaintext behind the reply to STARTTLS');
      this.fail(error);
      throw error;
    }
    const plain = this.#socket;
    plain.removeAllListeners('data');
    const secure = connectTls({
      socket: plain,
      rejectUnauthorized: false,
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
    this.#socket = secure;
    this.#reader = new ReplyReader();
    await this.#handshake(secure, timeoutMs);
    this.#listen(secure);
  }

  /** Ends the connection for `error`; whoever waits gets it. Later calls change nothing. */
  fail(error: PosternError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#socket.destroy();
    this.#waiter?.reject(error);
    this.#waiter = undefined;
    this.#drained?.reject(error);
    this.#drained = undefined;
    this.onBroken?.(error);
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('drain', () => {
      this.#drained?.resolve();
      this.#drained = undefined;
    });
    socket.on('error', (error) => this.#lost(describeError(error), error));
    socket.on('close', () => this.#lost('the connection was closed'));
  }

  #lost(what: string, cause?: Error): void {
    this.fail(new PosternError('RELAY_PROTOCOL', what, cause));
  }

  #onData(chunk: Buffer): void {
    if (this.#error !== undefined) return;
    try {
      this.#reader.feed(chunk, (reply) => this.#onReply(reply));
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      this.fail(error);
    }
  }

  #onReply(reply: HopReply): void {
    if (this.#owed === 0) {
      this.fail(new PosternError('RELAY_PROTOCOL', `unexpected reply: ${describeReply(reply)}`));
      return;
    }
    this.#owed--;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter === undefined) this.#replies.push(reply);
    else waiter.resolve(reply);
  }

  async #drain(timeoutMs: number): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    const timer = this.#deadline('the hop takes no data', timeoutMs);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#drained = { resolve, reject };
      });
    } finally {
      clearTimeout(timer);
    }
  }

  async #handshake(secure: TLSSocket, timeoutMs: number): Promise<void> {
    await settled('RELAY_TLS', secure, 'secureConnect', timeoutMs, (error) => this.fail(error));
  }

  #deadline(what: string, timeoutMs: number): NodeJS.Timeout {
    return setTimeout(
      () => this.fail(new PosternError('RELAY_TIMEOUT', `${what} in ${Math.round(timeoutMs / 1000)} s`)),
      timeoutMs,
    );
  }
}

/** A TCP connection, or why there is none. @throws PosternError RELAY_CONNECT */
export async function openTcp(address: string, port: number, timeoutMs: number): Promise<HopSocket> {
  const socket = connectTcp({ host: address, port, noDelay: true });
  await settled('RELAY_CONNECT', socket, 'connect', timeoutMs, () => socket.destroy());
  return new HopSocket(socket);
}

/** Waits for one event of a socket that is being opened; on error or time-out calls `onFailed`, then throws. */
async function settled(
  code: ErrorCode,
  socket: Socket,
  event: 'connect' | 'secureConnect',
  timeoutMs: number,
  onFailed: (error: PosternError) => void,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let onClose: (() => void) | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error(`no ${event} in ${Math.round(timeoutMs / 1000)} s`)),
        timeoutMs,
      );
      onClose = () => reject(new Error('the connection was closed'));
      socket.once(event, () => resolve());
      socket.once('close', onClose);
      socket.on('error', reject);
    });
  } catch (error) {
    const failure = new PosternError(code, describeError(error), error);
    onFailed(failure);
    throw failure;
  } finally {
    clearTimeout(timer);
    if (onClose !== undefined) socket.removeListener('close', onClose);
  }
}
