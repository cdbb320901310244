/**
 * SASL EXTERNAL, RFC 4422 appendix A: who the client is was shown by its TLS certificate; what it sends is whom it wants
 * to act for, or nothing.
 */
import type { Verdict } from '../types.js';
import { emptyChallenge, type SaslExchange, type SaslStep } from './exchange.js';
import { badContent, passwordChecked } from './password.js';
import { textOf } from './text.js';

export class ExternalExchange implements SaslExchange {
  #authorizationId = '';

  begin(initial: Buffer | undefined): SaslStep {
    return initial === undefined ? emptyChallenge : this.respond(initial);
  }

  respond(response: Buffer): SaslStep {
    const text = textOf(response);
    if (text === undefined) return badContent;
    this.#authorizationId = text;
    return {
      kind: 'question',
      question: { kind: 'certificate', mechanism: 'EXTERNAL', authorizationId: this.#authorizationId },
    };
  }

  answer(verdict: Verdict): SaslStep {
    return passwordChecked(verdict, this.#authorizationId);
  }
}
