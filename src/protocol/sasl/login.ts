/** SASL LOGIN: an expired draft that many mail clients speak. Name and password, each asked for. */
import { replies } from '../replies.js';
import type { Verdict } from '../types.js';
import type { SaslExchange, SaslStep } from './exchange.js';
import { askPassword, badContent, passwordChecked } from './password.js';
import { textOf } from './text.js';

const nameChallenge: SaslStep = { kind: 'challenge', reply: replies.authUserName };
const passwordChallenge: SaslStep = { kind: 'challenge', reply: replies.authPassword };

export class LoginExchange implements SaslExchange {
  /** Known once the first response came. */
  #userName: string | undefined;

  /**
   * LOGIN is server-first by its draft, but clients in the field put the user name into the initial response, so it is
   * taken (RFC 4954 §4 would say 501).
   */
  begin(initial: Buffer | undefined): SaslStep {
    return initial === undefined ? nameChallenge : this.respond(initial);
  }

  respond(response: Buffer): SaslStep {
    const text = textOf(response);
    if (text === undefined || text === '') return badContent;
    if (this.#userName !== undefined) return askPassword('LOGIN', '', this.#userName, text);
    this.#userName = text;
    return passwordChallenge;
  }

  answer(verdict: Verdict): SaslStep {
    return passwordChecked(verdict, this.#userName ?? '');
  }
}
