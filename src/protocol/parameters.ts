/**
 * The parameters of MAIL and RCPT, RFC 5321 §4.1.2: `*(SP keyword ["=" value])`. Only what works is known (promise
 * 6); each once; everything else is refused by name of its fault.
 */
import { DIGIT, EQUALS, HYPHEN, LET_DIG, SPACE, VALUE, is } from './characters.js';
import type { MailParameters } from './types.js';

export type ParameterFault = 'syntax' | 'unknown';

const noParameters: MailParameters = Object.freeze({
  sizeBytes: undefined,
  body: undefined,
  smtpUtf8: false,
});

interface MutableParameters {
  sizeBytes: number | undefined;
  body: '7BIT' | '8BITMIME' | undefined;
  smtpUtf8: boolean;
}

/** @param value undefined where there is no `=` */
type Take = (parameters: MutableParameters, value: string | undefined) => ParameterFault | undefined;

const takers: ReadonlyMap<string, Take> = new Map<string, Take>([
  ['SIZE', takeSize],
  ['BODY', takeBody],
  ['SMTPUTF8', takeSmtpUtf8],
]);
// RFC 4954 §5: whoever announces AUTH takes AUTH=. No client is trusted to name another submitter: read and forgotten.
const takersWithAuth: ReadonlyMap<string, Take> = new Map<string, Take>([...takers, ['AUTH', takeAuth]]);

/**
 * @param at first byte after the path
 * @param auth AUTH is announced in this session
 */
export function parseMailParameters(
  bytes: Buffer,
  at: number,
  end: number,
  auth: boolean,
): MailParameters | ParameterFault {
  if (at === end) return noParameters;
  const parameters: MutableParameters = { sizeBytes: undefined, body: undefined, smtpUtf8: false };
  const known = auth ? takersWithAuth : takers;
  const seen: string[] = [];
  return (
    eachParameter(bytes, at, end, (keyword, value) => {
      const take = known.get(keyword);
      if (take === undefined) return 'unknown';
      if (seen.includes(keyword)) return 'syntax';
      seen.push(keyword);
      return take(parameters, value);
    }) ?? parameters
  );
}

/** RCPT has none yet: what is well formed is unknown. */
export function parseRcptParameters(bytes: Buffer, at: number, end: number): ParameterFault | undefined {
  return at === end ? undefined : eachParameter(bytes, at, end, () => 'unknown');
}

/** Calls `take` with the upper-case keyword until one has a fault. Linear: each byte is looked at once. */
function eachParameter(
  bytes: Buffer,
  start: number,
  end: number,
  take: (keyword: string, value: string | undefined) => ParameterFault | undefined,
): ParameterFault | undefined {
  let at = start;
  while (at < end) {
    if (bytes[at++] !== SPACE) return 'syntax';
    while (bytes[at] === SPACE && at < end) at++;
    const keywordStart = at;
    while (at < end && isKeywordByte(bytes[at], at === keywordStart)) at++;
    if (at === keywordStart) return 'syntax';
    const keyword = bytes.toString('latin1', keywordStart, at).toUpperCase();
    let value: string | undefined;
    if (bytes[at] === EQUALS && at < end) {
      const valueStart = ++at;
      // `=` is outside esmtp-value, but RFC 4954 §5 and RFC 3461 §4 need no exception: xtext encodes it.
      while (at < end && is(VALUE, bytes[at])) at++;
      if (at === valueStart) return 'syntax';
      value = bytes.toString('latin1', valueStart, at);
    }
    const fault = take(keyword, value);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function isKeywordByte(byte: number | undefined, first: boolean): boolean {
  return (byte ?? 0) < 0x80 && (is(LET_DIG, byte) || (!first && byte === HYPHEN));
}

/** RFC 1870 §4: 1 to 20 digits. Beyond 2^53 it is too large for us anyway. */
function takeSize(parameters: MutableParameters, value: string | undefined): ParameterFault | undefined {
  if (value === undefined || value.length > 20) return 'syntax';
  for (let at = 0; at < value.length; at++) if (!is(DIGIT, value.charCodeAt(at))) return 'syntax';
  parameters.sizeBytes = Number(value);
  return undefined;
}

/** RFC 6152 §2. */
function takeBody(parameters: MutableParameters, value: string | undefined): ParameterFault | undefined {
  const body = value?.toUpperCase();
  if (body !== '7BIT' && body !== '8BITMIME') return 'syntax';
  parameters.body = body;
  return undefined;
}

/** RFC 6531 §3.4: no value. */
function takeSmtpUtf8(parameters: MutableParameters, value: string | undefined): ParameterFault | undefined {
  if (value !== undefined) return 'syntax';
  parameters.smtpUtf8 = true;
  return undefined;
}

/** RFC 3461 §4 xtext: `+` and two upper-case hexadecimal digits for what is not printable. `<>` stands for nobody. */
function takeAuth(_parameters: MutableParameters, value: string | undefined): ParameterFault | undefined {
  if (value === undefined) return 'syntax';
  for (let at = 0; at < value.length; at++) {
    if (value.charCodeAt(at) >= 0x80) return 'syntax';
    if (value[at] !== '+') continue;
    if (!isUpperHex(value[at + 1]) || !isUpperHex(value[at + 2])) return 'syntax';
    at += 2;
  }
  return undefined;
}

function isUpperHex(character: string | undefined): boolean {
  return character !== undefined && '0123456789ABCDEF'.includes(character);
}
