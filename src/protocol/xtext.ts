/** xtext, RFC 3461 §4: how the parameters of DSN and AUTH carry what their grammar has no room for. Pure checks. */

const TAB = 0x09;

/**
 * `*( xchar / hexchar )`: `+` stands only before two upper-case hexadecimal digits, `=` and what is beyond ASCII nowhere.
 * @returns one character for each octet; undefined when it is none
 */
export function decodeXtext(text: string): string | undefined {
  let decoded = '';
  return everyCharacter(text, (octet) => {
    decoded += String.fromCharCode(octet);
    return true;
  })
    ? decoded
    : undefined;
}

/**
 * Xtext of printable characters and white space: all that RFC 3461 §4.2 and §4.4 allow in an address or an envelope id.
 * Whoever decodes it later finds no CR, LF or other control in it (attacks.md A-085).
 */
export function isPrintableXtext(text: string): boolean {
  return everyCharacter(text, (octet) => (octet >= 0x20 && octet < 0x7f) || octet === TAB);
}

/** Linear: each character is looked at once. @param accepts each octet that the text stands for */
function everyCharacter(text: string, accepts: (octet: number) => boolean): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x21 || code > 0x7e || text[at] === '=') return false;
    if (text[at] !== '+') {
      if (!accepts(code)) return false;
      continue;
    }
    if (!isUpperHex(text[at + 1]) || !isUpperHex(text[at + 2])) return false;
    if (!accepts(Number.parseInt(text.slice(at + 1, at + 3), 16))) return false;
    at += 2;
  }
  return true;
}

function isUpperHex(character: string | undefined): boolean {
  return character !== undefined && '0123456789ABCDEF'.includes(character);
}
