/** Which mechanisms a session may use: of the configured ones those that somebody can check, on this channel. */
import type { Mechanism, ScramFamily } from '../protocol/types.js';

type Plain = Exclude<Mechanism, `${string}-PLUS`>;

export interface Channel {
  /** Its bytes for -PLUS can be had: TLS 1.3 (RFC 9266 §3). */
  readonly canBind: boolean;
  /** The client has shown a certificate that was verified. */
  readonly hasCertificate: boolean;
}

/** @param served of the configured ones: what works for every user. In this order, -PLUS before its mechanism. */
export function mechanismsOn(channel: Channel, served: readonly Plain[]): Mechanism[] {
  return served.flatMap((mechanism): Mechanism[] => {
    if (mechanism === 'EXTERNAL' && !channel.hasCertificate) return [];
    return isScram(mechanism) && channel.canBind ? [`${mechanism}-PLUS`, mechanism] : [mechanism];
  });
}

function isScram(mechanism: Plain): mechanism is ScramFamily {
  return mechanism.startsWith('SCRAM-');
}
