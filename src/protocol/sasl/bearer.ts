/**
 * SASL OAUTHBEARER (RFC 7628) and XOAUTH2: one message with a bearer token. A refused token is answered with a challenge
 * that says why, as JSON; whatever the client sends then, the exchange has failed.
 */
import { authChallenge, replies } from '../replies.js';
import type { Verdict } from '../types.js';
import { parseOauthBearer, parseXoauth2, type BearerMessage } from './bearer-messages.js';
import { emptyChallenge, type SaslExchange, type SaslStep } from './exchange.js';
import { badContent, passwordChecked } from './password.js';

type BearerName = 'OAUTHBEARER' | 'XOAUTH2';

interface Form {
  parse(message: Buffer): BearerMessage | undefined;
  /** Says that another token is needed, not why this one does not do: that would help to forge one. */
  readonly refusal: SaslStep;
}

const forms: Readonly<Record<BearerName, Form>> = {
  // RFC 7628 §3.2.2: the error code is one of RFC 6750 §3.1.
  OAUTHBEARER: { parse: parseOauthBearer, refusal: jsonChallenge({ status: 'invalid_token' }) },
  XOAUTH2: { parse: parseXoauth2, refusal: jsonChallenge({ status: '401', schemes: 'Bearer' }) },
};

export class BearerExchange implements SaslExchange {
  readonly #mechanism: BearerName;
  #authorizationId = '';
  #refused = false;

  constructor(mechanism: BearerName) {
    this.#mechanism = mechanism;
  }

  begin(initial: Buffer | undefined): SaslStep {
    return initial === undefined ? emptyChallenge : this.respond(initial);
  }

  respond(response: Buffer): SaslStep {
    // RFC 7628 §3.2.3: the client answers ^A, and with XOAUTH2 nothing.
    if (this.#refused) return badContent;
    const message = forms[this.#mechanism].parse(response);
    if (message === undefined) return badContent;
    this.#authorizationId = message.authorizationId;
    return { kind: 'question', question: { kind: 'token', mechanism: this.#mechanism, ...message } };
  }

  answer(verdict: Verdict): SaslStep {
    if (verdict.ok || verdict.reply !== replies.authFailed)
      return passwordChecked(verdict, this.#authorizationId);
    this.#refused = true;
    return forms[this.#mechanism].refusal;
  }
}

function jsonChallenge(error: Readonly<Record<string, string>>): SaslStep {
  return { kind: 'challenge', reply: authChallenge(Buffer.from(JSON.stringify(error))) };
}
