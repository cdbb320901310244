/**
 * The bytes of a record: length-prefixed fields, never delimiter text, so that nothing a client sends can be taken for
 * structure. What the fields mean is record.ts; nothing here knows a message.
 *
 *   record   = version(1 byte) field* crc32(4 bytes, of all before)
 *   field    = tag(1 byte) length(4 bytes, little-endian) value
 */
import { crc32 } from 'node:zlib';

import { PosternError } from '../base/errors.js';

// Of any bytes with their own CRC-32 after them, low byte first.
const crc32Residue = 0x2144df1c;
// UTF-8 takes at most three bytes for each UTF-16 unit.
const utf8BytesPerUnit = 3;
const fieldHeaderBytes = 5;
/** Above every tag that record.ts knows. */
const maxTags = 32;

/** Grows once to the largest envelope seen; what it made is copied out. */
export class FieldWriter {
  #buffer = Buffer.allocUnsafeSlow(4096);
  #at = 0;

  start(version: number): void {
    this.#at = this.#buffer.writeUInt8(version, 0);
  }

  text(tag: number, value: string): void {
    this.#reserve(fieldHeaderBytes + value.length * utf8BytesPerUnit);
    const length = this.#buffer.write(value, this.#at + fieldHeaderBytes, 'utf8');
    this.#header(tag, length);
    this.#at += length;
  }

  number(tag: number, value: number): void {
    this.#reserve(fieldHeaderBytes + 8);
    this.#header(tag, 8);
    this.#at = this.#buffer.writeDoubleLE(value, this.#at);
  }

  group(tag: number, write: () => void): void {
    this.#reserve(fieldHeaderBytes);
    const start = this.#at;
    this.#header(tag, 0);
    write();
    this.#buffer.writeUInt32LE(this.#at - start - fieldHeaderBytes, start + 1);
  }

  finish(): Buffer {
    this.#reserve(4);
    const checksum = crc32(this.#buffer.subarray(0, this.#at));
    this.#at = this.#buffer.writeUInt32LE(checksum, this.#at);
    return Buffer.from(this.#buffer.subarray(0, this.#at));
  }

  #header(tag: number, length: number): void {
    this.#buffer.writeUInt8(tag, this.#at);
    this.#buffer.writeUInt32LE(length, this.#at + 1);
    this.#at += fieldHeaderBytes;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#at + bytes));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

/**
 * The fields of one level: the last of each tag, and all of those that repeat. Used again and again, by one reader at a
 * time: a start with 100 000 messages reads as many records, and places in the bytes cost less than slices of them.
 */
export class Fields {
  #bytes: Buffer = Buffer.alloc(0);
  // By tag. A write beyond the end of a typed array is ignored, which is what is done with unknown tags.
  readonly #starts = new Int32Array(maxTags);
  readonly #ends = new Int32Array(maxTags);
  /** Of those that repeat: tag, start, end. */
  readonly #repeated: number[] = [];

  /**
   * @param repeating a bit for each tag that repeats
   * @throws PosternError SPOOL_CORRUPT (also all below)
   */
  open(bytes: Buffer, from: number, to: number, repeating: number): this {
    this.#bytes = bytes;
    this.#ends.fill(-1);
    this.#repeated.length = 0;
    let at = from;
    while (at < to) {
      if (at + fieldHeaderBytes > to) throw corrupt('a field is cut short');
      const tag = bytes.readUInt8(at);
      const start = at + fieldHeaderBytes;
      const end = start + bytes.readUInt32LE(at + 1);
      if (end > to) throw corrupt('a field runs past the end');
      if (tag < maxTags && (repeating & (1 << tag)) !== 0) this.#repeated.push(tag, start, end);
      this.#starts[tag] = start;
      this.#ends[tag] = end;
      at = end;
    }
    return this;
  }

  text(tag: number): string {
    const end = this.#required(tag);
    return this.#bytes.toString('utf8', this.#starts[tag], end);
  }

  /** As text, for a field that rarely differs from `last`: then that same string, and nothing is made. */
  textLike(tag: number, last: string): string {
    const end = this.#required(tag);
    const start = this.#starts[tag] ?? 0;
    return isAscii(this.#bytes, start, end, last) ? last : this.text(tag);
  }

  number(tag: number): number {
    const start = this.#required(tag) - 8;
    if (start !== this.#starts[tag]) throw corrupt(`field ${tag} is not a number`);
    return this.#bytes.readDoubleLE(start);
  }

  /** Undefined where the field was left out. */
  optionalText(tag: number): string | undefined {
    return this.#has(tag) ? this.text(tag) : undefined;
  }

  optionalNumber(tag: number): number | undefined {
    return this.#has(tag) ? this.number(tag) : undefined;
  }

  /** Each field of a tag that repeats, from where to where. */
  all<T>(tag: number, read: (bytes: Buffer, from: number, to: number) => T): T[] {
    const values: T[] = [];
    for (let i = 0; i < this.#repeated.length; i += 3)
      if (this.#repeated[i] === tag)
        values.push(read(this.#bytes, this.#repeated[i + 1] ?? 0, this.#repeated[i + 2] ?? 0));
    return values;
  }

  #has(tag: number): boolean {
    return (this.#ends[tag] ?? -1) >= 0;
  }

  /** Where it ends. */
  #required(tag: number): number {
    const end = this.#ends[tag] ?? -1;
    if (end < 0) throw corrupt(`field ${tag} is missing`);
    return end;
  }
}

function isAscii(bytes: Buffer, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) {
    const byte = bytes[start + i] ?? 0x80;
    if (byte >= 0x80 || byte !== text.charCodeAt(i)) return false;
  }
  return true;
}

/** The version of a record, and where its fields end; they begin behind the version. @throws PosternError SPOOL_CORRUPT */
export function openRecord(bytes: Buffer): { readonly version: number; readonly end: number } {
  if (bytes.length < 5) throw corrupt('an envelope is too short');
  const end = bytes.length - 4;
  if (crc32(bytes) !== crc32Residue) throw corrupt('an envelope fails its checksum');
  return { version: bytes.readUInt8(0), end };
}

export function corrupt(reason: string): PosternError {
  return new PosternError('SPOOL_CORRUPT', reason);
}
