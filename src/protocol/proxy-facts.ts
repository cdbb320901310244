/**
 * What a version 2 PROXY header says beside addresses (§2.2.1 to §2.2.7): type, length, value. Facts to show, not to
 * trust more than the proxy itself: nothing here makes a session secure. Types that have no use are skipped; a length
 * that leaves its block, a known type said twice or a wrong checksum makes the whole header invalid. Pure.
 */
import { isUtf8 } from './characters.js';
import { crc32c } from './crc32c.js';

/** TLS that the proxy ended, between the client and itself. */
interface ProxyTls {
  /** `TLSv1.3`; '' where the proxy does not say. */
  readonly version: string;
  readonly cipher?: string;
  /** The client showed a certificate, and the proxy found it good. */
  readonly verified: boolean;
  /** Of the client's certificate, good or not. */
  readonly commonName?: string;
}

export interface ProxyFacts {
  readonly tls?: ProxyTls;
  /** SNI, where the client spoke TLS with the proxy or the proxy looked into it. */
  readonly authority?: string;
  readonly alpn?: string;
  /** As text where it is printable, in hexadecimal digits else. */
  readonly uniqueId?: string;
  readonly namespace?: string;
}

export type FactsFault = 'bad-tlv' | 'bad-checksum';

/** NOOP (0x04) is not among them: it may come as often as it likes. */
const Type = {
  alpn: 0x01,
  authority: 0x02,
  crc32c: 0x03,
  uniqueId: 0x05,
  ssl: 0x20,
  namespace: 0x30,
} as const;
/** Inside SSL. */
const SslType = { version: 0x21, commonName: 0x22, cipher: 0x23 } as const;

const types: ReadonlySet<number> = new Set(Object.values(Type));
const sslTypes: ReadonlySet<number> = new Set(Object.values(SslType));

/** Bits of the SSL type's first octet. */
const ClientBit = { ssl: 1, certificateNow: 2, certificateInSession: 4 } as const;

// A domain name's bound; protocol names and namespaces (file names) have the same.
const maxTextBytes = 255;
// §2.2.5.
const maxUniqueIdBytes = 128;
const tlvHeadBytes = 3;
const sslHeadBytes = 5;

interface Tlv {
  readonly type: number;
  readonly from: number;
  readonly to: number;
}

/** @param bytes the header from its first octet on: the checksum covers all of it */
export function parseProxyFacts(bytes: Buffer, start: number, end: number): ProxyFacts | FactsFault {
  const tlvs = split(bytes, start, end, types);
  if (tlvs === undefined) return 'bad-tlv';
  const checksum = tlvs.find(({ type }) => type === Type.crc32c);
  if (checksum !== undefined && !checksumFits(bytes, checksum, end)) return 'bad-checksum';
  const facts: { -readonly [Key in keyof ProxyFacts]: ProxyFacts[Key] } = {};
  for (const { type, from, to } of tlvs) {
    const value = take(bytes, type, from, to);
    if (value === undefined) return 'bad-tlv';
    Object.assign(facts, value);
  }
  return facts;
}

/** Undefined where a length leaves the block, or a type that has a meaning comes twice. */
function split(bytes: Buffer, start: number, end: number, known: ReadonlySet<number>): Tlv[] | undefined {
  const tlvs: Tlv[] = [];
  const seen = new Set<number>();
  let at = start;
  while (at < end) {
    if (end - at < tlvHeadBytes) return undefined;
    const type = bytes[at] ?? 0;
    const from = at + tlvHeadBytes;
    const to = from + bytes.readUInt16BE(at + 1);
    if (to > end || seen.has(type)) return undefined;
    if (known.has(type)) {
      seen.add(type);
      tlvs.push({ type, from, to });
    }
    at = to;
  }
  return tlvs;
}

function checksumFits(bytes: Buffer, { from, to }: Tlv, end: number): boolean {
  return to - from === 4 && bytes.readUInt32BE(from) === crc32c(bytes, 0, end, from);
}

/** Undefined: the value is not what its type holds. */
function take(bytes: Buffer, type: number, from: number, to: number): ProxyFacts | undefined {
  switch (type) {
    case Type.alpn:
      return named('alpn', readText(bytes, from, to));
    case Type.authority:
      return named('authority', readText(bytes, from, to));
    case Type.namespace:
      return named('namespace', readText(bytes, from, to));
    case Type.uniqueId:
      return named('uniqueId', to - from > maxUniqueIdBytes ? undefined : idText(bytes, from, to));
    case Type.ssl:
      return readTls(bytes, from, to);
    default:
      return {};
  }
}

function named(key: Exclude<keyof ProxyFacts, 'tls'>, value: string | undefined): ProxyFacts | undefined {
  if (value === undefined) return undefined;
  return value === '' ? {} : { [key]: value };
}

function readTls(bytes: Buffer, from: number, to: number): ProxyFacts | undefined {
  if (to - from < sslHeadBytes) return undefined;
  const client = bytes[from] ?? 0;
  const verified = bytes.readUInt32BE(from + 1) === 0;
  const inside = split(bytes, from + sslHeadBytes, to, sslTypes);
  if (inside === undefined) return undefined;
  const texts = new Map<number, string>();
  for (const tlv of inside) {
    const value = readText(bytes, tlv.from, tlv.to);
    if (value === undefined) return undefined;
    texts.set(tlv.type, value);
  }
  if ((client & ClientBit.ssl) === 0) return {};
  const cipher = texts.get(SslType.cipher);
  const commonName = texts.get(SslType.commonName);
  // The result of no verification is 0 too: it says something only where there was a certificate.
  const hasCertificate = (client & (ClientBit.certificateNow | ClientBit.certificateInSession)) !== 0;
  return {
    tls: {
      version: texts.get(SslType.version) ?? '',
      ...(cipher === undefined ? {} : { cipher }),
      verified: verified && hasCertificate,
      ...(commonName === undefined ? {} : { commonName }),
    },
  };
}

/** UTF-8 without control characters; a copy. */
function readText(bytes: Buffer, from: number, to: number): string | undefined {
  if (to - from > maxTextBytes || !isUtf8(bytes, from, to)) return undefined;
  const text = bytes.toString('utf8', from, to);
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return undefined;
  }
  return text;
}

function idText(bytes: Buffer, from: number, to: number): string {
  return readText(bytes, from, to) ?? bytes.toString('hex', from, to);
}
