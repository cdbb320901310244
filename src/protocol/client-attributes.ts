/**
 * The attributes of XCLIENT and XFORWARD, as Postfix's XCLIENT_README and XFORWARD_README define them:
 * `1*( SP name "=" xtext )`. Text in, checked values or undefined out (501). Each value is decoded once, bounded, and
 * free of what could end a line or a comment where it is shown later. Who may say them is not decided here.
 */
import { canonicalAddress, parsePort } from './ip-address.js';
import { decodeXtext } from './xtext.js';

/** Null: the peer says that it does not know ([UNAVAILABLE], [TEMPUNAVAIL]). Left out: nothing was said. */
type Told<T> = T | null | undefined;

/** Who the client of this session is said to be, from now on. */
export interface XclientAttributes {
  readonly name?: Told<string>;
  readonly addr?: Told<string>;
  readonly port?: Told<number>;
  readonly proto?: 'SMTP' | 'ESMTP' | undefined;
  readonly helo?: Told<string>;
  readonly login?: Told<string>;
  readonly destAddr?: Told<string>;
  readonly destPort?: Told<number>;
  readonly reverseName?: Told<string>;
}

/** Where the next message came from before it came to the peer: shown, and nothing else. */
export interface XforwardAttributes {
  readonly name?: Told<string>;
  /** As written: "may be a non-IP address". */
  readonly addr?: Told<string>;
  readonly port?: Told<number>;
  readonly proto?: Told<string>;
  readonly helo?: Told<string>;
  /** The queue id there. */
  readonly ident?: Told<string>;
  readonly source?: Told<'LOCAL' | 'REMOTE'>;
}

// XCLIENT_README note 1, XFORWARD_README note 1.
const maxValueBytes = 255;
// XFORWARD_README on PROTO.
const maxProtoBytes = 64;

/** Undefined: not what the attribute can be. */
type Parse = (value: string) => string | number | undefined;

interface Attribute {
  readonly key: string;
  readonly parse: Parse;
  readonly mayBeUnavailable: boolean;
}

function attribute(key: string, parse: Parse, mayBeUnavailable = true): Attribute {
  return { key, parse, mayBeUnavailable };
}

const xclient: ReadonlyMap<string, Attribute> = new Map([
  ['NAME', attribute('name', parseWord)],
  ['ADDR', attribute('addr', parseAddress)],
  ['PORT', attribute('port', parsePort)],
  ['PROTO', attribute('proto', parseSmtpProto, false)],
  ['HELO', attribute('helo', parseWord)],
  ['LOGIN', attribute('login', parseLogin)],
  ['DESTADDR', attribute('destAddr', parseAddress)],
  ['DESTPORT', attribute('destPort', parsePort)],
  ['REVERSE_NAME', attribute('reverseName', parseWord)],
]);
const xforward: ReadonlyMap<string, Attribute> = new Map([
  ['NAME', attribute('name', parseWord)],
  ['ADDR', attribute('addr', parseWord)],
  ['PORT', attribute('port', parsePort)],
  ['PROTO', attribute('proto', (value) => (value.length > maxProtoBytes ? undefined : parseWord(value)))],
  ['HELO', attribute('helo', parseWord)],
  ['IDENT', attribute('ident', parseWord)],
  ['SOURCE', attribute('source', parseSource)],
]);

/** What EHLO says behind the keyword. */
export const xclientNames: readonly string[] = [...xclient.keys()];
export const xforwardNames: readonly string[] = [...xforward.keys()];

/** @param argument of the command, one character for each octet */
export function parseXclient(argument: string): XclientAttributes | undefined {
  return parseAttributes(argument, xclient);
}

export function parseXforward(argument: string): XforwardAttributes | undefined {
  return parseAttributes(argument, xforward);
}

/** Each attribute once: of two values it is not ours to choose. The line's bound is the bound of this loop. */
function parseAttributes(
  argument: string,
  known: ReadonlyMap<string, Attribute>,
): Record<string, never> | undefined {
  const values: Record<string, string | number | null> = {};
  for (const word of argument.split(' ')) {
    if (word === '') continue;
    const equals = word.indexOf('=');
    const found = known.get(word.slice(0, Math.max(0, equals)).toUpperCase());
    if (found === undefined || Object.hasOwn(values, found.key)) return undefined;
    const value = parseValue(word.slice(equals + 1), found);
    if (value === undefined) return undefined;
    values[found.key] = value;
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each key holds what its own parser made of it
  return Object.keys(values).length === 0 ? undefined : (values as Record<string, never>);
}

function parseValue(
  written: string,
  { parse, mayBeUnavailable }: Attribute,
): string | number | null | undefined {
  const value = decodeXtext(written);
  if (value === undefined || value === '' || value.length > maxValueBytes) return undefined;
  if (!isUnavailable(value)) return parse(value);
  return mayBeUnavailable ? null : undefined;
}

function isUnavailable(value: string): boolean {
  const upper = value.toUpperCase();
  return upper === '[UNAVAILABLE]' || upper === '[TEMPUNAVAIL]';
}

/**
 * Printable ASCII without white space and without what ends a comment or a quoted string in a header (XFORWARD_README
 * note 1).
 */
function parseWord(value: string): string | undefined {
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (code < 0x21 || code > 0x7e || '"(),;<>\\'.includes(value.charAt(at))) return undefined;
  }
  return value;
}

/** A user name: printable UTF-8; it may be a mail address and may have spaces. */
function parseLogin(value: string): string | undefined {
  const octets = Buffer.from(value, 'latin1');
  const text = octets.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(octets)) return undefined;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return undefined;
  }
  return text;
}

/** `192.0.2.1`, `IPV6:2001:db8::1`, the prefix in any case; without brackets. */
function parseAddress(value: string): string | undefined {
  const isIpv6 = value.slice(0, 5).toUpperCase() === 'IPV6:';
  return isIpv6 ? canonicalAddress(value.slice(5), 'ipv6') : canonicalAddress(value, 'ipv4');
}

function parseSmtpProto(value: string): string | undefined {
  const upper = value.toUpperCase();
  return upper === 'SMTP' || upper === 'ESMTP' ? upper : undefined;
}

function parseSource(value: string): string | undefined {
  const upper = value.toUpperCase();
  return upper === 'LOCAL' || upper === 'REMOTE' ? upper : undefined;
}
