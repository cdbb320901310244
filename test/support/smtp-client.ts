/** A client for tests: sends bytes as told, reads whole replies. Knows no SMTP beyond where a reply ends. */
import { createHash } from 'node:crypto';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket, type ConnectionOptions } from 'node:tls';

export class SmtpClient {
  #socket: Socket;
  #received = '';
  #ended = false;
  #waiting: { resolve: () => void; reject: (error: Error) => void } | undefined;
  /** All complete replies ever read, for tests that count. */
  readonly replies: string[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#attach(socket);
  }

  static connect(port: number, options: { host?: string; localAddress?: string } = {}): Promise<SmtpClient> {
    return new Promise((resolve, reject) => {
      const socket = connectTcp({
        port,
        host: options.host ?? '127.0.0.1',
        localAddress: options.localAddress,
      });
      socket.setNoDelay(true);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new SmtpClient(socket));
      });
    });
  }

  /** Over a connection that a test made itself. */
  static over(socket: Socket): SmtpClient {
    return new SmtpClient(socket);
  }

  /** Connects, reads the greeting, says EHLO. */
  static async greeted(
    port: number,
    options: { host?: string; localAddress?: string } = {},
  ): Promise<SmtpClient> {
    const client = await SmtpClient.connect(port, options);
    await client.reply();
    await client.command('EHLO client.test');
    return client;
  }

  get raw(): Socket {
    return this.#socket;
  }

  get closed(): boolean {
    return this.#ended;
  }

  write(text: string | Buffer): void {
    this.#socket.write(text);
  }

  /** One whole reply, its lines joined by \n. Rejects when the connection ends first. */
  async reply(): Promise<string> {
    for (;;) {
      const reply = this.#takeReply();
      if (reply !== undefined) {
        this.replies.push(reply);
        return reply;
      }
      if (this.#ended) throw new Error(`the connection ended; unread: ${JSON.stringify(this.#received)}`);
      await new Promise<void>((resolve, reject) => {
        this.#waiting = { resolve, reject };
      });
    }
  }

  async command(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  /** MAIL, RCPT, DATA and the message (CRLF lines, without the final dot); the reply to its end. */
  async send(message: string, envelope: { from?: string; to?: string } = {}): Promise<string> {
    const from = envelope.from ?? 'sender@client.test';
    for (const line of [`MAIL FROM:<${from}>`, `RCPT TO:<${envelope.to ?? 'you@example.test'}>`, 'DATA']) {
      const reply = await this.command(line);
      if (!/^[23]/.test(reply)) return reply;
    }
    this.write(`${message.replaceAll('\r\n.', '\r\n..')}\r\n.\r\n`);
    return this.reply();
  }

  async startTls(options: ConnectionOptions = {}): Promise<void> {
    const reply = await this.command('STARTTLS');
    if (!reply.startsWith('220')) throw new Error(`STARTTLS: ${reply}`);
    await this.handshake(options);
  }

  /** The server has said 220 to STARTTLS. */
  async handshake(options: ConnectionOptions = {}): Promise<void> {
    const plain = this.#socket;
    plain.removeAllListeners('data');
    plain.removeAllListeners('end');
    plain.removeAllListeners('close');
    const secure = connectTls({ socket: plain, rejectUnauthorized: false, ...options });
    await new Promise((resolve, reject) => {
      secure.once('secureConnect', () => resolve(undefined));
      secure.once('error', reject);
    });
    this.#socket = secure;
    this.#attach(secure);
  }

  get secure(): boolean {
    return this.#socket instanceof TLSSocket;
  }

  /** Resolves when the server has closed; what it still said is in `rest()`. */
  async ended(): Promise<void> {
    while (!this.#ended) {
      await new Promise<void>((resolve) => {
        this.#waiting = { resolve, reject: () => resolve() };
      });
    }
  }

  rest(): string {
    return this.#received;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #attach(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1');
      this.#wake();
    });
    for (const event of ['end', 'close', 'error'] as const) {
      socket.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
    }
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve();
  }

  #takeReply(): string | undefined {
    let end = 0;
    for (;;) {
      const newline = this.#received.indexOf('\r\n', end);
      if (newline < 0) return undefined;
      const last = this.#received[end + 3] !== '-';
      end = newline + 2;
      if (!last) continue;
      const reply = this.#received.slice(0, newline).replaceAll('\r\n', '\n');
      this.#received = this.#received.slice(end);
      return reply;
    }
  }
}

export function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

/** The queue id in `250 2.0.0 Ok: queued as ID`. */
export function queueIdOf(reply: string): string {
  const match = /^250 2\.0\.0 Ok: queued as ([0-9A-Z]{16})$/.exec(reply);
  if (match?.[1] === undefined) throw new Error(`no queue id in: ${reply}`);
  return match[1];
}
