/** A socket that speaks Dovecot's authentication protocol as the test says, wrong if it likes. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const handshake = [
  'VERSION\t1\t2',
  'MECH\tPLAIN\tplaintext',
  'MECH\tLOGIN\tplaintext',
  'SPID\t77',
  'CUID\t3',
  'COOKIE\t0123456789abcdef0123456789abcdef',
  'DONE',
  '',
].join('\n');

export interface FakeDovecotOptions {
  /** Written when somebody connects. */
  readonly handshake?: string;
  /** A line from the client. */
  readonly onLine?: (line: string, socket: Socket) => void;
}

export class FakeDovecot {
  readonly path: string;
  readonly lines: string[] = [];
  readonly sockets: Socket[] = [];
  readonly #directory: string;
  readonly #server: Server;

  private constructor(options: FakeDovecotOptions) {
    this.#directory = mkdtempSync(join(tmpdir(), 'postern-fake-dovecot-'));
    this.path = join(this.#directory, 'auth-client');
    this.#server = createServer((socket) => {
      this.sockets.push(socket);
      socket.on('error', () => socket.destroy());
      socket.write(options.handshake ?? handshake);
      let rest = '';
      socket.on('data', (chunk) => {
        const lines = (rest + chunk.toString()).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          this.lines.push(line);
          options.onLine?.(line, socket);
        }
      });
    });
  }

  static async start(options: FakeDovecotOptions = {}): Promise<FakeDovecot> {
    const fake = new FakeDovecot(options);
    await once(fake.#server.listen(fake.path), 'listening');
    return fake;
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  stop(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Answers each request by the password in it. */
export function answering(replies: Readonly<Record<string, string>>): (line: string, socket: Socket) => void {
  return (line, socket) => {
    const request = requestOf(line);
    const reply = request && replies[request.password];
    if (request && reply !== undefined) socket.write(reply.replaceAll('ID', request.id));
  };
}

/** Undefined: it is no AUTH request. */
export function requestOf(line: string): { id: string; user: string; password: string } | undefined {
  const [word, id = '', , ...fields] = line.split('\t');
  if (word !== 'AUTH') return undefined;
  const response = fields.at(-1)?.replace('resp=', '') ?? '';
  const [, user = '', password = ''] = Buffer.from(response, 'base64').toString().split('\0');
  return { id, user, password };
}
