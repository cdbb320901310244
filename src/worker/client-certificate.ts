/**
 * The certificate that a client showed, for logs and for the EXTERNAL mechanism (RFC 4422 appendix A). Whether it
 * verifies is what OpenSSL found in the handshake, of this or of the session that was taken up again.
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

export type ClientCertificate = VerifiedCertificate | UnverifiedCertificate;

interface VerifiedCertificate {
  readonly verified: true;
  /** One line for logs and people, at most 256 characters. */
  readonly subject: string;
  /** Whom it stands for, best first: its mail addresses (rfc822Name), then its common name. As written in it. */
  readonly identities: readonly string[];
}

/** Anybody can make one: its names mean nothing. */
interface UnverifiedCertificate {
  readonly verified: false;
  readonly subject: string;
  /** OpenSSL's name of what is wrong: CERT_HAS_EXPIRED, SELF_SIGNED_CERT_IN_CHAIN, … */
  readonly fault: string;
}

const subjectCharacters = 256;
// RFC 5321 §4.5.3.1: no longer mailbox can log in. Of more names than this a certificate stands for nobody in particular.
const identityCharacters = 320;
const maxIdentities = 16;

/**
 * Undefined where the client showed none. That is asked first: for a TLS 1.3 session taken up again without a
 * certificate OpenSSL reports no verification error.
 * @param verifyError what verifyErrorOf says
 */
export function clientCertificate(
  shown: X509Certificate | undefined,
  verifyError: string | undefined,
): ClientCertificate | undefined {
  if (shown === undefined) return undefined;
  const subject = oneLine(shown.subject);
  if (verifyError !== undefined) return { verified: false, subject, fault: verifyError };
  const names = [...mailAddresses(shown.subjectAltName ?? ''), ...commonNames(shown)];
  const usable = names.filter((name) => name.length > 0 && name.length <= identityCharacters);
  return { verified: true, subject, identities: [...new Set(usable)].slice(0, maxIdentities) };
}

/**
 * Undefined: the chain verifies, or there is no certificate. Node sets `authorized` on the sockets of a tls.Server
 * alone, from this method of the handle; a Node that no longer has it must not pass everybody as verified.
 */
export function verifyErrorOf(socket: TLSSocket): string | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return 'CONNECTION_GONE';
  const verifyError: unknown = Reflect.get(handle, 'verifyError');
  if (typeof verifyError !== 'function')
    throw new TypeError('this version of Node does not say whether a client certificate verifies');
  const error: unknown = Reflect.apply(verifyError, handle, []);
  if (error === undefined || error === null) return undefined;
  return error instanceof Error && 'code' in error ? String(error.code) : 'UNKNOWN';
}

/** Node writes one attribute a line, special characters escaped. */
function oneLine(subject: string | undefined): string {
  const line = (subject ?? '').replaceAll('\n', ', ');
  let safe = '';
  for (const character of line.slice(0, subjectCharacters)) safe += isPlain(character) ? character : '?';
  return safe;
}

/** No control characters and nothing that turns the direction of text: an operator reads this in a terminal. */
function isPlain(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0xd800 && code < 0xe000)) return false;
  return (
    !(code >= 0x200b && code <= 0x200f) &&
    !(code >= 0x2028 && code <= 0x202e) &&
    !(code >= 0x2066 && code <= 0x2069)
  );
}

function commonNames(certificate: X509Certificate): string[] {
  const found: unknown = certificate.toLegacyObject().subject?.CN;
  const names: unknown[] = Array.isArray(found) ? found : [found];
  return names.filter((name) => typeof name === 'string');
}

const mailPrefix = 'email:';

/**
 * Of `email:a@x, DNS:y, …`. Values with special characters are JSON strings there, which may hold `, email:` inside:
 * they are stepped over whole, and none of them is a mail address that can log in.
 */
export function mailAddresses(subjectAltName: string): string[] {
  const found: string[] = [];
  let from = 0;
  while (from < subjectAltName.length) {
    const end = entryEnd(subjectAltName, from);
    const entry = subjectAltName.slice(from, end);
    if (entry.startsWith(mailPrefix) && !entry.includes('"')) found.push(entry.slice(mailPrefix.length));
    from = end + 2;
  }
  return found;
}

/** Of the comma outside quotes that ends the entry, or the end of the text. */
function entryEnd(text: string, from: number): number {
  let quoted = false;
  for (let at = from; at < text.length; at++) {
    const character = text[at];
    if (quoted && character === '\\') at++;
    else if (character === '"') quoted = !quoted;
    else if (character === ',' && !quoted) return at;
  }
  return text.length;
}
