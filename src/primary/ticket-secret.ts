/**
 * What the keys of TLS session tickets are derived from, by every worker for each of its listeners: so a client's
 * session can be taken up on whichever worker it comes to next, also on one that replaced another. It lives in memory
 * alone and is renewed by the clock: who reads it later cannot decrypt what was recorded before (RFC 5077 §5.5).
 */
import { randomBytes } from 'node:crypto';

const secretBytes = 32;
// Well above the two hours that OpenSSL lets a ticket live, so that few tickets meet a new secret. Those that do cost
// one full handshake each: Node takes one key, there is no room for the one before.
const lifeMs = 12 * 3_600_000;

export class TicketSecret {
  #secret = newSecret();

  /** @param renewed is told each new one */
  constructor(renewed: (secret: string) => void) {
    // For as long as the process lives, and no reason for it to.
    setInterval(() => {
      this.#secret = newSecret();
      renewed(this.#secret);
    }, lifeMs).unref();
  }

  /** Base64. For workers alone: never in a log, never on disk. */
  get current(): string {
    return this.#secret;
  }
}

function newSecret(): string {
  return randomBytes(secretBytes).toString('base64');
}
