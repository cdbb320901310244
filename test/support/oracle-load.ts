/**
 * Load that remembers: several clients send messages of their own id until told to stop, reconnect when cut off, and
 * note the id and sha256 of each message whose complete 250 they have read. The near end of the loss oracle.
 */
import { SmtpClient, sha256 } from './smtp-client.js';

export class OracleLoad {
  /** Test id → sha256 of what was acknowledged. */
  readonly acked = new Map<string, string>();
  /** Every id whose data was begun: a duplicate or a delivery without 250 must be among these. */
  readonly attempted = new Map<string, string>();
  readonly refused = new Set<string>();
  refusedConnections = 0;
  cutConnections = 0;
  readonly #port: number;
  readonly #bytes: number;
  readonly #maxMessages: number;
  readonly #clients: Promise<void>[] = [];
  #sent = 0;
  #running = true;

  constructor(options: {
    port: number;
    clients: number;
    messageBytes: number;
    maxMessages: number;
    label: string;
  }) {
    this.#port = options.port;
    this.#bytes = options.messageBytes;
    this.#maxMessages = options.maxMessages;
    for (let client = 0; client < options.clients; client++)
      this.#clients.push(this.#run(`${options.label}-${client}`));
  }

  /** Each client finishes the message it has begun. */
  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#clients);
  }

  async #run(label: string): Promise<void> {
    let client: SmtpClient | undefined;
    for (let n = 0; this.#running && this.#sent < this.#maxMessages; n++) {
      const id = `${label}-${n}`;
      try {
        client ??= await SmtpClient.greeted(this.#port);
      } catch {
        this.refusedConnections += 1;
        await pause();
        continue;
      }
      try {
        await this.#send(client, id);
      } catch {
        this.cutConnections += 1;
        client.destroy();
        client = undefined;
        await pause();
      }
    }
    client?.destroy();
  }

  async #send(client: SmtpClient, id: string): Promise<void> {
    const message = testMessage(id, this.#bytes);
    const digest = sha256(Buffer.from(`${message}\r\n`, 'latin1'));
    this.attempted.set(id, digest);
    this.#sent += 1;
    const reply = await client.send(message);
    if (reply.startsWith('250')) this.acked.set(id, digest);
    else this.refused.add(id);
    if (reply.startsWith('421')) throw new Error(reply);
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

/** CRLF lines without the last CRLF, some beginning with a dot. */
export function testMessage(id: string, bytes: number): string {
  const header = `Subject: test\r\nX-Test-Id: ${id}\r\n\r\n`;
  const lines: string[] = [];
  for (let length = header.length, n = 0; length < bytes; length += 72, n++) {
    lines.push(`${n % 7 === 0 ? '.' : 'x'}${String(n).padStart(8, '0')} ${id.padEnd(60, '-').slice(0, 60)}`);
  }
  return header + lines.join('\r\n');
}
