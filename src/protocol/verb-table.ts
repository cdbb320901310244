/** The verbs as data: one row each. A new verb in types.ts is a compile error here until it has its row. */
import { SPACE } from './characters.js';
import { askBits, verbs, type Verb } from './types.js';

export interface VerbRow {
  readonly verb: Verb;
  /** What may follow: nothing (501 else, RFC 5321 §4.1.1), anything, something that must be there. */
  readonly argument: 'none' | 'optional' | 'required';
  /** Allowed before EHLO or HELO. RFC 5321 §4.1.4. */
  readonly beforeHello: boolean;
  /** Allowed in plaintext where TLS is required. RFC 3207 §4. */
  readonly beforeTls: boolean;
  /**
   * What follows depends on its reply, so nothing may follow it in a group (RFC 2920 §3.1, RFC 3207 §4). AUTH's own
   * exchange knows where it has to end one. NOOP, VRFY, EXPN and QUIT, which RFC 2920 names too, are let off: nobody can
   * gain by what follows them, and clients in the field are careless there.
   */
  readonly endsGroup: boolean;
  /** Costs us, moves no mail: counted against junkCommands. */
  readonly junk: boolean;
  readonly askBit: number;
}

type Traits = Omit<VerbRow, 'verb' | 'askBit'>;

const traits: Readonly<Record<Verb, Traits>> = {
  EHLO: { argument: 'required', beforeHello: true, beforeTls: true, endsGroup: true, junk: true },
  HELO: { argument: 'required', beforeHello: true, beforeTls: false, endsGroup: true, junk: true },
  LHLO: { argument: 'required', beforeHello: true, beforeTls: true, endsGroup: true, junk: true },
  MAIL: { argument: 'required', beforeHello: false, beforeTls: false, endsGroup: false, junk: false },
  RCPT: { argument: 'required', beforeHello: false, beforeTls: false, endsGroup: false, junk: false },
  DATA: { argument: 'none', beforeHello: false, beforeTls: false, endsGroup: true, junk: false },
  BDAT: { argument: 'required', beforeHello: false, beforeTls: false, endsGroup: false, junk: false },
  RSET: { argument: 'none', beforeHello: true, beforeTls: false, endsGroup: false, junk: true },
  NOOP: { argument: 'optional', beforeHello: true, beforeTls: true, endsGroup: false, junk: true },
  QUIT: { argument: 'none', beforeHello: true, beforeTls: true, endsGroup: false, junk: false },
  VRFY: { argument: 'required', beforeHello: true, beforeTls: false, endsGroup: false, junk: true },
  HELP: { argument: 'optional', beforeHello: true, beforeTls: false, endsGroup: false, junk: true },
  EXPN: { argument: 'optional', beforeHello: true, beforeTls: false, endsGroup: false, junk: true },
  STARTTLS: { argument: 'none', beforeHello: false, beforeTls: true, endsGroup: true, junk: false },
  AUTH: { argument: 'required', beforeHello: false, beforeTls: false, endsGroup: false, junk: false },
  XCLIENT: { argument: 'required', beforeHello: true, beforeTls: false, endsGroup: true, junk: true },
  XFORWARD: { argument: 'required', beforeHello: true, beforeTls: false, endsGroup: false, junk: true },
};

/** Four letters as one number. Folding by 0x20 is exact here: a letter of the name is met by that letter only. */
function pack(a: number, b: number, c: number, d: number): number {
  return (a << 24) | (b << 16) | (c << 8) | d | 0x20202020;
}

const rowsByKey: ReadonlyMap<number, VerbRow> = new Map(
  verbs.map((verb) => [
    pack(verb.charCodeAt(0), verb.charCodeAt(1), verb.charCodeAt(2), verb.charCodeAt(3)),
    { verb, ...traits[verb], askBit: askBits[verb] },
  ]),
);

/** The row of the verb that the line begins with, case ignored (RFC 5321 §2.4); the verb ends at a space or the line's end. */
export function findVerb(bytes: Buffer, start: number, end: number): VerbRow | undefined {
  if (end - start < 4) return undefined;
  const row = rowsByKey.get(
    pack(bytes[start] ?? 0, bytes[start + 1] ?? 0, bytes[start + 2] ?? 0, bytes[start + 3] ?? 0),
  );
  if (row === undefined) return undefined;
  const after = start + row.verb.length;
  if (after > end || (after < end && bytes[after] !== SPACE)) return undefined;
  return row.verb.length === 4 || matches(bytes, start, row.verb) ? row : undefined;
}

/** Of other times and other services (RFC 5321 §F.1, §F.6; RFC 1985; RFC 2645): known, and refused for good. */
const refusedVerbs = ['ETRN', 'TURN', 'ATRN', 'SEND', 'SOML', 'SAML'] as const;

/** For lines that have no row: 502 rather than 500 (RFC 5321 §4.2.4). */
export function isRefusedVerb(bytes: Buffer, start: number, end: number): boolean {
  const after = start + 4;
  if (end < after || (end > after && bytes[after] !== SPACE)) return false;
  return refusedVerbs.some((verb) => matches(bytes, start, verb));
}

/** Case ignored; `letters` upper case, and only letters, `:` and spaces. */
export function matches(bytes: Buffer, start: number, letters: string): boolean {
  for (let at = 0; at < letters.length; at++) {
    const wanted = letters.charCodeAt(at);
    const byte = bytes[start + at];
    if (byte !== wanted && (wanted < 0x41 || byte !== wanted + 0x20)) return false;
  }
  return true;
}
