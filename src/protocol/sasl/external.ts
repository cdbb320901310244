/**
 * SASL EXTERNAL, RFC 4422 appendix A: who the client is was shown by its TLS certificate; what it sends is whom it wants
 * to act for, or nothing.
 */
import { isUtf8, NUL } from '../characters.js';
import type { Verdict } from '../types.js';
import { emptyChallenge, type SaslExchange, type SaslStep } from './exchange.js';
import { badContent, passwordChecked } from './password.js';

export class ExternalExchange implements SaslExchange {
  #authorizationId = '';

  begin(initial: Buffer | undefined): SaslStep {
    return initial === undefined ? emptyChallenge : this.respond(initial);
  }

  respond(response: Buffer): SaslStep {
    if (response.includes(NUL) || !isUtf8(response, 0, response.length)) return badContent;
    this.#authorizationId = response.toString('utf8');
    return {
      kind: 'question',
      question: { kind: 'certificate', mechanism: 'EXTERNAL', authorizationId: this.#authorizationId },
    };
  }

  answer(verdict: Verdict): SaslStep {
    return passwordChecked(verdict, this.#authorizationId);
  }
}
