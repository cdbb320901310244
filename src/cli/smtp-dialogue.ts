/**
 * One SMTP conversation as a person would have it: say a line, wait for the whole reply, see both. Owns the socket, the
 * reading of multi-line replies and dot-stuffing. Knows nothing of what to say when (send.ts does), and is not the
 * relay: no pipelining, no reuse, no retry. Used by `postern send` only.
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { describeError, PosternError } from '../base/errors.js';
import { printable } from './output.js';

/** A line of a reply is at most 512 bytes (RFC 5321 §4.5.3.1.5); a peer that sends this much without an end is none. */
const maxReplyBytes = 64 * 1024;
/** Of one line of it on the screen. */
const maxShownCharacters = 1000;

export interface DialogueReply {
  readonly code: number;
  /** Text of each line, without the code. */
  readonly lines: readonly string[];
}

export interface DialogueOptions {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte. */
  readonly implicitTls: boolean;
  /** Take any certificate. */
  readonly insecure: boolean;
  /** For the connection and for each reply. */
  readonly timeoutMs: number;
  /** Each line as it passes, without its CRLF: `C` from us, `S` from the server, `-` a remark (TLS is on). */
  readonly show: (who: 'C' | 'S' | '-', line: string) => void;
}

type Waiter = { resolve: (reply: DialogueReply) => void; reject: (error: PosternError) => void };

export class SmtpDialogue {
  readonly #options: DialogueOptions;
  #socket: Socket;
  #received = '';
  #lines: string[] = [];
  #replies: DialogueReply[] = [];
  #waiter: Waiter | undefined;
  #failure: PosternError | undefined;

  private constructor(options: DialogueOptions, socket: Socket) {
    this.#options = options;
    this.#socket = socket;
    this.#listen();
  }

  /** @throws PosternError RELAY_CONNECT, RELAY_TIMEOUT, RELAY_TLS */
  static async open(options: DialogueOptions): Promise<SmtpDialogue> {
    const socket = await openSocket(options);
    if (options.implicitTls) {
      const secure = await secureSocket(socket, options);
      return new SmtpDialogue(options, secure);
    }
    return new SmtpDialogue(options, socket);
  }

  /** The next reply: the greeting, or the answer to what was last sent.
   *  @throws PosternError RELAY_CONNECT when the server hangs up, RELAY_TIMEOUT, RELAY_PROTOCOL */
  reply(): Promise<DialogueReply> {
    const ready = this.#replies.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  /** @param shown what the dialogue shows instead of the line (a password stays out of it). */
  command(line: string, shown = line): Promise<DialogueReply> {
    this.#options.show('C', shown);
    this.#socket.write(`${line}\r\n`);
    return this.reply();
  }

  /** Sends a message after 354 and waits for the verdict. @param message with CRLF line ends. */
  data(message: Buffer): Promise<DialogueReply> {
    this.#socket.write(dotStuff(message));
    this.#options.show('C', `(${message.length} bytes)`);
    this.#options.show('C', '.');
    return this.reply();
  }

  /** The handshake after a 220 to STARTTLS. @throws PosternError RELAY_TLS */
  async startTls(): Promise<void> {
    const plain = this.#socket;
    this.#unlisten();
    // RFC 3207 §4.2: nothing that was read before the handshake counts.
    this.#received = '';
    this.#lines = [];
    this.#replies = [];
    this.#socket = await secureSocket(plain, this.#options);
    this.#listen();
  }

  close(): void {
    this.#unlisten();
    // A reset that comes after we are done is nobody's trouble, but without a listener it would end the process.
    this.#socket.on('error', () => undefined);
    this.#socket.end();
    this.#socket.destroySoon();
  }

  readonly #onData = (chunk: Buffer): void => this.#take(chunk.toString('utf8'));
  readonly #onTimeout = (): void =>
    this.#fail('RELAY_TIMEOUT', `no reply within ${Math.round(this.#options.timeoutMs / 1000)} s`);
  readonly #onError = (error: Error): void =>
    this.#fail('RELAY_CONNECT', `the connection broke: ${error.message}`);
  readonly #onClose = (): void => this.#fail('RELAY_CONNECT', 'the server closed the connection');

  #listen(): void {
    this.#socket.setTimeout(this.#options.timeoutMs);
    this.#socket.on('data', this.#onData).on('timeout', this.#onTimeout);
    this.#socket.on('error', this.#onError).on('close', this.#onClose);
  }

