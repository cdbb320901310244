/**
 * The wire to one next hop: a socket, its reply reader, and the count of replies that are owed to us. Owns deadlines
 * on single waits and the step from TCP to TLS; knows no SMTP verb. A reply that nobody asked for ends it: a 250
 * before the final dot must never be taken for the answer to it (attack A-142).
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls';

import { describeError, PosternError, type ErrorCode } from '../base/errors.js';

import type { HopTrust } from './hop-trust.js';
import { describeReply, printable, type HopReply } from './last-reply.js';
import { ReplyReader } from './reply-reader.js';

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

export class HopSocket {
  #socket: Socket;
  #reader = new ReplyReader();
  /** Replies owed by the hop: at first its greeting, then one per command of the group that was written. */
  #owed = 1;
  /** Came before anybody waited: no more than were owed. */
  readonly #replies: HopReply[] = [];
  #opening: Waiter<void> | undefined;
  #replied: Waiter<HopReply> | undefined;
  #drained: Waiter<void> | undefined;
  /** What a lost connection means now. */
  #lossCode: ErrorCode = 'RELAY_CONNECT';
  #error: PosternError | undefined;
  #uninvited: HopReply | undefined;
  #certificate = '';
  #tlsVersion = 'none';
  /** Called once, when the socket can no longer be used. */
  onBroken: (() => void) | undefined;

  /** Begins to connect; `connected` waits for it. */
  constructor(address: string, port: number) {
    this.#socket = connectTcp({ host: address, port, noDelay: true });
    this.#socket.once('connect', () => this.#opening?.resolve());
    this.#listen(this.#socket);
  }

  /** 'verified', or what is wrong with the hop's certificate (`CERT_HAS_EXPIRED`); '' without TLS. For the log. */
  get certificate(): string {
    return this.#certificate;
  }

  /** `TLSv1.3`; 'none' without TLS. */
  get tlsVersion(): string {
    return this.#tlsVersion;
  }

  get error(): PosternError | undefined {
    return this.#error;
  }

  /** The reply that nobody had asked for and that ended the connection. */
  get uninvited(): HopReply | undefined {
    return this.#uninvited;
  }

  /** @throws PosternError RELAY_CONNECT, RELAY_TIMEOUT; then the socket is gone, as after every throw of this class. */
  async connected(timeoutMs: number): Promise<void> {
    await this.#wait<void>('no connection', timeoutMs, (waiter) => {
      this.#opening = waiter;
    });
    this.#lossCode = 'RELAY_PROTOCOL';
  }

  /** Declares that the hop owes `count` more replies: before the bytes that ask for them are written. */
  expect(count: number): void {
    this.#owed += count;
  }

  /** @throws PosternError RELAY_TIMEOUT, RELAY_PROTOCOL */
  reply(phase: string, timeoutMs: number): Promise<HopReply> {
    const early = this.#replies.shift();
    if (early !== undefined) return Promise.resolve(early);
    return this.#wait<HopReply>(`no reply to ${phase}`, timeoutMs, (waiter) => {
      this.#replied = waiter;
    });
  }

  /** False: more than the socket's own buffer waits for the kernel. */
  write(bytes: Buffer | string): boolean {
    return this.#socket.writable && this.#socket.write(bytes);
  }

  /** In one system call. False: as write(). */
  writeAll(buffers: readonly Buffer[]): boolean {
    let isTaken = true;
    this.#socket.cork();
    for (const buffer of buffers) if (buffer.length > 0) isTaken = this.write(buffer);
    this.#socket.uncork();
    return isTaken;
  }

  /** Writes, and waits until the kernel has taken what the socket's own buffer does not hold. @throws as reply() */
  async send(buffers: readonly Buffer[], timeoutMs: number): Promise<void> {
    if (this.#error === undefined && this.writeAll(buffers)) return;
    await this.#wait<void>('no data taken', timeoutMs, (waiter) => {
      this.#drained = waiter;
    });
  }

  /**
   * TLS on this connection. Without `trust` any certificate will do: `required` means encrypted, as next hops inside a
   * site seldom have names that a public authority signs.
   * @throws PosternError RELAY_TLS; RELAY_PROTOCOL when plaintext came behind the 220 (attack A-028).
   */
  async upgrade(host: string, timeoutMs: number, trust?: HopTrust): Promise<void> {
    const context = await trust?.context();
    if (!this.#reader.idle || this.#replies.length > 0)
      this.fail(new PosternError('RELAY_PROTOCOL', 'plaintext behind the reply to STARTTLS'));
    if (this.#error !== undefined) throw this.#error;
    this.#lossCode = 'RELAY_TLS';
    this.#socket.removeAllListeners('data');
    const secure = tlsOver(this.#socket, host, context);
    this.#socket = secure;
    secure.once('secureConnect', () => {
      const fault = trust?.fault(secure, host);
      this.#tlsVersion = secure.getProtocol() ?? 'unknown';
      this.#certificate = secure.authorized ? 'verified' : String(secure.authorizationError);
      if (fault === undefined) this.#opening?.resolve();
      else this.fail(notTrusted(host, fault));
    });
    this.#listen(secure);
    await this.#wait<void>('no TLS', timeoutMs, (waiter) => {
      this.#opening = waiter;
    });
    this.#lossCode = 'RELAY_PROTOCOL';
  }

  /** Ends the connection for `error`; whoever waits gets it. Later calls change nothing. */
  fail(error: PosternError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#socket.destroy();
    this.#opening?.reject(error);
    this.#replied?.reject(error);
    this.#drained?.reject(error);
    this.onBroken?.();
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('drain', () => this.#drained?.resolve());
    socket.on('error', (error) => this.fail(new PosternError(this.#lossCode, describeError(error), error)));
    socket.on('close', () => this.fail(new PosternError(this.#lossCode, 'the connection was closed')));
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
      this.#uninvited = reply;
      this.fail(new PosternError('RELAY_PROTOCOL', `unexpected reply: ${describeReply(reply)}`));
      return;
    }
    this.#owed--;
    if (this.#replied === undefined) this.#replies.push(reply);
    else this.#replied.resolve(reply);
  }

  /** A promise with a deadline; `place` puts the waiter where the event finds it, and undefined when it is over. */
  #wait<T>(what: string, timeoutMs: number, place: (waiter: Waiter<T> | undefined) => void): Promise<T> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    return new Promise<T>((resolve, reject) => {
      const overdue = `${what} within ${Math.ceil(timeoutMs / 1000)} s`;
      const timer = setTimeout(() => this.fail(new PosternError('RELAY_TIMEOUT', overdue)), timeoutMs);
      const done = (): void => {
        clearTimeout(timer);
        place(undefined);
      };
      place({
        resolve: (value) => {
          done();
          resolve(value);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      });
    });
  }
}

/** The certificate is judged afterwards, by us: `authorized` then speaks of the chain alone. */
function tlsOver(socket: Socket, host: string, secureContext: SecureContext | undefined): TLSSocket {
  return connectTls({
    socket,
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    ...(secureContext === undefined ? {} : { secureContext }),
    ...(isIP(host) === 0 ? { servername: host } : {}),
  });
}

/** RFC 3463 §3.8 X.7.5, as for DANE in RFC 7672: waits, as the operator of either side can mend it. */
function notTrusted(host: string, fault: string): PosternError {
  return new PosternError('RELAY_TLS', printable(`4.7.5 the certificate of ${host} is refused: ${fault}`));
}
