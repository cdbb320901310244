/**
 * One SMTP client session of the load generator, at byte level: of a reply it looks at the first digit and at whether a
 * line is the last, nothing else, so that two generator processes can keep a server busy. Asks its owner for messages
 * and tells it their outcomes; reconnects where the owner says so.
 */
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';

const LF = 0x0a;
const DASH = 0x2d;
const digit0 = 0x30;

const State = /** @type {const} */ ({
  closed: 0,
  greeting: 1,
  ehlo: 2,
  startTls: 3,
  idle: 4,
  envelope: 5,
  verdict: 6,
  quit: 7,
});

/**
 * @typedef {object} Job one message on its way
 * @property {string} id
 * @property {number} startMs intended start (performance.now)
 * @property {number} dotMs when the last byte was handed to the socket
 *
 * @typedef {object} SessionOptions
 * @property {string} host
 * @property {number} port
 * @property {'off' | 'starttls' | 'implicit'} tls
 * @property {boolean} pipelining
 * @property {number} perConnection messages
 * @property {Buffer[]} envelope MAIL, the RCPTs, DATA: one line each
 *
 * @typedef {object} Owner
 * @property {(session: Session) => Job | undefined} next the next message, or undefined: wait for `work()`
 * @property {(id: string) => [Buffer, Buffer]} wire
 * @property {(job: Job, line: string) => void} acked the complete 250 was read
 * @property {(job: Job, line: string) => void} refused
 * @property {(job: Job, sent: boolean, why: string) => 'again' | 'gone'} lost the connection ended before a verdict;
 *   `sent`: the end of data may have reached the server
 * @property {(why: string) => 'reconnect' | 'stop'} ended a connection ended that was not ours to end
 * @property {(session: Session) => void} idle the session waits for `work()`
 */

export class Session {
  /** @type {SessionOptions} */ #options;
  /** @type {Owner} */ #owner;
  /** @type {Buffer} */ #allCommands;
  /** @type {import('node:net').Socket | undefined} */ #socket;
  /** @type {number} */ #state = State.closed;
  /** @type {Buffer | undefined} the beginning of a line whose rest has not come */ #carry;
  /** @type {Job | undefined} */ #job;
  #sentOnConnection = 0;
  /** Index of the envelope line whose reply is awaited. */
  #line = 0;
  #envelopeFailure = '';
  #secured = false;
  #retryMs = 0;
  #stopped = false;

  /** @param {SessionOptions} options @param {Owner} owner */
  constructor(options, owner) {
    this.#options = options;
    this.#owner = owner;
    this.#allCommands = Buffer.concat(options.envelope);
  }

