/** Who is at the other end of a connection, as the rest of the worker sees it: the peer, or whom a trusted peer named. */
import { normalizeAddress } from '../base/networks.js';
import type { XclientAttributes, XforwardAttributes } from '../protocol/client-attributes.js';
import type { ProxyFacts } from '../protocol/proxy-facts.js';
import type { ProxyHeader } from '../protocol/proxy-header.js';

export interface Client {
  /** Normalized; what limits, DNSBLs and policy go by, and what Received and the envelope say. */
  readonly address: string;
  /** For each log line about it, beside `client`: who spoke for it, and what it said. Empty for most. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** False where XCLIENT said that it is not: `address` is that of the peer then, whose trust does not go with it. */
  readonly isKnown: boolean;
  /** The proxy itself, to see whether we are there: that it leaves before TLS is no fault. */
  readonly isProbe: boolean;
  /** Set by XCLIENT. */
  readonly named?: { readonly by: Client; readonly attributes: XclientAttributes };
}

const noFacts = Object.freeze({});

/** @param address normalized */
export function directClient(address: string): Client {
  return { address, facts: noFacts, isKnown: true, isProbe: false };
}

/** @param proxy normalized address of the peer that sent the header */
export function proxiedClient(header: ProxyHeader, proxy: string): Client {
  if (header.kind === 'local') return { ...directClient(proxy), isProbe: true };
  const { source, facts } = header;
  const said = saidByProxy(facts);
  return {
    address: normalizeAddress(source.address),
    isKnown: true,
    isProbe: false,
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

/** XCLIENT: another client from now on. What one command leaves unsaid stays as another said it (XCLIENT_README note 1). */
export function namedClient(client: Client, attributes: XclientAttributes): Client {
  const by = client.named?.by ?? client;
  const said = { ...client.named?.attributes, ...attributes };
  const { addr, name, reverseName, port, destAddr, destPort, login } = said;
  return {
    address: addr ?? by.address,
    isProbe: false,
    isKnown: addr === undefined ? by.isKnown : addr !== null,
    named: { by, attributes: said },
    facts: {
      // The proxy's word is about the peer, which is not the client any more.
      xclient: by.address,
      ...told({ clientPort: port, clientName: name, reverseName, destAddr, destPort, login }),
    },
  };
}

/** For log lines: where the message was before it came to the peer. */
export function forwardedFact(attributes: XforwardAttributes | undefined): object {
  return attributes === undefined ? {} : { forwarded: told(attributes) };
}

/** Without what the peer said it does not know. */
function told(values: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined && value !== null),
  );
}
