/** Who is at the other end of a connection, as the rest of the worker sees it: the peer, or whom a trusted peer named. */
import { normalizeAddress } from '../base/networks.js';
import type { ProxyFacts } from '../protocol/proxy-facts.js';
import type { ProxyHeader } from '../protocol/proxy-header.js';

export interface Client {
  /** Normalized; what limits, DNSBLs and policy go by, and what Received and the envelope say. */
  readonly address: string;
  /** For each log line about it, beside `client`: who spoke for it, and what it said. Empty for most. */
  readonly facts: Readonly<Record<string, unknown>>;
}

const noFacts = Object.freeze({});

/** @param address normalized */
export function directClient(address: string): Client {
  return { address, facts: noFacts };
}

/** @param proxy normalized address of the peer that sent the header */
export function proxiedClient(header: ProxyHeader, proxy: string): Client {
  if (header.kind === 'local') return directClient(proxy);
  const { source, facts } = header;
  const said = saidByProxy(facts);
  return {
    address: normalizeAddress(source.address),
    facts: {
      clientPort: source.port,
      proxy,
      ...(Object.keys(said).length === 0 ? {} : { proxied: said }),
    },
  };
}

function saidByProxy({ tls, authority, alpn, uniqueId, namespace }: ProxyFacts): object {
  return {
    ...(authority === undefined ? {} : { sni: authority }),
    ...(tls === undefined ? {} : { tls: tls.version, clientCertVerified: tls.verified }),
    ...(tls?.cipher === undefined ? {} : { cipher: tls.cipher }),
    ...(tls?.commonName === undefined ? {} : { clientCertName: tls.commonName }),
    ...(alpn === undefined ? {} : { alpn }),
    ...(uniqueId === undefined ? {} : { id: uniqueId }),
    ...(namespace === undefined ? {} : { netns: namespace }),
  };
}
