/**
 * A next hop that does as a test says: SMTP or LMTP on port 0, a script of answers per phase, a record of what came.
 * An answer is the reply's text, or a function that does something to the socket (stall, cut, garbage) and may
 * return a reply.
 */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** 'end': the final dot, or the last octet of `BDAT … LAST`. 'BDAT': its command line, to which a hop owes nothing. */
export type Phase =
  | 'greeting'
  | 'EHLO'
  | 'HELO'
  | 'LHLO'
  | 'STARTTLS'
  | 'AUTH'
  | 'MAIL'
  | 'RCPT'
  | 'DATA'
  | 'BDAT'
  | 'end'
  | 'RSET'
  | 'QUIT';

/** undefined: no reply (stall, or the function has done it). */
export type Answer = string | ((context: HopContext) => string | undefined);

export interface HopContext {
  readonly socket: Socket;
  readonly line: string;
  /** Which connection, from 1. */
  readonly connection: number;
}

export interface ReceivedMessage {
  readonly from: string;
  readonly recipients: readonly string[];
  /** With the dots taken out again and the final CRLF. */
  readonly body: Buffer;
  readonly connection: number;
  readonly secure: boolean;
  readonly via: 'DATA' | 'BDAT';
}

export interface FakeHopOptions {
  readonly protocol?: 'smtp' | 'lmtp';
  readonly extensions?: readonly string[];
  readonly answers?: Partial<Record<Phase, Answer>>;
  /** Do not read while the body arrives: a zero window. */
  readonly deafBody?: boolean;
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer };
  /** Delay before the reply to the final dot. */
  readonly endDelayMs?: number;
  /** Announced as extensions say, and not known: its octets are read as commands. */
  readonly bdatUnknown?: boolean;
}

export class FakeHop {
  readonly messages: ReceivedMessage[] = [];
  readonly commands: string[] = [];
  /** Byte counts of the chunks as they arrived, per connection. */
  readonly chunks: string[] = [];
  connections = 0;
  /** Not closed, and not yet told 221. */
  open = 0;
  mostOpen = 0;
  answers: Partial<Record<Phase, Answer>>;
  readonly options: FakeHopOptions;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(options: FakeHopOptions = {}) {
    this.options = options;
    this.answers = { ...options.answers };
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  /** Open ones, those after QUIT too. */
  get sockets(): number {
    return this.#sockets.size;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    return (address satisfies AddressInfo).port;
  }

  listen(port = 0, host = '127.0.0.1'): Promise<this> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => resolve(this));
    });
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: Socket): void {
    this.connections++;
    this.open++;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    this.#sockets.add(socket);
    let counted = true;
    const left = (): void => {
      if (counted) this.open--;
      counted = false;
    };
    socket.on('close', () => {
      left();
      this.#sockets.delete(socket);
    });
    new HopSession(this, socket, { connection: this.connections, left }).greet();
  }
}

class HopSession {
  readonly #hop: FakeHop;
  readonly #connection: number;
  readonly #left: () => void;
  #socket: Socket;
  #buffer = Buffer.alloc(0);
  #inBody = false;
  /** Octets of a BDAT that are still to come. */
  #octetsLeft = 0;
  #isLast = false;
  #octets: Buffer[] = [];
  /** Lines of an AUTH exchange that are still to come. */
  #authLines = 0;
  #from = '';
  #mailTaken = false;
  #recipients: string[] = [];
  #secure = false;

  constructor(hop: FakeHop, socket: Socket, accepted: { connection: number; left: () => void }) {
    this.#hop = hop;
    this.#socket = socket;
    this.#connection = accepted.connection;
    this.#left = accepted.left;
    this.#listen(socket);
  }

  greet(): void {
    this.#reply('greeting', '', '220 hop.example ready');
  }

