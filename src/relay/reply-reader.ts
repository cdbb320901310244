/**
 * Bytes of a next hop in, replies out (RFC 5321 §4.2). Trusts the hop as little as the server trusts a client: line
 * and total bounds, one code per reply, CRLF only, no NUL (attack A-140). Whatever breaks a rule is RELAY_PROTOCOL
 * and the end of the connection; time is the caller's matter.
 *
 * Two things are taken that a strict reader would not: a code without text (RFC 5321 §4.2 wants clients ready for
 * it) and bytes above 127 in the text (localised servers; RFC 6531 §3.7.4). The latter become `?` in last-reply.
 */
import { PosternError } from '../base/errors.js';
import type { HopReply } from './last-reply.js';

/** RFC 5321 §4.5.3.1.5 has 512; real servers pass it with long URLs. */
const maxLineBytes = 4096;
/** All lines of one reply: an EHLO with hundreds of keywords fits, an endless `250-` does not. */
const maxReplyBytes = 64 * 1024;

const LF = 0x0a;
const CR = 0x0d;
const DASH = 0x2d;
const SPACE = 0x20;
const nothing = Buffer.alloc(0);

export class ReplyReader {
  /** The unfinished line: at most maxLineBytes, a copy. */
  #carry = nothing;
  #code = 0;
  #lines: string[] = [];
  #replyBytes = 0;

  /** Nothing has been read of a next reply. */
  get idle(): boolean {
    return this.#carry.length === 0 && this.#lines.length === 0;
  }

  /** @throws PosternError RELAY_PROTOCOL; the reader is of no use afterwards. */
  feed(chunk: Buffer, onReply: (reply: HopReply) => void): void {
    let bytes = chunk;
    if (this.#carry.length > 0) {
      bytes = Buffer.concat([this.#carry, chunk]);
      this.#carry = nothing;
    }
    let at = 0;
    for (;;) {
      const end = bytes.indexOf(LF, at);
      if (end < 0) break;
      this.#line(bytes, at, end, onReply);
      at = end + 1;
    }
    if (bytes.length - at > maxLineBytes) throw broken('a reply line is too long');
    if (at < bytes.length) this.#carry = Buffer.from(bytes.subarray(at));
  }

  #line(bytes: Buffer, start: number, end: number, onReply: (reply: HopReply) => void): void {
    if (end - start >= maxLineBytes) throw broken('a reply line is too long');
    if (end === start || bytes[end - 1] !== CR) throw broken('a reply line does not end in CRLF');
    this.#replyBytes += end - start + 1;
    if (this.#replyBytes > maxReplyBytes) throw broken('a reply is too long');
    const code = codeAt(bytes, start, end - 1);
    if (this.#lines.length > 0 && code !== this.#code) throw broken('a reply changes its code half-way');
    const text = bytes.toString('latin1', Math.min(start + 4, end - 1), end - 1);
    if (text.includes('\0') || text.includes('\r')) throw broken('a reply line has a NUL or bare CR');
    this.#code = code;
    this.#lines.push(text);
    if (bytes[start + 3] === DASH) return;
    const reply = { code, lines: this.#lines };
    this.#lines = [];
    this.#replyBytes = 0;
    onReply(reply);
  }
}

/** Three digits, the first of 2 to 5 (RFC 5321 §4.2.1), then a space, a dash or the end of the line. */
function codeAt(bytes: Buffer, start: number, end: number): number {
  const first = digit(bytes[start]);
  const second = digit(bytes[start + 1]);
  const third = digit(bytes[start + 2]);
  if (end - start < 3 || first < 2 || first > 5 || second < 0 || third < 0)
    throw broken('a reply has no code from 200 to 599');
  const separator = bytes[start + 3];
  if (end - start > 3 && separator !== SPACE && separator !== DASH)
    throw broken('a reply code has neither space nor dash behind it');
  return first * 100 + second * 10 + third;
}

function digit(byte: number | undefined): number {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : -1;
}

function broken(what: string): PosternError {
  return new PosternError('RELAY_PROTOCOL', what);
}
