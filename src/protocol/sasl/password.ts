/**
 * What the mechanisms that send a password have in common. Whatever is wrong with the content of a well-formed response
 * reads the same as a wrong password (attacks.md A-101).
 */
import { replies } from '../replies.js';
import type { Verdict } from '../types.js';
import type { SaslStep } from './exchange.js';

export const badContent: SaslStep = { kind: 'failed', reply: replies.authFailed };

export function askPassword(
  mechanism: 'PLAIN' | 'LOGIN',
  authorizationId: string,
  authenticationId: string,
  password: string,
): SaslStep {
  return {
    kind: 'question',
    question: { kind: 'credentials', mechanism, authorizationId, authenticationId, password },
  };
}

/** @param authenticationId the user, where the verdict names no other */
export function passwordChecked(verdict: Verdict, authenticationId: string): SaslStep {
  if (!verdict.ok) return { kind: 'failed', reply: verdict.reply };
  return {
    kind: 'succeeded',
    user: verdict.user ?? authenticationId,
    reply: verdict.reply ?? replies.authenticated,
  };
}
