#!/usr/bin/env node
/**
 * An SMTP server that takes everything: `node bench/load/sink.mjs --help`. Counts messages; with --record it also writes
 * id and sha256 of each one, so that loss, change and duplication can be seen (compare.mjs). Prints `listening PORT`
 * when it is ready, and a count when it stops.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';

import { SinkDataReader } from './data-reader.mjs';
import { idHeader, idLength } from './message.mjs';
import { RecordFile } from './record-file.mjs';

const usage = `
usage: node bench/load/sink.mjs [options]
  --port PORT       on 127.0.0.1 (0: any free one)
  --record FILE     append one JSON line per message: id, sha256 from its X-Load-Id line on, time
  --delay MS        wait before each reply to end of data (0)
  --expect N        stop when N different messages have come (with --record)
`;

const reply = {
  greeting: Buffer.from('220 sink.example.test ESMTP\r\n'),
  ehlo: Buffer.from(
    '250-sink.example.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE\r\n',
  ),
  ok: Buffer.from('250 2.0.0 Ok\r\n'),
  data: Buffer.from('354 go\r\n'),
  bye: Buffer.from('221 2.0.0 Bye\r\n'),
  what: Buffer.from('500 5.5.2 what?\r\n'),
};

const LF = 0x0a;
const idMark = Buffer.from(idHeader);
// Trace fields stand above the id; a message whose first 64 KiB have none is not ours.
const maxTraceBytes = 64 * 1024;

class Sink {
  messages = 0;
  /** @type {Set<string>} */
  ids = new Set();
  /** @type {Set<import('node:net').Socket>} */
  sockets = new Set();

  /** @param {{ record: RecordFile | undefined, delayMs: number, expect: number, onExpected: () => void }} options */
  constructor(options) {
    this.options = options;
  }

  /** @param {string | undefined} id @param {string} sha256 */
  took(id, sha256) {
    this.messages += 1;
    const { record, expect, onExpected } = this.options;
    if (record === undefined) return;
    record.write({ id: id ?? '', sha256, atMs: Date.now() });
    if (id !== undefined) this.ids.add(id);
    if (expect > 0 && this.ids.size === expect) onExpected();
  }
}

/** What is known of the message that is being read. */
class Intake {
  /** @type {Buffer[]} */ #head = [];
  #headBytes = 0;
  #hash = createHash('sha256');
  /** @type {string | undefined} */ id;

  /** @param {Buffer} slice */
  take(slice) {
    if (this.id !== undefined) {
      this.#hash.update(slice);
      return;
    }
    if (this.#headBytes > maxTraceBytes) return;
    this.#head.push(Buffer.from(slice));
    this.#headBytes += slice.length;
    this.#findId();
  }

  #findId() {
    const head = Buffer.concat(this.#head);
    this.#head = [head];
    const at = head.indexOf(idMark);
    if (at < 0 || head.length < at + idMark.length + idLength) return;
    this.id = head.toString('latin1', at + idMark.length, at + idMark.length + idLength);
    this.#hash.update(head.subarray(at));
  }

  get sha256() {
    return this.#hash.digest('hex');
  }
}

class SinkSession {
  /** @type {Buffer | undefined} the beginning of a command */ #carry;
  /** @type {SinkDataReader | undefined} while a message is read */ #reader;
  /** @type {Intake | undefined} */ #intake;
  /** @type {Buffer[]} replies of this turn, one write */ #out = [];
  #held = false;
  #socket;
  #sink;

