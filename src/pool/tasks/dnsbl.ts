/**
 * Asks every DNSBL about one client, in a pool thread: all zones at once, one deadline for the whole. Says what came
 * back and judges nothing (policy/dnsbl does). RFC 5782.
 */
import { Resolver } from 'node:dns/promises';
import { isIPv4 } from 'node:net';

import { errorCodeOf } from '../../base/errors.js';
import { ipv6Groups } from '../../base/networks.js';
import type { DnsblAnswer, DnsblTask } from '../tasks.js';

/** A list answers with a handful of codes. More than this is no list's answer, and is not carried across. */
const maxAddresses = 64;
/** Each server is asked this often within the deadline: one lost datagram shall not cost the answer. */
const tries = 2;

/** RFC 5782 §2.1 and §2.4: `2.0.0.127`, or 32 nibbles. Undefined for what is no address. @param address normalized */
export function reverseName(address: string): string | undefined {
  if (isIPv4(address)) return address.split('.').toReversed().join('.');
  const nibbles = ipv6Groups(address)
    ?.map((group) => group.toString(16).padStart(4, '0'))
    .join('');
  return nibbles === undefined ? undefined : Array.from(nibbles).toReversed().join('.');
}

export async function askDnsbls(task: DnsblTask): Promise<DnsblAnswer[]> {
  const name = reverseName(task.address);
  if (name === undefined) return task.zones.map(() => ({ kind: 'error', code: 'EBADNAME' }));
  // A resolver a task: its source port is fresh, the system's resolv.conf is read anew, and cancel() ends only this.
  const resolver = new Resolver({ timeout: Math.max(1, Math.floor(task.timeoutMs / (tries + 1))), tries });
  if (task.servers.length > 0) resolver.setServers(task.servers);
  const deadline = setTimeout(() => resolver.cancel(), task.timeoutMs);
  try {
    return await Promise.all(task.zones.map((zone) => askOne(resolver, `${name}.${zone}`)));
  } finally {
    clearTimeout(deadline);
  }
}

async function askOne(resolver: Resolver, name: string): Promise<DnsblAnswer> {
  try {
    const records = await resolver.resolve4(name, { ttl: true });
    // c-ares takes a loop of CNAMEs for an answer without addresses.
    if (records.length === 0) return { kind: 'none' };
    if (records.length > maxAddresses) return { kind: 'error', code: 'ETOOMANY' };
    return {
      kind: 'answer',
      addresses: records.map((record) => record.address),
      ttlSeconds: Math.min(...records.map((record) => record.ttl)),
    };
  } catch (error) {
    return fromError(errorCodeOf(error) ?? 'EUNKNOWN');
  }
}

/** Nobody answered, however that showed: a closed port (ECONNREFUSED) is a server that is down, as silence is. */
const silent = new Set(['ETIMEOUT', 'ETIMEDOUT', 'ECANCELLED', 'ECONNREFUSED']);
/** NXDOMAIN, and a name without A records. */
const absent = new Set(['ENOTFOUND', 'ENODATA']);

function fromError(code: string): DnsblAnswer {
  if (absent.has(code)) return { kind: 'none' };
  return silent.has(code) ? { kind: 'timeout' } : { kind: 'error', code };
}
