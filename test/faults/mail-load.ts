/**
 * Senders that remember: several at once, each message with a random id, its sha256 and recipients, and what became of
 * it, with the time at which the complete reply had been read. No id is ever sent twice, so a message that comes twice
 * was doubled behind us. The near end of the oracle.
 */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';

import { errorCodeOf } from '../../src/base/errors.js';
import { monotonicMs } from './monotonic.js';
import type { Sent } from './oracle.js';
import type { Random } from '../support/random.js';

export interface LoadOptions {
  readonly port: number;
  readonly senders: number;
  readonly random: Random;
  /** Pause between two messages of a sender, milliseconds. */
  readonly pauseMs?: number;
  /** Share of messages of 64 to 400 KiB, which go to disk in chunks while they come. */
  readonly large?: number;
  /** The local parts of all recipients of a message begin with one of these. */
  readonly recipients?: readonly string[];
}

/** A reply that does not come is a fault of its own: longer than any bound of the server's. */
const replyBoundMs = 120_000;
const retryMs = 20;

export class MailLoad {
  readonly sent = new Map<string, Sent>();
  acked = 0;
  /** No process listened. */
  refusedConnections = 0;
  /** The listener took it, and its process died, or it was cut later. */
  cutConnections = 0;
  /** Of replies that never came. */
  hung = 0;
  /** From the final dot to the complete reply, milliseconds, of the acknowledged ones. */
  readonly waitsMs: number[] = [];
  /** Replies of refusals, counted by code and enhanced code. */
  readonly refusals = new Map<string, number>();
  readonly #options: LoadOptions;
  readonly #senders: Promise<void>[] = [];
  readonly #run = Math.floor(Math.random() * 36 ** 4).toString(36);
  #next = 0;
  #running = true;

  constructor(options: LoadOptions) {
    this.#options = options;
    for (let sender = 0; sender < options.senders; sender++) this.#senders.push(this.#send());
  }

  /** Each sender finishes the message that it has begun. */
  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#senders);
  }

  async #send(): Promise<void> {
    let dialogue: Dialogue | undefined;
    while (this.#running) {
      try {
        dialogue ??= await Dialogue.open(this.#options.port);
        await this.#sendOne(dialogue);
        if (this.#options.pauseMs !== undefined) await pause(this.#options.pauseMs);
      } catch (error) {
        this.#count(error);
        dialogue?.destroy();
        dialogue = undefined;
        await pause(retryMs);
      }
    }
    dialogue?.destroy();
  }

  #count(error: unknown): void {
    if (error instanceof NoReply) this.hung += 1;
    if (errorCodeOf(error) === 'ECONNREFUSED') this.refusedConnections += 1;
    else this.cutConnections += 1;
  }

  async #sendOne(dialogue: Dialogue): Promise<void> {
    const { random } = this.#options;
    const id = `${this.#run}-${(this.#next++).toString(36)}-${random.between(0, 36 ** 5).toString(36)}`;
    const message = messageOf(id, this.#sizeOf(random));
    const kind = random.pick(this.#options.recipients ?? ['rcpt']);
    const recipients = Array.from({ length: random.between(1, 3) }, (_, n) => `${kind}-${n}@example.test`);
    const sha256 = createHash('sha256').update(message).digest('hex');
    const record: Sent = { sha256, recipients, outcome: 'unknown', answeredAtMs: 0 };
    this.sent.set(id, record);
    const envelope = ['MAIL FROM:<sender@client.test>', ...recipients.map((to) => `RCPT TO:<${to}>`), 'DATA'];
    for (const line of envelope) {
      const reply = await dialogue.command(`${line}\r\n`);
      if (!/^[23]/.test(reply)) return this.#refuse(record, reply, dialogue);
    }
    const dotAtMs = monotonicMs();
    const reply = await dialogue.command(Buffer.concat([stuffed(message), Buffer.from('.\r\n')]));
    if (!reply.startsWith('250')) return this.#refuse(record, reply, dialogue);
    record.answeredAtMs = monotonicMs();
    record.outcome = 'acked';
    this.acked += 1;
    this.waitsMs.push(record.answeredAtMs - dotAtMs);
  }

  async #refuse(record: Sent, reply: string, dialogue: Dialogue): Promise<void> {
    record.answeredAtMs = monotonicMs();
    record.outcome = 'refused';
    const code = reply.slice(0, 9).trim();
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
    if (reply.startsWith('421')) throw new Error(reply);
    await dialogue.command('RSET\r\n');
    await pause(retryMs);
  }

  #sizeOf(random: Random): number {
    if (random.chance(this.#options.large ?? 0.03)) return random.between(65_536, 400_000);
    return random.chance(0.8) ? random.between(300, 4_000) : random.between(4_000, 60_000);
  }
}

class NoReply extends Error {}

class Dialogue {
  readonly #socket: Socket;
  #received = '';
  #waiting: { resolve: (reply: string) => void; reject: (error: Error) => void } | undefined;
  #error: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1');
      this.#give();
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the connection ended')));
  }

  static async open(port: number): Promise<Dialogue> {
    const dialogue = new Dialogue(connect({ port, host: '127.0.0.1', noDelay: true }));
    for (const line of ['', 'EHLO client.test\r\n']) {
      const reply = await dialogue.command(line);
      if (reply.startsWith('2')) continue;
      dialogue.destroy();
      throw new Error(reply);
    }
    return dialogue;
  }

  /** The last line of the reply, complete. */
  command(bytes: string | Buffer): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#error !== undefined) return reject(this.#error);
      const timer = setTimeout(() => this.#fail(new NoReply(`no reply in ${replyBoundMs} ms`)), replyBoundMs);
      this.#waiting = {
        resolve: (reply) => {
          clearTimeout(timer);
          resolve(reply);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      if (bytes.length > 0) this.#socket.write(bytes);
      this.#give();
      return undefined;
    });
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #give(): void {
    const waiting = this.#waiting;
    const end = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/.exec(this.#received)?.[0];
    if (waiting === undefined || end === undefined) return;
    this.#received = this.#received.slice(end.length);
    this.#waiting = undefined;
    waiting.resolve(end.trimEnd().split('\r\n').at(-1) ?? '');
  }

  #fail(error: Error): void {
    this.#error ??= error;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(this.#error);
  }
}

/** Complete, with the last CRLF; some lines begin with a dot. */
function messageOf(id: string, bytes: number): Buffer {
  const header = `From: <sender@client.test>\r\nSubject: test\r\nX-Test-Id: ${id}\r\n\r\n`;
  const lines = Math.max(1, Math.ceil((bytes - header.length) / 74));
  const body = Array.from(
    { length: lines },
    (_, n) => `${n % 7 === 0 ? '.' : 'x'}${String(n).padStart(7, '0')} ${id.padEnd(63, '-')}\r\n`,
  );
  return Buffer.from(header + body.join(''), 'latin1');
}

function stuffed(message: Buffer): Buffer {
  return Buffer.from(message.toString('latin1').replaceAll('\r\n.', '\r\n..'), 'latin1');
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
