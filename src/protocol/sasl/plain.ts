/** SASL PLAIN, RFC 4616: `[authzid] NUL authcid NUL passwd` in one message. */
import { isUtf8, NUL } from '../characters.js';
import type { Verdict } from '../types.js';
import { emptyChallenge, type SaslExchange, type SaslStep } from './exchange.js';
import { askPassword, badContent, passwordChecked } from './password.js';

export class PlainExchange implements SaslExchange {
  #authenticationId = '';

  begin(initial: Buffer | undefined): SaslStep {
    return initial === undefined ? emptyChallenge : this.respond(initial);
  }

  respond(response: Buffer): SaslStep {
    const first = response.indexOf(NUL);
    const second = response.indexOf(NUL, first + 1);
    const wellFormed = first >= 0 && second > first && response.indexOf(NUL, second + 1) < 0;
    if (!wellFormed || !isUtf8(response, 0, response.length)) return badContent;
    const authorizationId = response.toString('utf8', 0, first);
    const password = response.toString('utf8', second + 1);
    this.#authenticationId = response.toString('utf8', first + 1, second);
    if (this.#authenticationId === '' || password === '') return badContent;
    return askPassword('PLAIN', authorizationId, this.#authenticationId, password);
  }

  answer(verdict: Verdict): SaslStep {
    return passwordChecked(verdict, this.#authenticationId);
  }
}
