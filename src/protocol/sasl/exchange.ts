/**
 * The seam of the SASL mechanisms: one exchange between begin and its last step, the server's side. A mechanism knows
 * the form of its messages and nothing of users, keys, hashes or random bytes: for these it asks the caller, as often
 * as it has to, and gets a verdict. Lines, base64, `*` and the count of failures are auth-dialogue.ts's.
 */
import { replies } from '../replies.js';
import type { Reply, SaslQuestion, Verdict } from '../types.js';

export type SaslStep =
  /** Sent as it is: a 334. The client's next line comes to `respond`. */
  | { readonly kind: 'challenge'; readonly reply: Reply }
  /** The caller's verdict comes to `answer`. */
  | { readonly kind: 'question'; readonly question: SaslQuestion }
  /** The exchange is over; counts as a failure of the client's where the reply is a 5xx. */
  | { readonly kind: 'failed'; readonly reply: Reply }
  /** The exchange is over. */
  | { readonly kind: 'succeeded'; readonly user: string; readonly reply: Reply };

export interface SaslExchange {
  /** @param initial the decoded initial response of the AUTH command; undefined where there is none, empty for `=` */
  begin(initial: Buffer | undefined): SaslStep;
  /** The decoded response to the last challenge. */
  respond(response: Buffer): SaslStep;
  /** The answer to the last question. */
  answer(verdict: Verdict): SaslStep;
}

/** Asks a client that speaks first for what it did not send with AUTH. */
export const emptyChallenge: SaslStep = { kind: 'challenge', reply: replies.authContinue };
