/** IP addresses and ports as text and as octets: checked strictly, written in one way. Pure. */
import { COLON, DIGIT, DOT, HEX, is } from './characters.js';

/** Four decimal numbers up to 255 without leading zeros (some read those as octal). */
export function isIpv4(bytes: Buffer, start: number, end: number): boolean {
  let numbers = 0;
  let at = start;
  while (at <= end) {
    const first = at;
    let value = 0;
    while (at < end && is(DIGIT, bytes[at]) && at - first < 3) value = value * 10 + (bytes[at++] ?? 0) - 0x30;
    if (at === first || value > 255 || (at - first > 1 && bytes[first] === 0x30)) return false;
    numbers++;
    if (at === end) return numbers === 4;
    if (bytes[at++] !== DOT) return false;
  }
  return false;
}

/** RFC 4291 §2.2: eight groups, or fewer with one `::`, the last two perhaps as an IPv4 address. */
export function isIpv6(bytes: Buffer, start: number, end: number): boolean {
  let groups = 0;
  let compressed = false;
  let at = start;
  while (at < end) {
    if (bytes[at] === COLON && bytes[at + 1] === COLON) {
      if (compressed) return false;
      compressed = true;
      at += 2;
      if (at === end) break;
    } else if (groups > 0 && bytes[at++] !== COLON) return false;
    const first = at;
    while (at < end && is(HEX, bytes[at])) at++;
    if (at < end && bytes[at] === DOT) {
      if (!isIpv4(bytes, first, end)) return false;
      groups += 2;
      break;
    }
    if (at === first || at - first > 4) return false;
    groups++;
  }
  return compressed ? groups <= 7 : groups === 8;
}

/** The four octets at `at`. */
export function ipv4Text(octets: Buffer, at: number): string {
  return octets.subarray(at, at + 4).join('.');
}

/** The sixteen octets at `at`, RFC 5952 §4; one that holds an IPv4 address is that: one spelling per host. */
export function ipv6Text(octets: Buffer, at: number): string {
  if (isMapped(octets, at)) return ipv4Text(octets, at + 12);
  const groups = Array.from({ length: 8 }, (_, group) => octets.readUInt16BE(at + 2 * group));
  const zeros = longestZeros(groups);
  const hex = groups.map((group) => group.toString(16));
  if (zeros.length < 2) return hex.join(':');
  return `${hex.slice(0, zeros.at).join(':')}::${hex.slice(zeros.at + zeros.length).join(':')}`;
}

/** RFC 4291 §2.5.5.2. */
function isMapped(octets: Buffer, at: number): boolean {
  for (let i = 0; i < 10; i++) if (octets[at + i] !== 0) return false;
  return octets[at + 10] === 0xff && octets[at + 11] === 0xff;
}

/** The first of the longest runs, RFC 5952 §4.2.3. */
function longestZeros(groups: readonly number[]): { at: number; length: number } {
  let best = { at: 0, length: 0 };
  let length = 0;
  groups.forEach((group, index) => {
    length = group === 0 ? length + 1 : 0;
    if (length > best.length) best = { at: index - length + 1, length };
  });
  return best;
}

/** @param text ASCII; undefined when it is no address of that family */
export function canonicalAddress(text: string, family: 'ipv4' | 'ipv6'): string | undefined {
  const bytes = Buffer.from(text, 'latin1');
  if (family === 'ipv4') return isIpv4(bytes, 0, bytes.length) ? text : undefined;
  return isIpv6(bytes, 0, bytes.length) ? ipv6Text(ipv6Octets(text), 0) : undefined;
}

/** @param text passed isIpv6 */
function ipv6Octets(text: string): Buffer {
  const octets = Buffer.alloc(16);
  const [head = '', tail] = text.split('::');
  writeGroups(octets, 0, groupsOf(head));
  const behind = groupsOf(tail ?? '');
  writeGroups(octets, 16 - 2 * behind.length, behind);
  return octets;
}

function groupsOf(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

function writeGroups(octets: Buffer, at: number, groups: readonly number[]): void {
  groups.forEach((group, index) => octets.writeUInt16BE(group, at + 2 * index));
}

/** Decimal, 0 to 65535, without sign or leading zeros. */
export function parsePort(text: string): number | undefined {
  if (text.length === 0 || text.length > 5 || (text.length > 1 && text.startsWith('0'))) return undefined;
  for (const digit of text) if (digit < '0' || digit > '9') return undefined;
  const port = Number(text);
  return port <= 65_535 ? port : undefined;
}
