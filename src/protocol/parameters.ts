/**
 * The parameters of MAIL and RCPT, RFC 5321 §4.1.2: `*(SP keyword ["=" value])`. Only what works is known (promise
 * 6); each once; everything else is refused by name of its fault.
 */
import { DIGIT, EQUALS, HYPHEN, LET_DIG, SPACE, VALUE, is } from './characters.js';
import { parseEnvelopeId, parseNotify, parseOriginalRecipient, parseRet } from './dsn-parameters.js';
import type { MailParameters, RcptParameters } from './types.js';
import { PathParser } from './path-parser.js';
import { decodeXtext } from './xtext.js';

export type ParameterFault = 'syntax' | 'unknown';

const noParameters: MailParameters = Object.freeze({
  sizeBytes: undefined,
  body: undefined,
  smtpUtf8: false,
});

// Used within one parameter only, so one for all sessions.
const paths = new PathParser();

const noRcptParameters: RcptParameters = Object.freeze({});

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** @param value undefined where there is no `=`; one character for each octet */
type Take = (parameters: Mutable<MailParameters>, value: string | undefined) => ParameterFault | undefined;

const takers: ReadonlyMap<string, Take> = new Map<string, Take>([
  ['SIZE', takeSize],
  ['BODY', takeBody],
  ['SMTPUTF8', takeSmtpUtf8],
  ['RET', takeRet],
  ['ENVID', takeEnvelopeId],
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
  const parameters: Mutable<MailParameters> = { sizeBytes: undefined, body: undefined, smtpUtf8: false };
  const known = auth ? takersWithAuth : takers;
  return (
    eachParameter(bytes, at, end, (keyword, value) => {
      const take = known.get(keyword);
      return take === undefined ? 'unknown' : take(parameters, value);
    }) ?? parameters
  );
}

/** @param smtpUtf8 MAIL of this transaction said SMTPUTF8 */
export function parseRcptParameters(
  bytes: Buffer,
  at: number,
  end: number,
  smtpUtf8: boolean,
): RcptParameters | ParameterFault {
  if (at === end) return noRcptParameters;
  const parameters: Mutable<RcptParameters> = {};
  return (
    eachParameter(bytes, at, end, (keyword, value) => {
      if (keyword === 'NOTIFY') return takeNotify(parameters, value);
      if (keyword === 'ORCPT') return takeOriginalRecipient(parameters, value, smtpUtf8);
      return 'unknown';
    }) ?? parameters
  );
}

/** Calls `take` with the upper-case keyword until one has a fault: each may come once. Each byte is looked at once. */
function eachParameter(
  bytes: Buffer,
  start: number,
  end: number,
  take: (keyword: string, value: string | undefined) => ParameterFault | undefined,
): ParameterFault | undefined {
  const seen: string[] = [];
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
    const fault = seen.includes(keyword) ? 'syntax' : take(keyword, value);
    if (fault !== undefined) return fault;
    seen.push(keyword);
  }
  return undefined;
}

function isKeywordByte(byte: number | undefined, first: boolean): boolean {
  return (byte ?? 0) < 0x80 && (is(LET_DIG, byte) || (!first && byte === HYPHEN));
}

/** RFC 1870 §4: 1 to 20 digits. Beyond 2^53 it is too large for us anyway. */
function takeSize(
  parameters: Mutable<MailParameters>,
  value: string | undefined,
): ParameterFault | undefined {
  if (value === undefined || value.length > 20) return 'syntax';
  for (let at = 0; at < value.length; at++) if (!is(DIGIT, value.charCodeAt(at))) return 'syntax';
  parameters.sizeBytes = Number(value);
  return undefined;
}

/** RFC 6152 §2. */
function takeBody(
  parameters: Mutable<MailParameters>,
  value: string | undefined,
): ParameterFault | undefined {
  const body = value?.toUpperCase();
  if (body !== '7BIT' && body !== '8BITMIME') return 'syntax';
  parameters.body = body;
  return undefined;
}

/** RFC 6531 §3.4: no value. */
function takeSmtpUtf8(
  parameters: Mutable<MailParameters>,
  value: string | undefined,
): ParameterFault | undefined {
  if (value !== undefined) return 'syntax';
  parameters.smtpUtf8 = true;
  return undefined;
}

/** RFC 4954 §5: `<>`, which stands for nobody, or a mailbox as xtext. */
function takeAuth(_parameters: unknown, value: string | undefined): ParameterFault | undefined {
  const submitter = value === undefined ? undefined : decodeXtext(value);
  if (submitter === undefined) return 'syntax';
  const isMailbox = submitter === '<>' || isPath(Buffer.from(`<${submitter}>`, 'latin1'));
  return isMailbox ? undefined : 'syntax';
}

function isPath(bytes: Buffer): boolean {
  return paths.parse(bytes, 0, bytes.length, 'reverse') === undefined && paths.end === bytes.length;
}

function takeRet(parameters: Mutable<MailParameters>, value: string | undefined): ParameterFault | undefined {
  parameters.ret = value === undefined ? undefined : parseRet(value);
  return parameters.ret === undefined ? 'syntax' : undefined;
}

function takeEnvelopeId(
  parameters: Mutable<MailParameters>,
  value: string | undefined,
): ParameterFault | undefined {
  parameters.envelopeId = value === undefined ? undefined : parseEnvelopeId(value);
  return parameters.envelopeId === undefined ? 'syntax' : undefined;
}

function takeNotify(
  parameters: Mutable<RcptParameters>,
  value: string | undefined,
): ParameterFault | undefined {
  parameters.notify = value === undefined ? undefined : parseNotify(value);
  return parameters.notify === undefined ? 'syntax' : undefined;
}

function takeOriginalRecipient(
  parameters: Mutable<RcptParameters>,
  value: string | undefined,
  smtpUtf8: boolean,
): ParameterFault | undefined {
  parameters.originalRecipient = value === undefined ? undefined : parseOriginalRecipient(value, smtpUtf8);
  return parameters.originalRecipient === undefined ? 'syntax' : undefined;
}
