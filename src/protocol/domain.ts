/** Domains and address literals, RFC 5321 §4.1.2 and §4.1.3, on bytes and in one pass. */
import { DOT, HYPHEN, LEFT_BRACKET, LET_DIG, RIGHT_BRACKET, is } from './characters.js';
import { isIpv4, isIpv6 } from './ip-address.js';

// RFC 5321 §4.5.3.1.2 and RFC 1035 §2.3.4.
const maxDomainBytes = 255;
const maxLabelBytes = 63;

/** Where the domain that begins at `at` ends: the first byte that is not part of it; -1 when there is none. */
export function scanDomain(bytes: Buffer, at: number, end: number): number {
  const limit = Math.min(end, at + maxDomainBytes + 1);
  let labelStart = at;
  let i = at;
  for (; i < limit; i++) {
    const byte = bytes[i];
    if (byte === DOT) {
      if (!isLabel(bytes, labelStart, i)) return -1;
      labelStart = i + 1;
    } else if (!is(LET_DIG, byte) && byte !== HYPHEN) break;
  }
  return i - at <= maxDomainBytes && isLabel(bytes, labelStart, i) ? i : -1;
}

/** Letters, digits and hyphens are checked by the caller: here the length, and no hyphen at either end. */
function isLabel(bytes: Buffer, start: number, end: number): boolean {
  const length = end - start;
  return length > 0 && length <= maxLabelBytes && bytes[start] !== HYPHEN && bytes[end - 1] !== HYPHEN;
}

export function isDomain(bytes: Buffer, start: number, end: number): boolean {
  return end > start && scanDomain(bytes, start, end) === end;
}

// `[IPv6:` and the longest IPv6 address with an IPv4 tail (45), `]`.
const maxLiteralBytes = 52;

/** Where the literal that begins with `[` at `at` ends; -1 when it is none. General-address-literals have no use. */
export function scanAddressLiteral(bytes: Buffer, at: number, end: number): number {
  const limit = Math.min(end, at + maxLiteralBytes);
  let close = at;
  while (close < limit && bytes[close] !== RIGHT_BRACKET) close++;
  return close < limit && isAddressLiteral(bytes, at, close + 1) ? close + 1 : -1;
}

/** `[192.0.2.1]`, `[IPv6:2001:db8::1]`, brackets included. */
export function isAddressLiteral(bytes: Buffer, start: number, end: number): boolean {
  if (end - start < 3 || end - start > maxLiteralBytes) return false;
  if (bytes[start] !== LEFT_BRACKET || bytes[end - 1] !== RIGHT_BRACKET) return false;
  if (bytes.toString('latin1', start + 1, start + 6).toLowerCase() === 'ipv6:') {
    return isIpv6(bytes, start + 6, end - 1);
  }
  return isIpv4(bytes, start + 1, end - 1);
}
