/**
 * The messages with a bearer token: OAUTHBEARER's (RFC 7628 §3.1) and that of XOAUTH2, which Google and Microsoft
 * document. Pure reading; undefined is what no conforming client sends.
 */
import { textOf } from './text.js';

export interface BearerMessage {
  /** Whom the client wants to be; '' leaves it to the token. */
  readonly authorizationId: string;
  readonly token: string;
}

const separator = '\x01';
// RFC 7628 §3.1 has three keys and lets others be ignored; more of them than this is no client.
const maxPairs = 16;

/** `n,a=USER,^Ahost=…^Aport=…^Aauth=Bearer TOKEN^A^A`. */
export function parseOauthBearer(message: Buffer): BearerMessage | undefined {
  const text = textOf(message);
  const at = text?.indexOf(separator) ?? -1;
  if (text === undefined || at < 0) return undefined;
  const authorizationId = gs2User(text.slice(0, at));
  const token = tokenOf(text.slice(at + 1));
  return authorizationId === undefined || token === undefined ? undefined : { authorizationId, token };
}

/** `user=USER^Aauth=Bearer TOKEN^A^A`. */
export function parseXoauth2(message: Buffer): BearerMessage | undefined {
  const text = textOf(message);
  const at = text?.indexOf(separator) ?? -1;
  if (text === undefined || at < 0 || !text.startsWith('user=')) return undefined;
  const authorizationId = text.slice('user='.length, at);
  const token = tokenOf(text.slice(at + 1));
  return authorizationId === '' || token === undefined ? undefined : { authorizationId, token };
}

/** gs2-header: RFC 7628 §3.1 wants no channel binding (`n`); `y` says the same of a client that could. */
function gs2User(header: string): string | undefined {
  const [flag, user = '', end, more] = header.split(',');
  if ((flag !== 'n' && flag !== 'y') || end !== '' || more !== undefined) return undefined;
  if (user === '') return '';
  const name = user.startsWith('a=') ? user.slice(2) : '';
  if (name === '' || name.replaceAll('=2C', '').replaceAll('=3D', '').includes('=')) return undefined;
  return name.replaceAll('=2C', ',').replaceAll('=3D', '=');
}

/** kvpairs, and the ^A that ends them all. */
function tokenOf(pairs: string): string | undefined {
  if (!pairs.endsWith(separator + separator)) return undefined;
  const fields = pairs.slice(0, -2).split(separator, maxPairs + 1);
  const [auth, second] = fields.filter((field) => field.startsWith('auth='));
  const wellFormed = fields.length <= maxPairs && fields.every((field) => /^[A-Za-z]+=/.test(field));
  if (auth === undefined || second !== undefined || !wellFormed) return undefined;
  return bearerToken(auth.slice('auth='.length));
}

/** RFC 6750 §2.1: the scheme in any case (RFC 9110 §11.1), a space, b64token. */
function bearerToken(value: string): string | undefined {
  const scheme = 'bearer ';
  if (value.slice(0, scheme.length).toLowerCase() !== scheme) return undefined;
  const token = value.slice(scheme.length);
  return /^[A-Za-z0-9._~+/-]+={0,2}$/.test(token) ? token : undefined;
}
