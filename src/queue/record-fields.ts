/**
 * The bytes of a record: length-prefixed fields, never delimiter text, so that nothing a client sends can be taken for
 * structure. What the fields mean is record.ts; nothing here knows a message.
 *
 *   record   = version(1 byte) field* crc32(4 bytes, of all before)
 *   field    = tag(1 byte) length(4 bytes, little-endian) value
 */
import { crc32 } from 'node:zlib';

import { PosternError } from '../base/errors.js';

// UTF-8 takes at most three bytes for each UTF-16 unit.
const utf8BytesPerUnit = 3;
const fieldHeaderBytes = 5;

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

/** The fields of one level: the last of each tag, and all of those that repeat. */
export class Fields {
  readonly #single = new Map<number, Buffer>();
  readonly #repeated = new Map<number, Buffer[]>();

  /** @throws PosternError SPOOL_CORRUPT (also all below) */
  constructor(bytes: Buffer, repeating: readonly number[]) {
    let at = 0;
    while (at < bytes.length) {
      if (at + fieldHeaderBytes > bytes.length) throw corrupt('a field is cut short');
      const tag = bytes.readUInt8(at);
      const end = at + fieldHeaderBytes + bytes.readUInt32LE(at + 1);
      if (end > bytes.length) throw corrupt('a field runs past the end');
      const value = bytes.subarray(at + fieldHeaderBytes, end);
      if (repeating.includes(tag)) this.#append(tag, value);
      else this.#single.set(tag, value);
      at = end;
    }
  }

  text(tag: number): string {
    return this.#required(tag).toString('utf8');
  }

  number(tag: number): number {
    const value = this.#required(tag);
    if (value.length !== 8) throw corrupt(`field ${tag} is not a number`);
    return value.readDoubleLE(0);
  }

  /** Undefined where the field was left out. */
  optionalText(tag: number): string | undefined {
    return this.#single.has(tag) ? this.text(tag) : undefined;
  }

  optionalNumber(tag: number): number | undefined {
    return this.#single.has(tag) ? this.number(tag) : undefined;
  }

  all(tag: number): readonly Buffer[] {
    return this.#repeated.get(tag) ?? [];
  }

  #append(tag: number, value: Buffer): void {
    const values = this.#repeated.get(tag);
    if (values === undefined) this.#repeated.set(tag, [value]);
    else values.push(value);
  }

  #required(tag: number): Buffer {
    const value = this.#single.get(tag);
    if (value === undefined) throw corrupt(`field ${tag} is missing`);
    return value;
  }
}

/** The version and the fields of a record. @throws PosternError SPOOL_CORRUPT */
export function openRecord(bytes: Buffer): { readonly version: number; readonly fields: Buffer } {
  if (bytes.length < 5) throw corrupt('an envelope is too short');
  const end = bytes.length - 4;
  if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32LE(end))
    throw corrupt('an envelope fails its checksum');
  return { version: bytes.readUInt8(0), fields: bytes.subarray(1, end) };
}

export function corrupt(reason: string): PosternError {
  return new PosternError('SPOOL_CORRUPT', reason);
}
