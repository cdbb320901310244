/**
 * The messages of SCRAM, RFC 5802 §7, read to the letter of their grammar and written. Knows no keys and no exchange:
 * what follows from a message is scram.ts's. Undefined is what no conforming client sends.
 */
import { decodeBase64 } from './base64.js';
import { textOf } from './text.js';

/** RFC 5802 §7, gs2-cbind-flag. `y`: the client could bind the channel but saw no -PLUS announced. */
export type BindingFlag = { readonly kind: 'n' | 'y' } | { readonly kind: 'p'; readonly name: string };

export interface ClientFirst {
  readonly flag: BindingFlag;
  /** Exactly as received, both commas included: the client repeats it inside `c=`. */
  readonly gs2Header: string;
  /** '' where there is none. */
  readonly authorizationId: string;
  readonly authenticationId: string;
  readonly nonce: string;
  /** client-first-message-bare: a part of what both sides sign. */
  readonly bare: string;
}

export interface ClientFinal {
  /** Of `c=`, decoded. */
  readonly binding: Buffer;
  readonly nonce: string;
  /** client-final-message-without-proof: a part of what both sides sign. */
  readonly withoutProof: string;
  readonly proof: Buffer;
}

// A client's nonce has 18 to 64 characters in the field; it comes back in our challenge, and what we sign grows by it.
const maxNonceCharacters = 256;

export function parseClientFirst(message: Buffer): ClientFirst | undefined {
  const text = textOf(message);
  if (text === undefined) return undefined;
  const flagEnd = text.indexOf(',');
  const headerEnd = text.indexOf(',', flagEnd + 1) + 1;
  if (flagEnd < 0 || headerEnd === 0) return undefined;
  const flag = bindingFlag(text.slice(0, flagEnd));
  const authorizationId = authorization(text.slice(flagEnd + 1, headerEnd - 1));
  const bare = text.slice(headerEnd);
  // reserved-mext: `m=` stands first and is not known to anybody yet; RFC 5802 §5.1 wants the exchange to fail. It does,
  // since it is not `n=`.
  const [userName = '', nonce = '', ...extensions] = bare.split(',');
  const authenticationId = userName.startsWith('n=') ? decodeSaslName(userName.slice(2)) : undefined;
  if (flag === undefined || authorizationId === undefined || authenticationId === undefined) return undefined;
  if (!isNonce(nonce) || !extensions.every(isExtension)) return undefined;
  return {
    flag,
    gs2Header: text.slice(0, headerEnd),
    authorizationId,
    authenticationId,
    nonce: nonce.slice(2),
    bare,
  };
}

export function parseClientFinal(message: Buffer): ClientFinal | undefined {
  const text = textOf(message);
  if (text === undefined) return undefined;
  const proofAt = text.lastIndexOf(',');
  const withoutProof = text.slice(0, Math.max(0, proofAt));
  const [channel = '', nonce = '', ...extensions] = withoutProof.split(',');
  const binding = channel.startsWith('c=') ? decodeBase64(channel.slice(2)) : undefined;
  const proof = text.startsWith(',p=', proofAt) ? decodeBase64(text.slice(proofAt + 3)) : undefined;
  if (binding === undefined || proof === undefined || proof.length === 0) return undefined;
  // Twice as long as the client's own: ours was added to it.
  if (!isNonce(nonce, 2 * maxNonceCharacters) || !extensions.every(isExtension)) return undefined;
  return { binding, nonce: nonce.slice(2), withoutProof, proof };
}

/** server-first-message. */
export function serverFirst(nonce: string, salt: Buffer, iterations: number): string {
  return `r=${nonce},s=${salt.toString('base64')},i=${iterations}`;
}

/** server-final-message. */
export function serverFinal(signature: Buffer): string {
  return `v=${signature.toString('base64')}`;
}

function bindingFlag(text: string): BindingFlag | undefined {
  if (text === 'n' || text === 'y') return { kind: text };
  return /^p=[A-Za-z0-9.-]{1,64}$/.test(text) ? { kind: 'p', name: text.slice(2) } : undefined;
}

function authorization(text: string): string | undefined {
  if (text === '') return '';
  return text.startsWith('a=') ? decodeSaslName(text.slice(2)) : undefined;
}

/** saslname: at least one character, `=` only as `=2C` (a comma) or `=3D` (an equals sign). */
function decodeSaslName(text: string): string | undefined {
  if (text === '' || text.replaceAll('=2C', '').replaceAll('=3D', '').includes('=')) return undefined;
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=');
}

/** `r=` and 1*printable: no comma, no space, nothing beyond ASCII. */
function isNonce(attribute: string, most = maxNonceCharacters): boolean {
  const length = attribute.length - 2;
  return attribute.startsWith('r=') && length > 0 && length <= most && /^[\x21-\x7e]+$/.test(attribute);
}

/** attr-val: what we do not know is ignored (RFC 5802 §5.1), `m=` is not. */
function isExtension(attribute: string): boolean {
  return /^[A-Za-z]=./su.test(attribute) && !attribute.startsWith('m=');
}
