/** The text of a SASL message. */
import { isUtf8, NUL } from '../characters.js';

/** Undefined: it is not UTF-8, or has the NUL that no name and no password has (RFC 4422 §3.4.1, RFC 4616 §2). */
export function textOf(message: Buffer): string | undefined {
  return isUtf8(message, 0, message.length) && !message.includes(NUL) ? message.toString('utf8') : undefined;
}
