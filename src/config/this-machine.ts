/** What this machine and this process are, where a rule or its advice depends on it: addresses, user. */
import { BlockList, isIPv6 } from 'node:net';
import { networkInterfaces, userInfo } from 'node:os';

/** An interface has it now; all of 127.0.0.0/8 counts, as Linux takes it for its own. Spellings of IPv6 are equal. */
export function isOwnAddress(address: string): boolean {
  const own = new BlockList();
  own.addSubnet('127.0.0.0', 8, 'ipv4');
  own.addAddress('::1', 'ipv6');
  for (const each of Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []))
    own.addAddress(withoutZone(each.address), each.family === 'IPv6' ? 'ipv6' : 'ipv4');
  const bare = withoutZone(address);
  return own.check(bare, isIPv6(bare) ? 'ipv6' : 'ipv4');
}

/** `fe80::1%eth0` */
function withoutZone(address: string): string {
  return address.replace(/%.*/, '');
}

/** For `chown` and the like: the name, or the number of a user that has none, as in some containers. */
export function thisUser(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'of this process');
  }
}