  /** @param {import('node:net').Socket} socket @param {Sink} sink */
  constructor(socket, sink) {
    this.#socket = socket;
    this.#sink = sink;
    socket.write(reply.greeting);
    socket.on('data', (chunk) => this.#onData(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sink.sockets.delete(socket));
    sink.sockets.add(socket);
  }

  /** @param {Buffer} chunk */
  #onData(chunk) {
    let at = 0;
    let bytes = chunk;
    if (this.#carry !== undefined) {
      bytes = Buffer.concat([this.#carry, chunk]);
      this.#carry = undefined;
    }
    while (at < bytes.length && !this.#held) {
      if (this.#reader !== undefined) {
        const end = this.#reader.feed(bytes, at);
        if (end < 0) break;
        at = end;
        this.#onMessage();
        continue;
      }
      const end = bytes.indexOf(LF, at);
      if (end < 0) {
        this.#carry = Buffer.from(bytes.subarray(at));
        break;
      }
      this.#onCommand(bytes.toString('latin1', at, Math.min(at + 4, end)).toUpperCase());
      at = end + 1;
    }
    if (this.#held) this.#carry = Buffer.from(bytes.subarray(at));
    this.#flush();
  }

  /** @param {string} verb */
  #onCommand(verb) {
    switch (verb) {
      case 'EHLO':
      case 'LHLO':
        return this.#out.push(reply.ehlo);
      case 'DATA': {
        const intake = new Intake();
        const keep = this.#sink.options.record !== undefined;
        this.#intake = intake;
        this.#reader = new SinkDataReader(keep ? (slice) => intake.take(slice) : undefined);
        return this.#out.push(reply.data);
      }
      case 'QUIT':
        this.#out.push(reply.bye);
        this.#flush();
        return this.#socket.end();
      case 'HELO':
      case 'MAIL':
      case 'RCPT':
      case 'RSET':
      case 'NOOP':
        return this.#out.push(reply.ok);
      default:
        return this.#out.push(reply.what);
    }
  }

  #onMessage() {
    const intake = this.#intake;
    this.#reader = undefined;
    if (intake === undefined) return;
    const keep = this.#sink.options.record !== undefined;
    this.#sink.took(intake.id, keep ? intake.sha256 : '');
    const { delayMs } = this.#sink.options;
    if (delayMs === 0) this.#out.push(reply.ok);
    else this.#hold(delayMs);
  }

  /** Nothing that came behind the message is answered before the message is. @param {number} delayMs */
  #hold(delayMs) {
    this.#held = true;
    this.#socket.pause();
    setTimeout(() => {
      this.#held = false;
      this.#out.push(reply.ok);
      this.#onData(Buffer.alloc(0));
      this.#socket.resume();
    }, delayMs);
  }

  #flush() {
    if (this.#out.length === 0) return;
    const out = this.#out.length === 1 ? this.#out[0] : Buffer.concat(this.#out);
    this.#out = [];
    if (out !== undefined) this.#socket.write(out);
  }
}

function main() {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      record: { type: 'string' },
      delay: { type: 'string', default: '0' },
      expect: { type: 'string', default: '0' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const record = values.record === undefined ? undefined : new RecordFile(values.record);
  const server = createServer({ noDelay: true }, (socket) => new SinkSession(socket, sink));
  const stop = () => {
    server.close();
    for (const socket of sink.sockets) socket.destroy();
    record?.close();
    process.stdout.write(
      `took ${sink.messages}${record === undefined ? '' : `, ${sink.ids.size} different`}\n`,
    );
    process.exitCode = 0;
    if (process.connected) process.disconnect();
  };
  const sink = new Sink({
    record,
    delayMs: Number(values.delay),
    expect: Number(values.expect),
    onExpected: stop,
  });
  server.on('error', (error) => {
    process.stderr.write(`sink: cannot listen on 127.0.0.1:${values.port}: ${error.message}\n`);
    process.exit(1);
  });
  server.listen(Number(values.port), '127.0.0.1', () => {
    const address = server.address();
    if (typeof address === 'object' && address !== null) process.stdout.write(`listening ${address.port}\n`);
  });
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  // Forked by a program: it may ask for the count.
  process.on('message', (message) => {
    if (message === 'count') process.send?.({ messages: sink.messages });
  });
}

main();
