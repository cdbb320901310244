/** Clients that do not speak SMTP: web browsers made to post here, TLS, SSH and proxies on the wrong port. attacks.md A-044. */
import { COLON, CR, LF, SPACE, TAB } from './characters.js';

const foreignWords: ReadonlySet<string> = new Set([
  'GET',
  'POST',
  'PUT',
  'HEAD',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'CONNECT',
  'TRACE',
  'PRI',
  // A proxy that the listener's proxyProtocol does not name, or a client that would be one. A-110.
  'PROXY',
]);
// Longest first word that is looked at.
const maxWordBytes = 64;

/** By the very first byte of a session, since TLS and RDP may never send a line end. */
export function startsLikeAnotherProtocol(byte: number | undefined): boolean {
  if (byte === undefined || byte === CR || byte === LF || byte === TAB) return false;
  return byte < SPACE || byte >= 0x80;
}

/**
 * By a line that is no command: an HTTP request, an SSH banner, a header field (HTTP's, or of a message after a refused
 * DATA).
 */
export function looksLikeAnotherProtocol(bytes: Buffer, start: number, end: number): boolean {
  const stop = Math.min(end, start + maxWordBytes);
  let at = start;
  while (at < stop && bytes[at] !== SPACE) at++;
  if (at === start) return false;
  if (bytes[at - 1] === COLON) return true;
  const word = bytes.toString('latin1', start, at);
  return foreignWords.has(word) || word.startsWith('SSH-');
}
