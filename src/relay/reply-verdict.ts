/** What a hop's reply means for the recipients it is about. One that makes no sense where it stands is no verdict. */
import { PosternError } from '../base/errors.js';
import type { RecipientState } from '../queue/spool.js';

import type { CarryResult } from './carrier.js';
import { describeReply, enhancedCodeOf, type HopReply } from './last-reply.js';

/**
 * 'delivered' of any 2xx. 3xx belongs to DATA alone, and 503 speaks of the order of commands, not of the message.
 * @throws PosternError RELAY_PROTOCOL for these
 */
export function stateOf(reply: HopReply, phase: string): RecipientState {
  const { code } = reply;
  if (code === 503 || (code >= 300 && code < 400)) throw outOfStep(reply, phase);
  if (code >= 500) return 'failed';
  return code >= 400 ? 'pending' : 'delivered';
}

/**
 * Of MAIL and RCPT. 530 asks for TLS or a login first (RFC 3207 §4, RFC 4954 §6): hop and route do not fit together, which
 * an operator can mend, so that the mail waits as it does for a refused AUTH.
 * @throws as stateOf
 */
export function envelopeStateOf(reply: HopReply, phase: string): RecipientState {
  if (reply.code === 530) throw outOfStep(reply, phase);
  return stateOf(reply, phase);
}

export function saidByHop(state: RecipientState, reply: HopReply): Omit<CarryResult, 'address'> {
  return { state, lastReply: describeReply(reply), fromHop: true };
}

export function outOfStep(reply: HopReply, phase: string): PosternError {
  return new PosternError('RELAY_PROTOCOL', `${phase}: ${describeReply(reply)}`);
}

/** RFC 5321 §4.5.3.1.10: 552 for too many recipients is to be read as 452; with another reason in its enhanced code
 *  (mailbox full, message too big) it means what it says. */
export function isTooManyRecipients(reply: HopReply): boolean {
  return reply.code === 552 && ['', '5.5.3'].includes(enhancedCodeOf(reply));
}

/** RFC 5321 §4.2.2: the command or its parameters are not known here. */
export function isUnknownCommand({ code }: HopReply): boolean {
  return code === 500 || code === 501 || code === 502 || code === 504;
}
