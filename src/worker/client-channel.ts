/** What a log-in may want to know of the connection: the channel's own bytes, and whom its certificate stands for. */
import type { TLSSocket } from 'node:tls';

export interface ClientChannel {
  /** tls-exporter (RFC 9266). Undefined where the channel cannot be bound. */
  binding(): Buffer | undefined;
  /** Of the client's verified certificate; empty where there is none. */
  identities(): readonly string[];
}

const bindingBytes = 32;
const bindingLabel = 'EXPORTER-Channel-Binding';

/**
 * RFC 9266 §4.2: before TLS 1.3 the exporter is unique only with the extended master secret (RFC 7627), and Node does
 * not say whether that was negotiated.
 */
export function canBind(tlsVersion: string): boolean {
  return tlsVersion === 'TLSv1.3';
}

/** Of a connection whose handshake is done. RFC 9266 §2: a context of no bytes. */
export function channelBinding(socket: TLSSocket): Buffer | undefined {
  if (!canBind(socket.getProtocol() ?? '')) return undefined;
  return socket.exportKeyingMaterial(bindingBytes, bindingLabel, Buffer.alloc(0));
}
