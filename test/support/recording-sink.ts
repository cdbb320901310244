/**
 * A next hop that accepts everything and remembers it: the far end of the loss oracle. For each message the value of
 * its X-Test-Id field and the sha256 of its bytes without the one trace field on top.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { sha256 } from './smtp-client.js';

export interface Delivered {
  readonly id: string;
  readonly sha256: string;
  readonly recipients: readonly string[];
}

export class RecordingSink {
  readonly delivered: Delivered[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  port = 0;

  private constructor() {
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static open(): Promise<RecordingSink> {
    return RecordingSink.openOn(0);
  }

  static openOn(port: number): Promise<RecordingSink> {
    const sink = new RecordingSink();
    return new Promise((resolve, reject) => {
      sink.#server.once('error', reject);
      sink.#server.listen(port, '127.0.0.1', () => {
        const address = sink.#server.address();
        sink.port = address !== null && typeof address === 'object' ? address.port : 0;
        resolve(sink);
      });
    });
  }

  /** Deliveries by test id: more than one is a duplicate. */
  byId(): Map<string, Delivered[]> {
    const found = new Map<string, Delivered[]>();
    for (const message of this.delivered) found.set(message.id, [...(found.get(message.id) ?? []), message]);
    return found;
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.write('220 sink.test ESMTP\r\n');
    let kept: Buffer = Buffer.alloc(0);
    let inData = false;
    let recipients: string[] = [];
    socket.on('data', (chunk: Buffer) => {
      kept = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
      for (;;) {
        const end = inData ? endOfData(kept) : kept.indexOf('\r\n');
        if (end < 0) return;
        if (inData) {
          this.#record(kept.subarray(0, end), recipients);
          kept = kept.subarray(end + 3);
          inData = false;
          recipients = [];
          socket.write('250 2.0.0 kept\r\n');
          continue;
        }
        const line = kept.subarray(0, end).toString('latin1');
        kept = kept.subarray(end + 2);
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === 'RCPT') recipients.push(line.slice(9, -1));
        if (verb === 'DATA') inData = true;
        socket.write(replyTo(verb));
        if (verb === 'QUIT') socket.end();
      }
    });
  }

  #record(stuffed: Buffer, recipients: readonly string[]): void {
    const text = stuffed.toString('latin1').replaceAll('\r\n..', '\r\n.');
    const body = withoutTrace(text.startsWith('..') ? text.slice(1) : text);
    const id = /^X-Test-Id: (.*?)\r$/m.exec(body)?.[1] ?? '';
    this.delivered.push({ id, sha256: sha256(Buffer.from(body, 'latin1')), recipients });
  }
}

function replyTo(verb: string): string {
  if (verb === 'EHLO')
    return '250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 0\r\n';
  if (verb === 'DATA') return '354 go on\r\n';
  if (verb === 'QUIT') return '221 2.0.0 bye\r\n';
  return '250 2.0.0 ok\r\n';
}

/** Where the message ends: behind the CRLF before the dot; 3 more octets are the dot and its CRLF. */
function endOfData(bytes: Buffer): number {
  if (bytes.length >= 3 && bytes.subarray(0, 3).toString('latin1') === '.\r\n') return 0;
  const found = bytes.indexOf('\r\n.\r\n');
  return found < 0 ? -1 : found + 2;
}

/** The first field and its folded lines are ours. */
function withoutTrace(message: string): string {
  if (!message.startsWith('Received: ')) throw new Error(`no trace field on top: ${message.slice(0, 80)}`);
  let end = message.indexOf('\r\n') + 2;
  while (message[end] === ' ' || message[end] === '\t') end = message.indexOf('\r\n', end) + 2;
  return message.slice(end);
}
