/** How wide a network may be whose hosts are believed who their clients are: `proxyProtocol` and `xclient` of a listener. */
import { ipv6Groups, parseCidr } from '../base/networks.js';
import type { FaultList } from './validate.js';

/**
 * Whoever is in such a network can claim any address, and by XCLIENT any log-in: a listener that trusts the Internet is an
 * open relay. No network of one's own is wider than 10.0.0.0/8 and fc00::/7.
 */
export function checkTrust(
  path: readonly (string | number)[],
  networks: readonly string[],
  list: FaultList,
): void {
  networks.forEach((network, index) => {
    if (isWiderThanAnybodyOwns(network))
      list.expected(
        [...path, index],
        'the networks of your own proxies: everybody in this one could claim to be any client',
      );
  });
}

function isWiderThanAnybodyOwns(network: string): boolean {
  const cidr = parseCidr(network);
  if (cidr === undefined) return false;
  if (cidr.family === 'ipv4') return cidr.prefix < 8;
  // IPv4 clients are in ::ffff:0:0/96 as well, and in all that is wider.
  return cidr.prefix < 7 || (cidr.prefix < 96 + 8 && isOfMapped(cidr));
}

/** Lies in ::ffff:0:0/96, or has it inside. */
function isOfMapped({ address, prefix }: { address: string; prefix: number }): boolean {
  const mapped = [0, 0, 0, 0, 0, 0xffff];
  const groups = ipv6Groups(address) ?? [];
  return mapped.every((wanted, at) => {
    const bits = Math.min(16, Math.max(0, prefix - 16 * at));
    const ignored = 16 - bits;
    return (groups[at] ?? 0) >> ignored === wanted >> ignored;
  });
}
