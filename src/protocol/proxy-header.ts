/**
 * The header that a proxy sends before anything else on a connection: who its client is. HAProxy's document "The PROXY
 * protocol", versions 1 (a line) and 2 (binary), strictly: what is not exactly a header is a fault and never guessed at.
 * Pure: bytes in by `read`, the header and what follows it out. Who must send one, and by when, is the worker's to say.
 */
import { CR, LF } from './characters.js';
import { canonicalAddress, ipv4Text, ipv6Text, parsePort } from './ip-address.js';
import { parseProxyFacts, type ProxyFacts } from './proxy-facts.js';

interface Endpoint {
  /** In the one spelling that the rest of the program compares. */
  readonly address: string;
  readonly port: number;
}

export type ProxyHeader =
  /** LOCAL, UNKNOWN, or a family without IP addresses: the connection is what it is, the proxy its client. §2.1, §2.2 */
  | { readonly kind: 'local' }
  | {
      readonly kind: 'proxied';
      readonly source: Endpoint;
      readonly destination: Endpoint;
      readonly facts: ProxyFacts;
    };

export type ProxyFault =
  | 'missing' // what came is no header
  | 'too-long'
  | 'bad-line'
  | 'bad-address'
  | 'bad-version'
  | 'bad-command'
  | 'bad-family'
  | 'bad-tlv'
  | 'bad-checksum';

export type ProxyEvent =
  | { readonly kind: 'more' }
  | { readonly kind: 'fault'; readonly fault: ProxyFault }
  /** `rest`: what came behind the header, a view of the last chunk. */
  | { readonly kind: 'header'; readonly header: ProxyHeader; readonly rest: Buffer };

// §2.1: with CRLF, the longest line there is.
const maxLineBytes = 107;
// §2.2 allows 65535. What proxies send (addresses, SNI, certificate names, ids of clouds) is some hundred octets, and
// the document promises less than a segment.
const maxBlockBytes = 4096;
const fixedBytes = 16;

const linePrefix = Buffer.from('PROXY ', 'latin1');
const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

const local: ProxyHeader = { kind: 'local' };
const noFacts: ProxyFacts = Object.freeze({});

export class ProxyHeaderReader {
  // Made when a header comes in pieces, which hardly one does. Full, it holds a header or a fault.
  #kept: Buffer | undefined;
  #length = 0;

  /** Not called again after a header or a fault. */
  read(chunk: Buffer): ProxyEvent {
    const before = this.#length;
    const outcome = parse(this.#join(chunk));
    if (outcome === 'more') {
      if (before === 0) this.#keep(chunk);
      return { kind: 'more' };
    }
    if (typeof outcome === 'string') return { kind: 'fault', fault: outcome };
    return { kind: 'header', header: outcome.header, rest: chunk.subarray(outcome.end - before) };
  }

  /** Nothing has come yet. */
  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /** What was kept and as much of the chunk as a header can have. */
  #join(chunk: Buffer): Buffer {
    if (this.#kept === undefined || this.#length === 0) return chunk;
    this.#length += chunk.copy(this.#kept, this.#length);
    return this.#kept.subarray(0, this.#length);
  }

  /** A copy: the chunk may be a view on much more. */
  #keep(chunk: Buffer): void {
    this.#kept ??= Buffer.alloc(fixedBytes + maxBlockBytes);
    this.#length = chunk.copy(this.#kept);
  }
}

/** `end`: behind the header's last octet. */
type Outcome = 'more' | ProxyFault | { readonly header: ProxyHeader; readonly end: number };

function parse(bytes: Buffer): Outcome {
  if (bytes.length === 0) return 'more';
  if (beginsAs(bytes, linePrefix)) return parseLine(bytes);
  if (beginsAs(bytes, signature)) return parseBlock(bytes);
  return 'missing';
}

/** As far as it goes: told at the first octet that does not fit, not after all of it. */
function beginsAs(bytes: Buffer, wanted: Buffer): boolean {
  const length = Math.min(bytes.length, wanted.length);
  return bytes.compare(wanted, 0, length, 0, length) === 0;
}

// ---- version 1 -----------------------------------------------------------------------------------------------------

