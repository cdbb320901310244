/**
 * Finds out whether a `Received:` field was made by us: our own host name as the word behind `by` (RFC 5321 §4.4),
 * however the field is folded or written. Comments and quoted strings are skipped. One look at each byte and nothing
 * kept, so that the bound of the header is its bound too. Used by the header scanner.
 */
import { BACKSLASH, CR, LF, QUOTE, SPACE, TAB } from './characters.js';

const LEFT_PAREN = 0x28;
const RIGHT_PAREN = 0x29;
const SEMICOLON = 0x3b;

const State = {
  /** A delimiter was seen: the next word may be `by`. */
  between: 0,
  /** `b` or `by` so far, `#length` bytes of it. */
  keyword: 1,
  /** `by` and a delimiter: the next word may be our name. */
  afterBy: 2,
  /** Our name so far, `#length` bytes of it. */
  name: 3,
  /** A word that is neither. */
  word: 4,
  comment: 5,
  quoted: 6,
  matched: 7,
} as const;
type State = (typeof State)[keyof typeof State];

const keyword = Buffer.from('by', 'latin1');

/** What ends a word. */
const ends = Uint8Array.from({ length: 256 }, (_, byte) =>
  [SPACE, TAB, CR, LF, SEMICOLON, LEFT_PAREN].includes(byte) ? 1 : 0,
);

export class ReceivedBy {
  readonly #hostname: Buffer;
  #state: State = State.matched;
  #length = 0;
  #commentDepth = 0;
  #escaped = false;
  /** Where a comment goes back to: it may stand between `by` and the name. */
  #behindComment: State = State.between;

  /** @param hostname ASCII, lower case */
  constructor(hostname: string) {
    this.#hostname = Buffer.from(hostname, 'latin1');
  }

  /** The field that was begun last is ours. */
  get matched(): boolean {
    return this.#state === State.matched;
  }

  /** Behind the colon of a field. */
  begin(): void {
    this.#state = State.between;
    this.#commentDepth = 0;
    this.#escaped = false;
  }

  /** More of the field, line ends included: a word at the end of a line is ended by its CR. */
  scan(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end && this.#state !== State.matched) at = this.#step(bytes, at, end);
  }

  /** @returns the first byte that was not taken */
  #step(bytes: Buffer, at: number, end: number): number {
    switch (this.#state) {
      case State.between:
        return this.#wordBegin(bytes, at, end, State.keyword);
      case State.afterBy:
        return this.#wordBegin(bytes, at, end, State.name);
      case State.keyword:
        return this.#compare(bytes, at, end, keyword, State.afterBy);
      case State.name:
        return this.#compare(bytes, at, end, this.#hostname, State.matched);
      case State.word:
        return this.#skipWord(bytes, at, end);
      case State.comment:
        return this.#skipComment(bytes, at, end);
      case State.quoted:
        return this.#skipQuoted(bytes, at, end);
      case State.matched:
        return end;
    }
  }

  /** Over delimiters to the first byte of a word, which is left to the state that follows. */
  #wordBegin(bytes: Buffer, from: number, end: number, then: State): number {
    let at = from;
    while (at < end && ends[bytes[at] ?? 0] === 1 && bytes[at] !== LEFT_PAREN) at++;
    if (at === end) return end;
    if (bytes[at] === LEFT_PAREN) return this.#openComment(at, this.#state);
    if (bytes[at] === QUOTE) {
      this.#state = State.quoted;
      return at + 1;
    }
    this.#length = 0;
    this.#state = then;
    return at;
  }

  /** Case does not matter, for the keyword nor for a name (RFC 5321 §2.4). */
  #compare(bytes: Buffer, from: number, end: number, wanted: Buffer, whole: State): number {
    let at = from;
    while (at < end && this.#length < wanted.length && lower(bytes[at] ?? 0) === wanted[this.#length]) {
      at++;
      this.#length++;
    }
    if (at === end) return end;
    if (ends[bytes[at] ?? 0] === 1 && this.#length === wanted.length) this.#state = whole;
    // The word that is not our name may itself be `by`: a client can be called so.
    else if (this.#state === State.name && this.#isKeywordSoFar()) this.#state = State.keyword;
    else this.#state = State.word;
    return at;
  }

  #isKeywordSoFar(): boolean {
    if (this.#length > keyword.length) return false;
    for (let at = 0; at < this.#length; at++) if (this.#hostname[at] !== keyword[at]) return false;
    return true;
  }

  #skipWord(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && ends[bytes[at] ?? 0] === 0) at++;
    if (at < end) this.#state = State.between;
    return at;
  }

  #openComment(at: number, behind: State): number {
    this.#behindComment = behind;
    this.#state = State.comment;
    this.#commentDepth = 1;
    return at + 1;
  }

  /** RFC 5322 §3.2.2: comments nest. */
  #skipComment(bytes: Buffer, from: number, end: number): number {
    let at = from;
    for (; at < end && this.#commentDepth > 0; at++) {
      const byte = bytes[at];
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === LEFT_PAREN) this.#commentDepth++;
      else if (byte === RIGHT_PAREN) this.#commentDepth--;
    }
    if (this.#commentDepth === 0) this.#state = this.#behindComment;
    return at;
  }

  /** A quoted string is no host name and no keyword. */
  #skipQuoted(bytes: Buffer, from: number, end: number): number {
    let at = from;
    for (; at < end; at++) {
      const byte = bytes[at];
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) {
        this.#state = State.word;
        return at + 1;
      }
    }
    return at;
  }
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}
