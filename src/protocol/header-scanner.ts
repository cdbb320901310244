/**
 * Watches the body's bytes go by until the blank line that ends the header, and counts there: header bytes, fields, `Received:`
 * fields (RFC 5321 §6.3) and those of them that are ours. One native search per header line; only the text of
 * `Received:` is looked at byte by byte. Keeps the message's own name for the log. After the header it is not called any more.
 */
import { CR, LF, SPACE, TAB } from './characters.js';
import { ReceivedBy } from './received-by.js';

// Field names ignore case (RFC 5322 §1.2.2).
const receivedName = Buffer.from('received:', 'latin1');
const messageIdName = Buffer.from('message-id:', 'latin1');
const letterM = 'm'.charCodeAt(0);
// `-` and `:` have one case.
const lowerA = 'a'.charCodeAt(0);
// RFC 5322 §2.1.1 lets a line have 998; what senders make has less than 100.
const maxMessageIdBytes = 256;

export class HeaderScanner {
  headerBytes = 0;
  fields = 0;
  receivedFields = 0;
  /** Of the first Message-ID field, as it stands there, cut; '' where there is none. */
  messageId = '';
  /** With our own name behind `by`. */
  ownReceivedFields = 0;
  /** The first line is a continuation: it would become part of our trace field (attacks.md A-012). */
  startsWithSpace = false;
  ended = false;
  // Bytes of the current line seen so far, as far as they matter: up to the length of `received:`.
  #column = 0;
  #matching = true;
  #onlyCr = false;
  /** What the current line may begin with. */
  #name = receivedName;
  /** The current line belongs to the first Message-ID field. */
  #inMessageId = false;
  #messageIds = 0;
  /** The current line belongs to a `Received:` field. */
  #inReceived = false;
  readonly #receivedBy: ReceivedBy;

  /** @param hostname ASCII, lower case */
  constructor(hostname: string) {
    this.#receivedBy = new ReceivedBy(hostname);
  }

  begin(): void {
    this.headerBytes = 0;
    this.fields = 0;
    this.receivedFields = 0;
    this.ownReceivedFields = 0;
    this.#inReceived = false;
    this.messageId = '';
    this.#inMessageId = false;
    this.#messageIds = 0;
    this.startsWithSpace = false;
    this.ended = false;
    this.#beginLine();
  }

  #beginLine(): void {
    this.#column = 0;
    this.#matching = true;
    this.#onlyCr = false;
  }

  /** @returns the index after the blank line, or `end` when the header goes on */
  scan(bytes: Buffer, start: number, end: number): number {
    if (this.headerBytes === 0 && start < end) {
      this.startsWithSpace = bytes[start] === SPACE || bytes[start] === TAB;
    }
    let at = start;
    while (at < end && !this.ended) {
      at = this.#lineBegin(bytes, at, end);
      if (at === end) break;
      const lf = bytes.indexOf(LF, at);
      const lineEnd = lf < 0 || lf >= end ? end : lf + 1;
      if (this.#inReceived) this.#scanReceived(bytes, at, lineEnd);
      else if (this.#inMessageId) this.#keepMessageId(bytes, at, lineEnd);
      if (lineEnd === lf + 1) {
        this.ended = this.#onlyCr && lf === at;
        this.#beginLine();
      } else this.#onlyCr = false;
      at = lineEnd;
    }
    this.headerBytes += at - start;
    return at;
  }

  /** The name of the current line is one that we look for. */
  #found(): void {
    if (this.#name === messageIdName) {
      this.#inMessageId = ++this.#messageIds === 1;
      return;
    }
    this.receivedFields++;
    this.#inReceived = true;
    this.#receivedBy.begin();
  }

  #scanReceived(bytes: Buffer, start: number, end: number): void {
    if (this.#receivedBy.matched) return;
    this.#receivedBy.scan(bytes, start, end);
    if (this.#receivedBy.matched) this.ownReceivedFields++;
  }

  /** Of a folded field too. */
  #keepMessageId(bytes: Buffer, start: number, end: number): void {
    const room = maxMessageIdBytes - this.messageId.length;
    if (room > 0) this.messageId += bytes.toString('latin1', start, Math.min(end, start + room));
  }

  /** Goes over the first bytes of a line as long as they may be a name that we look for, or nothing but the CR. */
  #lineBegin(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && this.#matching) {
      const byte = bytes[at] ?? 0;
      // RFC 5322 §2.2.3: a line that begins with a blank goes on with the field before.
      if (this.#column === 0 && byte !== SPACE && byte !== TAB) {
        this.#inReceived = false;
        this.#inMessageId = false;
        if (byte !== CR) this.fields++;
        this.#name = (byte | 0x20) === letterM ? messageIdName : receivedName;
      }
      if (this.#column === 0 && byte === CR) {
        this.#onlyCr = true;
        this.#matching = false;
        return at + 1;
      }
      const wanted = this.#name[this.#column] ?? 0;
      if (byte !== wanted && (wanted < lowerA || byte !== wanted - 0x20)) {
        this.#matching = false;
        return at;
      }
      at++;
      this.#column++;
      if (this.#column === this.#name.length) {
        this.#matching = false;
        this.#found();
      }
    }
    return at;
  }
}
