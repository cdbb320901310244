/**
 * The parameters of delivery status notifications, RFC 3461 §4: RET and ENVID of MAIL, NOTIFY and ORCPT of RCPT. Checked
 * to the letter and kept as the client wrote them, since they are passed on to the next hop. Undefined: a syntax error.
 */
import { isUtf8 } from './characters.js';
import type { MailParameters, RcptParameters } from './types.js';
import { isPrintableXtext } from './xtext.js';

type Ret = NonNullable<MailParameters['ret']>;
type Notify = NonNullable<RcptParameters['notify']>;

// RFC 3461 §4.4 and §4.2, encoded.
const maxEnvelopeIdCharacters = 100;
const maxOriginalRecipientBytes = 500;

export function parseRet(value: string): Ret | undefined {
  const ret = value.toUpperCase();
  return ret === 'FULL' || ret === 'HDRS' ? ret : undefined;
}

export function parseEnvelopeId(value: string): string | undefined {
  return value.length <= maxEnvelopeIdCharacters && isPrintableXtext(value) ? value : undefined;
}

/** NEVER alone is the empty list. A word said twice is said once. */
export function parseNotify(value: string): Notify | undefined {
  const upper = value.toUpperCase();
  if (upper === 'NEVER') return [];
  const words = upper.split(',');
  return words.every(isNotifyWord) ? [...new Set(words)] : undefined;
}

function isNotifyWord(word: string): word is Notify[number] {
  return word === 'SUCCESS' || word === 'FAILURE' || word === 'DELAY';
}

/**
 * @param value one character for each octet
 * @param smtpUtf8 MAIL said SMTPUTF8: an address of type utf-8 may have UTF-8 in it (RFC 6533 §3)
 */
export function parseOriginalRecipient(value: string, smtpUtf8: boolean): string | undefined {
  const semicolon = value.indexOf(';');
  if (value.length > maxOriginalRecipientBytes || semicolon < 0) return undefined;
  const type = value.slice(0, semicolon);
  const address = value.slice(semicolon + 1);
  if (!isAtom(type)) return undefined;
  if (type.toLowerCase() !== 'utf-8') return isPrintableXtext(address) ? value : undefined;
  const bytes = Buffer.from(value, 'latin1');
  const text = bytes.toString('utf8');
  const fits = isUtf8(bytes, 0, bytes.length) && isUnitext(text.slice(semicolon + 1), smtpUtf8);
  return fits ? text : undefined;
}

/** RFC 822 §3.3, which RFC 3461 §4.2 names: no specials, no space, no control. */
function isAtom(text: string): boolean {
  return /^[!#$%&'*+\-/0-9=?A-Z^_`a-z{|}~]+$/.test(text);
}

/** RFC 6533 §3: utf-8-addr-xtext, or utf-8-addr-unitext where UTF-8 is allowed. */
function isUnitext(text: string, utf8Allowed: boolean): boolean {
  const plain = text.replaceAll(/\\x\{([0-9A-F]{2,6})\}/gi, (all, hex: string) =>
    isHexpoint(hex) ? '' : all,
  );
  const characters = utf8Allowed ? /^[!-*,-<>-[\]-~\u0080-\u{10ffff}]*$/u : /^[!-*,-<>-[\]-~]*$/;
  return text !== '' && characters.test(plain);
}

/**
 * HEXPOINT of an EmbeddedUnicodeChar. It would also take control characters; but the address must be a Mailbox, which
 * has none, and a CR or LF in a notification would begin a line of the client's own (attacks.md A-085).
 */
function isHexpoint(hex: string): boolean {
  if (!/^(?:[0-9A-F]{2}|[1-9A-F][0-9A-F]{2,4}|10[0-9A-F]{4})$/i.test(hex)) return false;
  const point = Number.parseInt(hex, 16);
  const isSurrogate = point >= 0xd800 && point <= 0xdfff;
  return [0x20, 0x2b, 0x3d, 0x5c].includes(point) || (point >= 0x80 && !isSurrogate);
}
