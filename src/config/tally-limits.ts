/** Which key of the config limits which tally (base/tallies.ts). Infinity: no limit. */
import type { KeyScope, TallyKind } from '../base/tallies.js';
import type { LimitsConfig } from './config.js';

export type TallyLimits = Readonly<Record<TallyKind, Readonly<Record<KeyScope, number>>>>;

export function tallyLimits(limits: LimitsConfig): TallyLimits {
  return {
    connections: perNetwork(limits.connectionsPerHost, limits.connectionsPerNetwork),
    bytes: perNetwork(limits.bytesInFlightPerHost, limits.bytesInFlightPerNetwork),
    connects: perNetwork(limits.connectionsPerHostPerMinute, limits.connectionsPerNetworkPerMinute),
    messages: perNetwork(limits.messagesPerHostPerMinute, limits.messagesPerNetworkPerMinute),
    recipients: perNetwork(limits.recipientsPerHostPerMinute, limits.recipientsPerNetworkPerMinute),
    authFailures: {
      ...perNetwork(limits.authFailuresPerHostPerMinute, limits.authFailuresPerNetworkPerMinute),
      account: orNone(limits.authFailuresPerAccountPerMinute),
    },
  };
}

function perNetwork(host: number, network: number): Record<KeyScope, number> {
  return { host: orNone(host), network: orNone(network), account: Infinity };
}

/** 0 in the config: no limit. */
function orNone(limit: number): number {
  return limit === 0 ? Infinity : limit;
}
