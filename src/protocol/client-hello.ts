/**
 * Which host name a TLS client asks for: the server_name extension of its ClientHello (RFC 6066 §3), read from the octets
 * of the records before OpenSSL gets them. Pure: bytes in by `read`; the name, or that there is none to be had, out.
 * What is wrong with a hello is OpenSSL's to say: here it is 'other', and so is what is no hello at all.
 */

export type HelloEvent =
  | { readonly kind: 'more' }
  /** Of a hello that ends in the last chunk. */
  | { readonly kind: 'hello'; readonly serverName: string | undefined }
  | { readonly kind: 'other' };

const recordHeaderBytes = 5;
// RFC 8446 §5.1.
const maxRecordBytes = 2 ** 14;
// As much as one full record, in octets of the stream, so that records of one octet each gain nobody anything. With
// post-quantum keys and tickets that hold a certificate chain a hello has some 2 to 6 KiB.
const maxHelloBytes = recordHeaderBytes + maxRecordBytes;
// Doubled when it is full: those that come in pieces mostly fit in here.
const firstKeptBytes = 2048;

const handshakeRecord = 22;
const clientHello = 1;
const messageHeaderBytes = 4;
const versionAndRandomBytes = 2 + 32;
const serverNameExtension = 0;
const hostNameType = 0;
// RFC 1035 §2.3.4, and what OpenSSL takes.
const maxNameBytes = 255;

const more: HelloEvent = { kind: 'more' };
const other: HelloEvent = { kind: 'other' };
const nameless: HelloEvent = { kind: 'hello', serverName: undefined };
const nothing = Buffer.alloc(0);

export class ClientHelloReader {
  // Made when a hello comes in pieces. Full, it holds a hello or none that is waited for.
  #kept = nothing;
  #length = 0;
  /** Of the first record that is not whole yet. */
  #recordAt = 0;
  /** Of the handshake message, in the whole records; and how many there are in all, once that has been said. */
  #messageBytes = 0;
  #wantedBytes: number | undefined;

  /** Not called again after anything but 'more'. */
  read(chunk: Buffer): HelloEvent {
    const isFirst = this.#length === 0;
    const bytes = isFirst ? chunk.subarray(0, maxHelloBytes) : this.#append(chunk);
    const event = this.#look(bytes);
    if (event.kind !== 'more') return event;
    if (bytes.length === maxHelloBytes) return other;
    // A copy: the chunk may be a view on much more.
    if (isFirst) this.#append(chunk);
    this.#length = bytes.length;
    return more;
  }

  /** All that came before the last chunk. */
  get kept(): Buffer {
    return this.#kept.subarray(0, this.#length);
  }

  /** What was kept and as much of the chunk as a hello can have. */
  #append(chunk: Buffer): Buffer {
    const length = Math.min(this.#length + chunk.length, maxHelloBytes);
    if (length > this.#kept.length) {
      const larger = Buffer.alloc(Math.min(Math.max(2 * length, firstKeptBytes), maxHelloBytes));
      this.#kept.copy(larger, 0, 0, this.#length);
      this.#kept = larger;
    }
    chunk.copy(this.#kept, this.#length);
    return this.#kept.subarray(0, length);
  }

  /** OpenSSL too looks into a record when it is whole: nothing is answered later for the wait. */
  #look(bytes: Buffer): HelloEvent {
    for (;;) {
      const at = this.#recordAt;
      // At the first octet. RFC 8446 §5.1: the version that follows is ignored for all purposes.
      if (at < bytes.length && bytes[at] !== handshakeRecord) return other;
      if (bytes.length < at + recordHeaderBytes) return more;
      const length = bytes.readUInt16BE(at + 3);
      if (length === 0 || length > maxRecordBytes) return other;
      const end = at + recordHeaderBytes + length;
      if (bytes.length < end) return more;
      this.#recordAt = end;
      this.#messageBytes += length;
      const event = this.#lookAtMessage(bytes);
      if (event.kind !== 'more') return event;
    }
  }

  #lookAtMessage(bytes: Buffer): HelloEvent {
    if (this.#messageBytes < messageHeaderBytes) return more;
    if (this.#wantedBytes === undefined) {
      const header = messageIn(bytes, messageHeaderBytes);
      this.#wantedBytes = messageHeaderBytes + header.readUIntBE(1, 3);
      if (header[0] !== clientHello || this.#wantedBytes > maxHelloBytes) return other;
    }
    if (this.#messageBytes < this.#wantedBytes) return more;
    return readHello(messageIn(bytes, this.#wantedBytes).subarray(messageHeaderBytes));
  }
}

/** The first octets of the handshake message, whose records are whole. */
function messageIn(bytes: Buffer, count: number): Buffer {
  if (bytes.readUInt16BE(3) >= count) return bytes.subarray(recordHeaderBytes, recordHeaderBytes + count);
  const message = Buffer.alloc(count);
  let filled = 0;
  for (let at = 0; filled < count;) {
    const from = at + recordHeaderBytes;
    at = from + bytes.readUInt16BE(at + 3);
    filled += bytes.copy(message, filled, from, at);
  }
  return message;
}

/** RFC 8446 §4.1.2, which has the form of RFC 5246 §7.4.1.2. */
function readHello(body: Buffer): HelloEvent {
  const hello = new Fields(body);
  hello.take(versionAndRandomBytes);
  hello.vector(1); // session id
  hello.vector(2); // cipher suites
  hello.vector(1); // compression methods
  if (hello.isShort) return other;
  // RFC 5246 §7.4.1.2: extensions may be left out altogether.
  if (hello.isEmpty) return nameless;
  const extensions = new Fields(hello.vector(2));
  if (hello.isShort || !hello.isEmpty) return other;
  let found: Buffer | undefined;
  while (!extensions.isEmpty) {
    const type = extensions.number(2);
    const data = extensions.vector(2);
    if (extensions.isShort) return other;
    if (type !== serverNameExtension) continue;
    // RFC 8446 §4.2: each type once.
    if (found !== undefined) return other;
    found = data;
  }
  return found === undefined ? nameless : readServerName(found);
}

/** One host name and nothing else: RFC 6066 §3 allows one of each type, and no other type has ever been defined. */
function readServerName(data: Buffer): HelloEvent {
  const extension = new Fields(data);
  const list = new Fields(extension.vector(2));
  const type = list.number(1);
  const name = list.vector(2);
  if (extension.isShort || !extension.isEmpty || list.isShort || !list.isEmpty) return other;
  if (type !== hostNameType || name.length === 0 || name.length > maxNameBytes || name.includes(0))
    return other;
  return { kind: 'hello', serverName: name.toString('latin1') };
}

/** What TLS structures are made of (RFC 8446 §3), one after the other. */
class Fields {
  readonly #bytes: Buffer;
  #at = 0;
  /** More was asked for than there is: what was read since is nothing. */
  isShort = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isEmpty(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(count: number): Buffer {
    const from = this.#at;
    if (count > this.#bytes.length - from) {
      this.isShort = true;
      this.#at = this.#bytes.length;
      return nothing;
    }
    this.#at += count;
    return this.#bytes.subarray(from, this.#at);
  }

  number(width: 1 | 2): number {
    const from = this.#at;
    return this.take(width).length === width ? this.#bytes.readUIntBE(from, width) : 0;
  }

  /** With its length in front. */
  vector(width: 1 | 2): Buffer {
    return this.take(this.number(width));
  }
}