  /** There is something to do: connects if need be and asks the owner. */
  work() {
    if (this.#stopped) return;
    if (this.#state === State.idle) this.#nextMessage();
    else if (this.#state === State.closed) this.#connect();
  }

  get isIdle() {
    return this.#state === State.idle || this.#state === State.closed;
  }

  /** No more messages: QUIT where it can be said. */
  stop() {
    this.#stopped = true;
    if (this.#state === State.idle) this.#quit();
  }

  #connect() {
    const { host, port, tls } = this.#options;
    this.#state = State.greeting;
    this.#sentOnConnection = 0;
    this.#secured = tls === 'implicit';
    const socket =
      tls === 'implicit'
        ? connectTls({ host, port, rejectUnauthorized: false })
        : connectTcp({ host, port, noDelay: true });
    this.#attach(socket);
  }

  /** @param {import('node:net').Socket} socket */
  #attach(socket) {
    this.#socket = socket;
    this.#carry = undefined;
    socket.on('data', (chunk) => this.#onData(socket, chunk));
    socket.on('error', (error) => this.#onEnd(socket, error.message));
    socket.on('close', () => this.#onEnd(socket, 'closed'));
  }

  /** @param {import('node:net').Socket} socket @param {Buffer} chunk */
  #onData(socket, chunk) {
    let bytes = chunk;
    if (this.#carry !== undefined) {
      bytes = Buffer.concat([this.#carry, chunk]);
      this.#carry = undefined;
    }
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(LF, start);
      if (end < 0) break;
      if (bytes[start + 3] !== DASH) this.#onReply(bytes, start, end);
      if (this.#socket !== socket) return;
      start = end + 1;
    }
    if (start < bytes.length) this.#carry = Buffer.from(bytes.subarray(start));
  }

  /** @param {Buffer} bytes @param {number} start @param {number} end of the last line of a reply */
  #onReply(bytes, start, end) {
    const digit = (bytes[start] ?? 0) - digit0;
    switch (this.#state) {
      case State.greeting:
        return digit === 2 ? this.#sayEhlo() : this.#hangUp(lineOf(bytes, start, end));
      case State.ehlo:
        if (digit !== 2) return this.#hangUp(lineOf(bytes, start, end));
        if (this.#options.tls !== 'starttls' || this.#secured) return this.#nextMessage();
        this.#state = State.startTls;
        return void this.#socket?.write('STARTTLS\r\n');
      case State.startTls:
        return digit === 2 ? this.#startTls() : this.#hangUp(lineOf(bytes, start, end));
      case State.envelope:
        return this.#onEnvelopeReply(digit, bytes, start, end);
      case State.verdict:
        return this.#onVerdict(digit, bytes, start, end);
      case State.quit:
        return this.#close();
      default:
        // Unasked for, such as the 421 of a server that stops: the close that follows says the rest.
        return undefined;
    }
  }

  #sayEhlo() {
    this.#state = State.ehlo;
    this.#socket?.write('EHLO load.example.test\r\n');
  }

  #startTls() {
    const plain = this.#socket;
    if (plain === undefined) return;
    plain.removeAllListeners('data').removeAllListeners('error').removeAllListeners('close');
    this.#secured = true;
    const secure = connectTls({ socket: plain, rejectUnauthorized: false });
    this.#attach(secure);
    this.#state = State.greeting;
    secure.once('secureConnect', () => this.#sayEhlo());
  }

  #nextMessage() {
    this.#retryMs = 0;
    if (this.#sentOnConnection === this.#options.perConnection) return this.#quit();
    this.#job ??= this.#owner.next(this);
    if (this.#job === undefined) {
      this.#state = State.idle;
      if (this.#stopped) this.#quit();
      else this.#owner.idle(this);
      return;
    }
    this.#sentOnConnection += 1;
    this.#state = State.envelope;
    this.#line = 0;
    this.#envelopeFailure = '';
    this.#socket?.write(this.#options.pipelining ? this.#allCommands : (this.#options.envelope[0] ?? ''));
  }

  /** @param {number} digit @param {Buffer} bytes @param {number} start @param {number} end */
  #onEnvelopeReply(digit, bytes, start, end) {
    const { envelope, pipelining } = this.#options;
    const last = envelope.length - 1;
    this.#line += 1;
    if (this.#line <= last) {
      if (digit !== 2 && this.#envelopeFailure === '') this.#envelopeFailure = lineOf(bytes, start, end);
      if (pipelining) return;
      if (this.#envelopeFailure !== '') return this.#giveUp();
      this.#socket?.write(envelope[this.#line] ?? '');
      return;
    }
    // DATA. A 354 after a refused recipient still wants a body; several recipients may have been accepted.
    if (digit === 3) return this.#sendBody();
    this.#envelopeFailure ||= lineOf(bytes, start, end);
    this.#refuse();
  }

  /** Not pipelined: after a refused MAIL or RCPT the transaction is dropped, its RSET answered first. */
  #giveUp() {
    this.#line = this.#options.envelope.length - 1;
    this.#socket?.write('RSET\r\n');
  }

  #refuse() {
    const job = this.#job;
    this.#job = undefined;
    if (job !== undefined) this.#owner.refused(job, this.#envelopeFailure);
    this.#nextMessage();
  }

  #sendBody() {
    const job = this.#job;
    const socket = this.#socket;
    if (job === undefined || socket === undefined) return;
    const [head, rest] = this.#owner.wire(job.id);
    this.#state = State.verdict;
    job.dotMs = performance.now();
    if (rest.length === 0) {
      socket.write(head);
      return;
    }
    socket.write(head);
    // dot→250 begins when the last byte has left us, not when a megabyte was put in line.
    socket.write(rest, () => (job.dotMs = performance.now()));
  }

  /** @param {number} digit @param {Buffer} bytes @param {number} start @param {number} end */
  #onVerdict(digit, bytes, start, end) {
    const job = this.#job;
    this.#job = undefined;
    if (job === undefined) return;
    const line = lineOf(bytes, start, end);
    if (digit === 2) this.#owner.acked(job, line);
    else this.#owner.refused(job, line);
    this.#nextMessage();
  }

  #quit() {
    this.#state = State.quit;
    this.#socket?.write('QUIT\r\n');
  }

  /** After our QUIT: the next connection, if there is more to send. */
  #close() {
    this.#drop();
    if (this.#stopped) return;
    this.#job ??= this.#owner.next(this);
    if (this.#job === undefined) this.#owner.idle(this);
    else this.#connect();
  }

  /** @param {string} why */
  #hangUp(why) {
    const socket = this.#socket;
    if (socket !== undefined) this.#onEnd(socket, why);
  }

  /** @param {import('node:net').Socket} socket @param {string} why */
  #onEnd(socket, why) {
    if (this.#socket !== socket) return;
    const state = this.#state;
    this.#drop();
    if (state === State.quit) return this.#stopped ? undefined : this.#close();
    const job = this.#job;
    if (job !== undefined && this.#owner.lost(job, state === State.verdict, why) === 'gone')
      this.#job = undefined;
    if (this.#stopped || this.#owner.ended(why) === 'stop') return;
    // A server that is down is asked again soon at first, then every half second.
    this.#retryMs = Math.min(this.#retryMs * 2 + 10, 500);
    setTimeout(() => this.work(), this.#retryMs);
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#state = State.closed;
    socket?.removeAllListeners('data');
    socket?.destroy();
  }
}

/** @param {Buffer} bytes @param {number} start @param {number} end @returns {string} */
function lineOf(bytes, start, end) {
  return bytes.toString('latin1', start, bytes[end - 1] === 0x0d ? end - 1 : end);
}
