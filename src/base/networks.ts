/** Client addresses as the policy sees them: one spelling per host, CIDR sets, and the network a limit counts on. */
import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';

/** One spelling per host: an IPv4 address mapped into IPv6 (`::ffff:1.2.3.4`, dual-stack sockets) is the IPv4 one. */
export function normalizeAddress(address: string): string {
  const zone = address.indexOf('%');
  const plain = zone < 0 ? address : address.slice(0, zone);
  const mapped = plain.toLowerCase().startsWith('::ffff:') ? plain.slice(7) : '';
  return isIPv4(mapped) ? mapped : plain.toLowerCase();
}

/** The two faults a CIDR can have are one to its writer: undefined, and the caller says where it stands. */
export function parseCidr(
  text: string,
): { address: string; prefix: number; family: 'ipv4' | 'ipv6' } | undefined {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  const version = isIP(address);
  if (version === 0) return undefined;
  const width = version === 4 ? 32 : 128;
  const prefixText = slash < 0 ? String(width) : text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(prefixText)) return undefined;
  const prefix = Number(prefixText);
  return prefix <= width ? { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' } : undefined;
}

export class NetworkSet {
  readonly #list = new BlockList();
  readonly size: number;

  /** @param cidrs checked by the config schema; a wrong one here is our bug. */
  constructor(cidrs: readonly string[]) {
    for (const cidr of cidrs) {
      const parsed = parseCidr(cidr);
      if (parsed === undefined) throw new TypeError(`not a network: ${cidr}`);
      this.#list.addSubnet(parsed.address, parsed.prefix, parsed.family);
    }
    this.size = cidrs.length;
  }

  /** @param address normalized */
  has(address: string): boolean {
    return this.size > 0 && this.#list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  }
}

/** The eight 16-bit groups of an IPv6 address, `::` expanded. Undefined when it is none. */
export function ipv6Groups(address: string): number[] | undefined {
  if (!isIPv6(address)) return undefined;
  let text = address;
  const lastColon = text.lastIndexOf(':');
  const tail = text.slice(lastColon + 1);
  if (isIPv4(tail)) {
    const [a = 0, b = 0, c = 0, d = 0] = tail.split('.').map(Number);
    text = `${text.slice(0, lastColon + 1)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head = '', rest] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = rest === undefined || rest === '' ? [] : rest.split(':');
  const zeros = rest === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array.from({ length: zeros }, () => '0'), ...right].map((group) =>
    Number.parseInt(group, 16),
  );
}

/**
 * The keys that per-client limits count on: the host (/32, /64) and its neighbourhood (/24, /48). A /64 is what
 * one IPv6 customer has, so a single address there means nothing.
 */
export function networkKeys(address: string): { host: string; neighbourhood: string } {
  const groups = ipv6Groups(address);
  if (groups === undefined)
    return { host: address, neighbourhood: `${address.slice(0, address.lastIndexOf('.'))}.0/24` };
  const hex = groups.map((group) => group.toString(16));
  return { host: `${hex.slice(0, 4).join(':')}::/64`, neighbourhood: `${hex.slice(0, 3).join(':')}::/48` };
}
