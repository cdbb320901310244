/**
 * MAIL and RCPT towards one hop: which parameters it gets, and what of a message it cannot take at all. Paths and DSN
 * parameters go as they were received (RFC 5321 §2.4, RFC 3461 §5.2.1); what a hop does not announce is left out.
 */
import type { QueuedMessage, QueuedRecipient } from '../queue/spool.js';

import type { HopExtensions } from './hop-extensions.js';

/** @param eightBit it was declared 8BITMIME and has bytes above 127, or the hop does not mind */
export function mailLine(
  message: QueuedMessage,
  extensions: HopExtensions,
  eightBit: boolean,
  addresses: readonly string[],
): string {
  let line = `MAIL FROM:<${message.reversePath}>`;
  if (extensions.size) line += ` SIZE=${message.bytes}`;
  if (eightBit) line += ' BODY=8BITMIME';
  if (extensions.smtpUtf8 && isInternational(message, addresses)) line += ' SMTPUTF8';
  if (extensions.dsn) {
    if (message.ret !== undefined) line += ` RET=${message.ret}`;
    if (message.envelopeId !== undefined) line += ` ENVID=${message.envelopeId}`;
  }
  return line;
}

/** One line per address, in their order. */
export function recipientLines(
  message: QueuedMessage,
  extensions: HopExtensions,
  addresses: readonly string[],
): string[] {
  if (!extensions.dsn) return addresses.map((address) => `RCPT TO:<${address}>`);
  const recipients = new Map(message.recipients.map((recipient) => [recipient.address, recipient]));
  return addresses.map((address) => `RCPT TO:<${address}>${dsnParameters(recipients.get(address))}`);
}

/** RFC 3461 §5.2.1: none is made up, neither NOTIFY nor ORCPT. */
function dsnParameters(recipient: QueuedRecipient | undefined): string {
  let parameters = '';
  const { notify, originalRecipient } = recipient ?? {};
  if (notify !== undefined) parameters += ` NOTIFY=${notify.length === 0 ? 'NEVER' : notify.join(',')}`;
  if (originalRecipient !== undefined) parameters += ` ORCPT=${originalRecipient}`;
  return parameters;
}

/** Why this hop cannot take the message for anybody; it is not even asked. Undefined: it may. */
export function obstacle(
  message: QueuedMessage,
  extensions: HopExtensions,
  eightBit: boolean,
): string | undefined {
  const { smtpUtf8, eightBitMime, maxMessageBytes } = extensions;
  if (message.bytes > maxMessageBytes)
    return `5.3.4 the message has ${message.bytes} bytes, the next hop takes at most ${maxMessageBytes}`;
  // RFC 6531 §3.2 (conformance C-102)
  if (!smtpUtf8 && (message.smtpUtf8 || !isAsciiText(message.reversePath))) return noSmtpUtf8;
  if (!eightBitMime && eightBit) return '5.6.3 the next hop does not support 8BITMIME';
  return undefined;
}

/** Why this hop cannot be given this address. */
export function recipientObstacle(address: string, extensions: HopExtensions): string | undefined {
  return extensions.smtpUtf8 || isAsciiText(address) ? undefined : noSmtpUtf8;
}

const noSmtpUtf8 = '5.6.7 the next hop does not support SMTPUTF8';

function isInternational(message: QueuedMessage, addresses: readonly string[]): boolean {
  if (message.smtpUtf8 || !isAsciiText(message.reversePath)) return true;
  return !addresses.every(isAsciiText);
}

function isAsciiText(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}