  #unlisten(): void {
    this.#socket.setTimeout(0);
    this.#socket.off('data', this.#onData).off('timeout', this.#onTimeout);
    this.#socket.off('error', this.#onError).off('close', this.#onClose);
  }

  #take(text: string): void {
    this.#received += text;
    let end = this.#received.indexOf('\n');
    while (end >= 0) {
      this.#takeLine(this.#received.slice(0, end).replace(/\r$/, ''));
      this.#received = this.#received.slice(end + 1);
      end = this.#received.indexOf('\n');
    }
    if (this.#received.length > maxReplyBytes) this.#fail('RELAY_PROTOCOL', 'a reply without an end');
  }

  #takeLine(line: string): void {
    this.#options.show('S', printable(line.slice(0, maxShownCharacters)));
    if (!/^[2-5]\d\d(?:[ -]|$)/.test(line)) {
      this.#fail(
        'RELAY_PROTOCOL',
        `this is not an SMTP reply: ${printable(line.slice(0, maxShownCharacters))}`,
      );
      return;
    }
    this.#lines.push(line.slice(4));
    if (line[3] === '-') return;
    const reply = { code: Number(line.slice(0, 3)), lines: this.#lines };
    this.#lines = [];
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter === undefined) this.#replies.push(reply);
    else waiter.resolve(reply);
  }

  #fail(code: 'RELAY_CONNECT' | 'RELAY_TIMEOUT' | 'RELAY_PROTOCOL', message: string): void {
    this.#failure ??= new PosternError(code, message);
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(this.#failure);
    this.#socket.destroy();
  }
}

/** RFC 5321 §4.5.2, and the end-of-data line; a last line without CRLF gets one. */
export function dotStuff(message: Buffer): Buffer {
  const text = message.toString('latin1');
  const stuffed = text.replaceAll('\r\n.', '\r\n..');
  const first = stuffed.startsWith('.') ? '.' : '';
  const end = text === '' || text.endsWith('\r\n') ? '' : '\r\n';
  return Buffer.from(`${first}${stuffed}${end}.\r\n`, 'latin1');
}

/** One of `ready` and `error`, whichever comes first, within the time; leaves no listener of its own behind. */
function settled<S extends Socket>(socket: S, ready: string, timeoutMs: number): Promise<S> {
  return new Promise((resolve, reject) => {
    const done = (error?: Error): void => {
      socket.setTimeout(0);
      socket.off(ready, onReady).off('error', done).off('close', onClose).off('timeout', onTimeout);
      if (error === undefined) resolve(socket);
      else reject(error);
    };
    const onReady = (): void => done();
    const onClose = (): void => done(new Error('the server closed the connection'));
    const onTimeout = (): void => {
      done(new Error(`no answer within ${Math.round(timeoutMs / 1000)} s`));
    };
    socket.setTimeout(timeoutMs);
    socket.on(ready, onReady).on('error', done).on('close', onClose).on('timeout', onTimeout);
  });
}

async function openSocket({ host, port, timeoutMs }: DialogueOptions): Promise<Socket> {
  const socket = connectTcp({ host, port, noDelay: true });
  try {
    return await settled(socket, 'connect', timeoutMs);
  } catch (error) {
    socket.destroy();
    throw new PosternError('RELAY_CONNECT', describeError(error), error);
  }
}

async function secureSocket(socket: Socket, options: DialogueOptions): Promise<TLSSocket> {
  const { host, insecure, timeoutMs, show } = options;
  // SNI takes names only (RFC 6066 §3); the certificate is checked against `host` either way.
  const name = isIP(host) === 0 ? { servername: host } : {};
  const secure = connectTls({ socket, host, ...name, rejectUnauthorized: !insecure });
  try {
    await settled(secure, 'secureConnect', timeoutMs);
  } catch (error) {
    secure.destroy();
    throw new PosternError('RELAY_TLS', describeError(error), error);
  }
  show('-', `${secure.getProtocol() ?? 'TLS'} ${secure.getCipher().name}`);
  return secure;
}
