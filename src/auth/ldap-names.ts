/** A user's name in a DN or a filter, where nothing in it may be syntax (RFC 4514 §2.4, RFC 4515 §3). Pure. */

/** RFC 4514 §2.4 lets every octet be `\XX`: all but plain letters, digits and a few are, so no list can have a hole. */
export function escapeDnValue(text: string): string {
  return Array.from(text, (character) => (isPlain(character) ? character : hexPairs(character))).join('');
}

/**
 * RFC 4515 §3: `*`, `(`, `)`, `\` and NUL must be `\XX`; here all of ASCII that is not plain. What is beyond ASCII stays as
 * it is, which the RFC allows: ldapts makes a character of each `\XX`, and so two of the `\c3\a9` of an é.
 */
export function escapeFilterValue(text: string): string {
  return Array.from(text, (character) =>
    isPlain(character) || character > '\x7f' ? character : hexPairs(character),
  ).join('');
}

function isPlain(character: string): boolean {
  return /^[A-Za-z0-9._@-]$/.test(character);
}

function hexPairs(character: string): string {
  return Array.from(Buffer.from(character), (octet) => `\\${octet.toString(16).padStart(2, '0')}`).join('');
}
