/**
 * The next hop of the fault suites: takes what it is told to take and notes id, sha256, recipients and the time of each
 * message, before it answers. A message from <> with our id in its text is a notification. The far end of the oracle.
 */
import { createHash } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';

import { monotonicMs } from './monotonic.js';
import type { Taken } from './oracle.js';

export interface HopOptions {
  readonly port?: number;
  /** Recipients that get 450 4.2.0 at RCPT, for ever. */
  readonly defers?: (recipient: string) => boolean;
}

export class Hop {
  readonly taken: Taken[] = [];
  readonly takenIds = new Set<string>();
  /** Ids in the text of notifications. */
  readonly notified = new Set<string>();
  readonly defers: (recipient: string) => boolean;
  /** Set: connections stay open and nothing is answered until it is false again. */
  frozen = false;
  port = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(options: HopOptions) {
    this.defers = options.defers ?? (() => false);
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      HopSession.serve(socket, this);
    });
  }

  static open(options: HopOptions = {}): Promise<Hop> {
    const hop = new Hop(options);
    return new Promise((resolve, reject) => {
      hop.#server.once('error', reject);
      hop.#server.listen(options.port ?? 0, '127.0.0.1', () => {
        const address = hop.#server.address();
        if (address !== null && typeof address === 'object') hop.port = address.port;
        resolve(hop);
      });
    });
  }

  take(reversePath: string, recipients: readonly string[], message: Buffer): void {
    const takenAtMs = monotonicMs();
    const start = endOfTrace(message);
    const id = idIn(message, start);
    if (reversePath === '') {
      for (const [, told] of message.toString('latin1').matchAll(/^X-Test-Id: (.*?)\r$/gm))
        if (told !== undefined) this.notified.add(told);
      return;
    }
    const sha256 = createHash('sha256').update(message.subarray(start)).digest('hex');
    this.taken.push({ id, sha256, recipients, takenAtMs });
    this.takenIds.add(id);
  }

  forget(): void {
    this.taken.length = 0;
    this.takenIds.clear();
    this.notified.clear();
  }

  /** Ends a freeze: what was left without an answer is cut, and comes again. */
  release(): void {
    this.frozen = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

class HopSession {
  readonly #socket: Socket;
  readonly #hop: Hop;
  #chunks: Buffer[] = [];
  #line = '';
  #inData = false;
  #reversePath = '';
  #recipients: string[] = [];

  private constructor(socket: Socket, hop: Hop) {
    this.#socket = socket;
    this.#hop = hop;
  }

  static serve(socket: Socket, hop: Hop): void {
    const session = new HopSession(socket, hop);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => session.#read(chunk));
    socket.write('220 hop.test ESMTP\r\n');
  }

  #read(chunk: Buffer): void {
    let rest: Buffer | undefined = chunk;
    while (rest !== undefined && rest.length > 0)
      rest = this.#inData ? this.#readData(rest) : this.#readLine(rest);
  }

  #readLine(chunk: Buffer): Buffer | undefined {
    const end = chunk.indexOf('\n');
    this.#line += chunk.toString('latin1', 0, end < 0 ? chunk.length : end + 1);
    if (end < 0) return undefined;
    const line = this.#line.trimEnd();
    this.#line = '';
    this.#answer(line);
    return chunk.subarray(end + 1);
  }

  /** The end may lie across chunks: the last octets of what came before are looked at again. */
  #readData(chunk: Buffer): Buffer | undefined {
    const last = this.#chunks.at(-1);
    // At the very start the CRLF before the dot is that of DATA.
    const before = last === undefined ? Buffer.from('\r\n') : last.subarray(-4);
    const seam = Buffer.concat([before, chunk.subarray(0, 4)]).indexOf('\r\n.\r\n');
    const at = seam >= 0 ? seam - before.length : chunk.indexOf('\r\n.\r\n');
    if (at < 0 && seam < 0) {
      this.#keep(chunk);
      return undefined;
    }
    const end = at + 5;
    this.#chunks.push(chunk.subarray(0, Math.max(0, end)));
    const stuffed = Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#inData = false;
    this.#hop.take(this.#reversePath, this.#recipients, unstuffed(stuffed.subarray(0, stuffed.length - 3)));
    this.#recipients = [];
    this.#reply('250 2.0.0 taken\r\n');
    return chunk.subarray(Math.max(0, end));
  }

  /** No kept chunk is shorter than the seam, or a dot at its edge would be missed. */
  #keep(chunk: Buffer): void {
    const last = this.#chunks.at(-1);
    if (last !== undefined && last.length < 4)
      this.#chunks[this.#chunks.length - 1] = Buffer.concat([last, chunk]);
    else this.#chunks.push(chunk);
  }

  #answer(line: string): void {
    const verb = line.slice(0, 4).toUpperCase();
    const path = /<(.*?)>/.exec(line)?.[1] ?? '';
    if (verb === 'EHLO')
      return this.#reply('250-hop.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 0\r\n');
    if (verb === 'MAIL' || verb === 'RSET') {
      this.#reversePath = path;
      this.#recipients = [];
    }
    if (verb === 'RCPT') {
      if (this.#hop.defers(path)) return this.#reply('450 4.2.0 later\r\n');
      this.#recipients.push(path);
    }
    if (verb === 'DATA') {
      if (this.#recipients.length === 0) return this.#reply('503 5.5.1 no recipient\r\n');
      this.#inData = true;
      return this.#reply('354 go on\r\n');
    }
    if (verb === 'QUIT') {
      this.#socket.end('221 2.0.0 bye\r\n');
      return undefined;
    }
    return this.#reply('250 2.0.0 ok\r\n');
  }

  #reply(text: string): void {
    if (!this.#hop.frozen) this.#socket.write(text);
  }
}

function unstuffed(message: Buffer): Buffer {
  if (message.indexOf('\r\n..') < 0 && message[0] !== 0x2e) return message;
  const text = message.toString('latin1').replaceAll('\r\n..', '\r\n.');
  return Buffer.from(text.startsWith('..') ? text.slice(1) : text, 'latin1');
}

/** The first field and its folded lines are ours. */
function endOfTrace(message: Buffer): number {
  if (message.toString('latin1', 0, 10) !== 'Received: ') return 0;
  let end = message.indexOf('\r\n') + 2;
  while (message[end] === 0x20 || message[end] === 0x09) end = message.indexOf('\r\n', end) + 2;
  return end;
}

function idIn(message: Buffer, start: number): string {
  return /^X-Test-Id: (.*?)\r$/m.exec(message.toString('latin1', start, start + 2048))?.[1] ?? '';
}
