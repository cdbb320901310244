/** The keys of one listener's session tickets, from the secret that all workers share (primary/ticket-secret.ts). */
import { hkdfSync } from 'node:crypto';

/** Node's ticketKeys: name, HMAC and AES keys together. */
const keyBytes = 48;

/** Each listener has its own, so that a ticket of one opens no session at another. */
export function ticketKeysOf(secret: Buffer, listener: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `postern session tickets of ${listener}`, keyBytes));
}
