/** What of a hop's EHLO or LHLO reply we make use of; everything else in it is ignored. */

export interface HopExtensions {
  readonly pipelining: boolean;
  /** RFC 1870: the SIZE parameter may be given. */
  readonly size: boolean;
  /** The largest message it takes, bytes; Infinity where it names none. */
  readonly maxMessageBytes: number;
  readonly eightBitMime: boolean;
  readonly smtpUtf8: boolean;
  readonly startTls: boolean;
  /** RFC 3030: BDAT. */
  readonly chunking: boolean;
  /** RFC 3461 */
  readonly dsn: boolean;
  /** RFC 4954, upper case. */
  readonly authMechanisms: readonly string[];
}

/** @param lines of the reply, without codes; the first is the hop's name */
export function extensionsOf(lines: readonly string[]): HopExtensions {
  // Keywords go into a Map, never into property names (attack A-141). Of one said twice the first counts.
  const said = new Map<string, readonly string[]>();
  for (const line of lines.slice(1)) {
    const [keyword = '', ...parameters] = line.trim().toUpperCase().split(/ +/);
    if (!said.has(keyword)) said.set(keyword, parameters);
  }
  return {
    pipelining: said.has('PIPELINING'),
    size: said.has('SIZE'),
    maxMessageBytes: maxMessageBytesOf(said.get('SIZE')?.[0]),
    eightBitMime: said.has('8BITMIME'),
    smtpUtf8: said.has('SMTPUTF8'),
    startTls: said.has('STARTTLS'),
    chunking: said.has('CHUNKING'),
    dsn: said.has('DSN'),
    authMechanisms: said.get('AUTH') ?? [],
  };
}

/** RFC 1870 §4: 1 to 20 digits; 0 or none: no limit that it would tell. What is no number limits nothing either. */
function maxMessageBytesOf(parameter: string | undefined): number {
  if (parameter === undefined || !/^\d{1,20}$/.test(parameter)) return Infinity;
  const bytes = Number(parameter);
  return bytes === 0 ? Infinity : bytes;
}