  #listen(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      this.#hop.chunks.push(chunk.toString('latin1'));
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      this.#consume();
    });
  }

  #consume(): void {
    for (;;) {
      if (this.#socket.destroyed) return;
      if (this.#inBody) {
        if (!this.#body()) return;
      } else if (this.#octetsLeft > 0) {
        if (!this.#takeOctets()) return;
      } else {
        const end = this.#buffer.indexOf('\r\n');
        if (end < 0) return;
        const line = this.#buffer.toString('utf8', 0, end);
        this.#buffer = this.#buffer.subarray(end + 2);
        this.#hop.commands.push(line);
        if (this.#authLines > 0) this.#authLine(line);
        else this.#command(line);
      }
    }
  }

  #body(): boolean {
    // A body of nothing but the lone dot has no CRLF before it.
    const lone = this.#buffer.subarray(0, 3).toString('latin1') === '.\r\n';
    const end = lone ? 0 : this.#buffer.indexOf('\r\n.\r\n');
    if (end < 0) return false;
    const raw = lone ? '' : this.#buffer.toString('latin1', 0, end + 2);
    this.#buffer = this.#buffer.subarray(lone ? 3 : end + 5);
    this.#inBody = false;
    const body = Buffer.from(raw.replace(/^\./, '').replaceAll('\r\n.', '\r\n'), 'latin1');
    this.#ended(body, 'DATA');
    return true;
  }

  #takeOctets(): boolean {
    if (this.#buffer.length === 0) return false;
    const octets = this.#buffer.subarray(0, this.#octetsLeft);
    this.#buffer = this.#buffer.subarray(octets.length);
    this.#octetsLeft -= octets.length;
    this.#octets.push(octets);
    if (this.#octetsLeft === 0) this.#chunkEnded();
    return true;
  }

  #chunkEnded(): void {
    if (!this.#isLast) this.#socket.write('250 2.0.0 octets taken\r\n');
    else if (this.#recipients.length === 0) this.#socket.write('503 5.5.1 nobody to send it to\r\n');
    else this.#ended(Buffer.concat(this.#octets.splice(0)), 'BDAT');
  }

  #ended(body: Buffer, via: 'DATA' | 'BDAT'): void {
    const [from, recipients] = [this.#from, this.#recipients];
    this.#recipients = [];
    const finish = (): void => {
      const rounds = this.#hop.options.protocol === 'lmtp' ? recipients : [recipients.join(',')];
      const taken: string[] = [];
      for (const round of rounds) {
        const said = this.#reply('end', round, '250 2.0.0 taken');
        if (said?.startsWith('250') === true) taken.push(...round.split(','));
      }
      if (taken.length === 0) return;
      const [connection, secure] = [this.#connection, this.#secure];
      this.#hop.messages.push({ from, recipients: taken, body, connection, secure, via });
    };
    const { endDelayMs } = this.#hop.options;
    if (endDelayMs === undefined) finish();
    else setTimeout(finish, endDelayMs);
  }

  #command(line: string): void {
    const verb = (line.split(' ', 1)[0] ?? '').toUpperCase();
    switch (verb) {
      case 'EHLO':
      case 'LHLO':
        this.#reply(verb, line, this.#hello());
        break;
      case 'HELO':
        this.#reply(verb, line, '250 hop.example');
        break;
      case 'STARTTLS':
        this.#startTls(line);
        break;
      case 'MAIL':
        this.#from = /<(.*?)>/.exec(line)?.[1] ?? '';
        this.#recipients = [];
        this.#octets = [];
        this.#mailTaken = this.#reply(verb, line, '250 2.1.0 ok')?.startsWith('250') === true;
        break;
      case 'RCPT':
        if (!this.#mailTaken) this.#socket.write('503 5.5.1 MAIL first\r\n');
        else if (this.#reply(verb, line, '250 2.1.5 ok')?.startsWith('250') === true)
          this.#recipients.push(/<(.*)>/.exec(line)?.[1] ?? '');
        break;
      case 'DATA':
        this.#data(line);
        break;
      case 'BDAT':
        this.#bdat(line);
        break;
      case 'AUTH':
        this.#authLines = /^AUTH LOGIN$/.test(line) ? 2 : /^AUTH PLAIN$/.test(line) ? 1 : 0;
        this.#authReply(line);
        break;
      case 'RSET':
        this.#recipients = [];
        this.#reply(verb, line, '250 2.0.0 ok');
        break;
      case 'QUIT':
        this.#left();
        if (this.#reply(verb, line, '221 2.0.0 bye') !== undefined) this.#socket.end();
        break;
      default:
        this.#socket.write('500 5.5.1 what\r\n');
    }
  }

  #data(line: string): void {
    const usual = this.#recipients.length > 0 ? '354 go on' : '554 5.5.1 no valid recipients';
    // The answer is sent first and the state follows it, as a function may write the reply itself.
    const said = this.#reply('DATA', line, usual);
    if (said?.startsWith('354') !== true) return;
    this.#inBody = true;
    if (this.#hop.options.deafBody === true) this.#socket.pause();
  }

  #bdat(line: string): void {
    const [, octets, last] = /^BDAT (\d+)( LAST)?$/.exec(line) ?? [];
    if (this.#hop.options.bdatUnknown === true || octets === undefined) {
      this.#socket.write('500 5.5.2 what is BDAT\r\n');
      return;
    }
    this.#octetsLeft = Number(octets);
    this.#isLast = last !== undefined;
    if (this.#hop.answers.BDAT !== undefined) this.#reply('BDAT', line, '');
    if (this.#hop.options.deafBody === true) this.#socket.pause();
    else if (this.#octetsLeft === 0) this.#chunkEnded();
  }

  #authLine(line: string): void {
    this.#authLines--;
    this.#authReply(line);
  }

  /** Challenges as most servers write them; every password is right unless the script says otherwise. */
  #authReply(line: string): void {
    const said = this.#reply('AUTH', line, this.#authLines > 0 ? '334 VXNlcm5hbWU6' : '235 2.7.0 welcome');
    if (said?.startsWith('334') !== true) this.#authLines = 0;
  }

  #hello(): string {
    const keywords = [...(this.#hop.options.extensions ?? ['PIPELINING', '8BITMIME', 'SIZE 99999999'])];
    if (this.#hop.options.tls !== undefined && !this.#secure) keywords.push('STARTTLS');
    const lines = ['hop.example', ...keywords];
    return lines.map((text, index) => `250${index === lines.length - 1 ? ' ' : '-'}${text}`).join('\r\n');
  }

  #startTls(line: string): void {
    const said = this.#reply('STARTTLS', line, '220 2.0.0 go ahead');
    const { tls } = this.#hop.options;
    if (said?.startsWith('220') !== true || tls === undefined) return;
    this.#socket.removeAllListeners('data');
    const secure = new TLSSocket(this.#socket, { isServer: true, ...tls });
    this.#secure = true;
    this.#socket = secure;
    this.#listen(secure);
  }

  #reply(phase: Phase, line: string, usual: string): string | undefined {
    const answer = this.#hop.answers[phase];
    const context = { socket: this.#socket, line, connection: this.#connection };
    const text = typeof answer === 'function' ? answer(context) : (answer ?? usual);
    if (text !== undefined && this.#socket.writable) this.#socket.write(`${text}\r\n`);
    return text;
  }
}
