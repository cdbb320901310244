/**
 * SASL PLAIN (RFC 4616) and LOGIN, the server's side of one exchange (RFC 4954 §4). Decodes strictly; knows no user.
 * Whatever is wrong with the content of a well-formed response reads the same as a wrong password (attacks.md A-101).
 */
import { isUtf8, NUL } from './characters.js';
import { replies } from './replies.js';
import type { Mechanism, Question, Reply } from './types.js';

export type SaslStep =
  | { readonly kind: 'challenge'; readonly reply: Reply }
  | { readonly kind: 'credentials'; readonly question: Extract<Question, { kind: 'credentials' }> }
  | { readonly kind: 'failed'; readonly reply: Reply };

const badBase64: SaslStep = { kind: 'failed', reply: replies.badBase64 };
const badContent: SaslStep = { kind: 'failed', reply: replies.authFailed };
const cancelled: SaslStep = { kind: 'failed', reply: replies.authCancelled };

export class SaslExchange {
  readonly #mechanism: Mechanism;
  /** LOGIN: known once the first response came. */
  #userName: string | undefined;

  constructor(mechanism: Mechanism) {
    this.#mechanism = mechanism;
  }

  /**
   * @param initial the initial response of the AUTH command, '' where there is none. LOGIN is server-first by its
   *   draft, but clients in the field put the user name there, so it is taken (RFC 4954 §4 would say 501).
   */
  begin(initial: string): SaslStep {
    if (initial === '') return this.#challenge();
    // RFC 4954 §4: `=` is the empty initial response.
    return this.#respond(initial === '=' ? '' : initial);
  }

  /** A continuation line, without its CRLF. */
  respond(line: string): SaslStep {
    return line === '*' ? cancelled : this.#respond(line);
  }

  #challenge(): SaslStep {
    if (this.#mechanism === 'PLAIN') return { kind: 'challenge', reply: replies.authContinue };
    const reply = this.#userName === undefined ? replies.authUserName : replies.authPassword;
    return { kind: 'challenge', reply };
  }

  #respond(base64: string): SaslStep {
    const response = decodeBase64(base64);
    if (response === undefined) return badBase64;
    return this.#mechanism === 'PLAIN' ? plain(response) : this.#login(response);
  }

  #login(response: Buffer): SaslStep {
    if (response.length === 0 || response.includes(NUL) || !isUtf8(response, 0, response.length))
      return badContent;
    const text = response.toString('utf8');
    if (this.#userName !== undefined) return credentials('LOGIN', '', this.#userName, text);
    this.#userName = text;
    return this.#challenge();
  }
}

/** RFC 4616 §2: `[authzid] NUL authcid NUL passwd`. */
function plain(response: Buffer): SaslStep {
  const first = response.indexOf(NUL);
  const second = response.indexOf(NUL, first + 1);
  const wellFormed = first >= 0 && second > first && response.indexOf(NUL, second + 1) < 0;
  if (!wellFormed || !isUtf8(response, 0, response.length)) return badContent;
  const authenticationId = response.toString('utf8', first + 1, second);
  const password = response.toString('utf8', second + 1);
  if (authenticationId === '' || password === '') return badContent;
  return credentials('PLAIN', response.toString('utf8', 0, first), authenticationId, password);
}

function credentials(
  mechanism: Mechanism,
  authorizationId: string,
  authenticationId: string,
  password: string,
): SaslStep {
  return {
    kind: 'credentials',
    question: { kind: 'credentials', mechanism, authorizationId, authenticationId, password },
  };
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/**
 * RFC 4648 §4 and nothing else: right alphabet, right padding, unused bits zero. Node's own decoder takes almost
 * anything (attacks.md A-100). Undefined when it is not base64.
 */
export function decodeBase64(text: string): Buffer | undefined {
  if (text.length % 4 !== 0) return undefined;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const digits = text.length - padding;
  let last = 0;
  for (let at = 0; at < digits; at++) {
    last = alphabet.indexOf(text.charAt(at));
    if (last < 0) return undefined;
  }
  const unusedBits = padding === 2 ? 0x0f : padding === 1 ? 0x03 : 0;
  return (last & unusedBits) === 0 ? Buffer.from(text, 'base64') : undefined;
}
