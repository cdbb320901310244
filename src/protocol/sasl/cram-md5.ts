/**
 * SASL CRAM-MD5, RFC 2195: the server speaks first, the client answers with its name and an HMAC of the challenge. The
 * challenge and the judgement are the caller's, who has the secret.
 */
import { isUtf8, NUL, SPACE } from '../characters.js';
import { authChallenge, replies } from '../replies.js';
import type { Verdict } from '../types.js';
import type { SaslExchange, SaslStep } from './exchange.js';
import { badContent, passwordChecked } from './password.js';

// RFC 4954 §4: a mechanism in which the server speaks first takes no initial response.
const spokeFirst: SaslStep = { kind: 'failed', reply: replies.authNoInitialResponse };

export class CramMd5Exchange implements SaslExchange {
  /** '' until the caller has made one. */
  #challenge = '';
  #authenticationId = '';

  begin(initial: Buffer | undefined): SaslStep {
    if (initial !== undefined) return spokeFirst;
    return { kind: 'question', question: { kind: 'cram-md5-challenge', mechanism: 'CRAM-MD5' } };
  }

  /** RFC 2195 §2: the name, a space, and 32 hexadecimal digits in lower case. */
  respond(response: Buffer): SaslStep {
    const space = response.lastIndexOf(SPACE);
    const digest = response.toString('latin1', space + 1);
    const isName = space > 0 && isUtf8(response, 0, space) && !response.includes(NUL);
    if (!isName || !/^[0-9a-f]{32}$/.test(digest)) return badContent;
    this.#authenticationId = response.toString('utf8', 0, space);
    return {
      kind: 'question',
      question: {
        kind: 'cram-md5-digest',
        mechanism: 'CRAM-MD5',
        authenticationId: this.#authenticationId,
        challenge: this.#challenge,
        digest: Buffer.from(digest, 'hex'),
      },
    };
  }

  answer(verdict: Verdict): SaslStep {
    if (this.#challenge !== '' || !verdict.ok) return passwordChecked(verdict, this.#authenticationId);
    if (verdict.sasl?.kind !== 'cram-md5-challenge') throw new Error('CRAM-MD5 was not given its challenge');
    this.#challenge = verdict.sasl.challenge;
    return { kind: 'challenge', reply: authChallenge(Buffer.from(this.#challenge)) };
  }
}
