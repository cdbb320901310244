/**
 * ENVID and ORCPT back from what the client wrote: xtext (RFC 3461 §4) and the embedded code points of RFC 6533 §3.
 * What does not decode to one line of printable text stays as it was written, so that a client cannot put a line of his
 * own into a notification (attack A-085). Pure.
 */

/** `+` and two upper-case hexadecimal digits are one octet. The text itself where that gives more than printable ASCII. */
export function decodeXtext(text: string): string {
  const decoded = text.replaceAll(/\+([0-9A-F]{2})/g, (_all, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return /^[ -~]*$/.test(decoded) ? decoded : text;
}

/** The `\x{2211}` of a utf-8 address as the character. The text itself where one of them is no printable character. */
export function decodeUnitext(text: string): string {
  const decoded = text.replaceAll(/\\x\{([0-9A-Fa-f]{2,6})\}/g, (_all, hex: string) => {
    const point = Number.parseInt(hex, 16);
    return point <= 0x10ffff ? String.fromCodePoint(point) : '\0';
  });
  return /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(decoded) ? text : decoded;
}

/**
 * `rfc822;joe+2Bbox@example.org` as `rfc822; joe+box@example.org`.
 * @param international the field may hold UTF-8: it stands in message/global-delivery-status
 */
export function decodeOriginalRecipient(text: string, international: boolean): string {
  const semicolon = text.indexOf(';');
  if (semicolon < 0) return text;
  const type = text.slice(0, semicolon);
  const address = text.slice(semicolon + 1);
  if (type.toLowerCase() !== 'utf-8') return `${type}; ${decodeXtext(address)}`;
  return `${type}; ${international ? decodeUnitext(address) : address}`;
}
