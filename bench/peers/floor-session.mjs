/** One connection of a floor server: knows commands by their first letter, and the end of a message by its five bytes. */

const replies = {
  greeting: Buffer.from('220 floor.example.test ESMTP\r\n'),
  ehlo: Buffer.from('250-floor.example.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n'),
  ok: Buffer.from('250 2.0.0 Ok\r\n'),
  go: Buffer.from('354 go\r\n'),
  bye: Buffer.from('221 2.0.0 Bye\r\n'),
};
const endOfData = Buffer.from('\r\n.\r\n');
const LF = 0x0a;
/** Upper or lower case. @param {number} byte @param {string} letter */
const is = (byte, letter) => (byte | 0x20) === letter.charCodeAt(0);

class FloorSession {
  #socket;
  #onMessage;
  /** What came and was not used yet. */
  #rest = Buffer.alloc(0);
  #inData = false;
  /** A message waits for its 250; what came behind it waits too. */
  #held = false;
  #closing = false;

  /** @param {import('node:net').Socket} socket @param {(message: Buffer) => Promise<unknown> | undefined} onMessage its 250 follows when it is kept */
  constructor(socket, onMessage) {
    this.#socket = socket;
    this.#onMessage = onMessage;
    socket.write(replies.greeting);
    socket.on('data', (chunk) => {
      this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
      if (!this.#held) this.#work();
    });
    socket.on('error', () => socket.destroy());
  }

  /** Answers a batch with one write. @param {Buffer[]} out */
  #work(...out) {
    while (!this.#held) {
      const reply = this.#inData ? this.#message() : this.#command();
      if (reply === undefined) break;
      out.push(reply);
    }
    const [first] = out;
    if (first !== undefined) this.#socket.write(out.length === 1 ? first : Buffer.concat(out));
    if (this.#closing) this.#socket.end();
  }

  /** @returns {Buffer | undefined} */
  #message() {
    // The end may begin with the line end of DATA; no load here sends an empty message.
    const end = this.#rest.indexOf(endOfData);
    if (end < 0) return undefined;
    const message = this.#rest.subarray(0, end + 2);
    this.#rest = this.#rest.subarray(end + endOfData.length);
    this.#inData = false;
    const kept = this.#onMessage(message);
    if (kept === undefined) return replies.ok;
    this.#held = true;
    void this.#answerWhen(kept);
    return undefined;
  }

  /** @param {Promise<unknown>} kept */
  async #answerWhen(kept) {
    await kept;
    this.#held = false;
    this.#work(replies.ok);
  }

  /** @returns {Buffer | undefined} */
  #command() {
    const end = this.#rest.indexOf(LF);
    if (end < 0) return undefined;
    const first = this.#rest[0] ?? 0;
    this.#rest = this.#rest.subarray(end + 1);
    if (is(first, 'e') || is(first, 'h')) return replies.ehlo;
    if (is(first, 'd')) {
      this.#inData = true;
      return replies.go;
    }
    if (!is(first, 'q')) return replies.ok;
    this.#closing = true;
    return replies.bye;
  }
}

/** Serves one connection. @param {import('node:net').Socket} socket @param {(message: Buffer) => Promise<unknown> | undefined} onMessage its 250 follows when it is kept */
export function serve(socket, onMessage) {
  return new FloorSession(socket, onMessage);
}