function parseLine(bytes: Buffer): Outcome {
  const lineFeed = bytes.subarray(0, maxLineBytes).indexOf(LF);
  if (lineFeed < 0) return bytes.length < maxLineBytes ? 'more' : 'too-long';
  // §2.1: neither CR nor LF alone ends the line.
  if (bytes[lineFeed - 1] !== CR || !isPrintable(bytes, lineFeed - 1)) return 'bad-line';
  const header = parseWords(bytes.toString('latin1', 0, lineFeed - 1).split(' '));
  return typeof header === 'string' ? header : { header, end: lineFeed + 1 };
}

function isPrintable(bytes: Buffer, end: number): boolean {
  for (let at = 0; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x20 || byte > 0x7e) return false;
  }
  return true;
}

function parseWords([, family, ...words]: string[]): ProxyHeader | ProxyFault {
  // §2.1: what follows UNKNOWN is ignored.
  if (family === 'UNKNOWN') return local;
  if (family !== 'TCP4' && family !== 'TCP6') return 'bad-family';
  if (words.length !== 4) return 'bad-line';
  const [from = '', to = '', fromPort = '', toPort = ''] = words;
  const source = endpoint(from, fromPort, family);
  const destination = endpoint(to, toPort, family);
  if (source === undefined || destination === undefined) return 'bad-address';
  return { kind: 'proxied', source, destination, facts: noFacts };
}

function endpoint(address: string, port: string, family: 'TCP4' | 'TCP6'): Endpoint | undefined {
  const canonical = canonicalAddress(address, family === 'TCP4' ? 'ipv4' : 'ipv6');
  const number = parsePort(port);
  return canonical === undefined || number === undefined ? undefined : { address: canonical, port: number };
}

// ---- version 2 -----------------------------------------------------------------------------------------------------

const Command = { local: 0, proxy: 1 } as const;
/** §2.2: the pairs of family and transport that there are. Datagrams carry no SMTP. */
const Family = { unspecified: 0x00, tcp4: 0x11, tcp6: 0x21, unixStream: 0x31 } as const;
const unixBytes = 216;

function parseBlock(bytes: Buffer): Outcome {
  if (bytes.length < fixedBytes) return 'more';
  const versionAndCommand = bytes[12] ?? 0;
  if (versionAndCommand >> 4 !== 2) return 'bad-version';
  const length = bytes.readUInt16BE(14);
  if (length > maxBlockBytes) return 'too-long';
  const end = fixedBytes + length;
  if (bytes.length < end) return 'more';
  const header = parseCommand(bytes, versionAndCommand & 0x0f, end);
  return typeof header === 'string' ? header : { header, end };
}

function parseCommand(bytes: Buffer, command: number, end: number): ProxyHeader | ProxyFault {
  // §2.2: the family and all of the block are ignored, however long it is.
  if (command === Command.local) return local;
  return command === Command.proxy ? parseAddresses(bytes, bytes[13] ?? 0, end) : 'bad-command';
}

function parseAddresses(bytes: Buffer, family: number, end: number): ProxyHeader | ProxyFault {
  switch (family) {
    case Family.unspecified:
      return local;
    case Family.unixStream:
      // §2.2: a family that is of no use falls back to UNSPEC.
      return end - fixedBytes < unixBytes ? 'bad-address' : local;
    case Family.tcp4:
      return proxied(bytes, 4, ipv4Text, end);
    case Family.tcp6:
      return proxied(bytes, 16, ipv6Text, end);
    default:
      return 'bad-family';
  }
}

function proxied(
  bytes: Buffer,
  width: number,
  textOf: (octets: Buffer, at: number) => string,
  end: number,
): ProxyHeader | ProxyFault {
  const ports = fixedBytes + 2 * width;
  if (end < ports + 4) return 'bad-address';
  const facts = parseProxyFacts(bytes, ports + 4, end);
  if (typeof facts === 'string') return facts;
  return {
    kind: 'proxied',
    source: { address: textOf(bytes, fixedBytes), port: bytes.readUInt16BE(ports) },
    destination: { address: textOf(bytes, fixedBytes + width), port: bytes.readUInt16BE(ports + 2) },
    facts,
  };
}
