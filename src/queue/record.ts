/**
 * The envelope of a message as it lies in the store: length-prefixed fields, never delimiter text, so that nothing a
 * client sends can be taken for structure. Every field has a tag and a length; an unknown tag is skipped, so that a
 * record of a later 1.x can be read. Pure: bytes in, record out, and back.
 *
 *   record   = version(1 byte) field* crc32(4 bytes, of all before)
 *   field    = tag(1 byte) length(4 bytes, little-endian) value
 */
import { crc32 } from 'node:zlib';

import { PosternError } from '../base/errors.js';
import type { NewEnvelope, QueuedRecipient, RecipientState } from './spool.js';

/** Where a message stands with one of its routes. */
export interface RouteProgress {
  readonly route: string;
  readonly nextAttemptAtMs: number;
  /** Begun; the first is counted when the message is stored. */
  readonly attempts: number;
  /** An attempt has ended. */
  readonly tried: boolean;
}

/** Immutable: a change makes a new one (transitions.ts). */
export interface MessageRecord extends Omit<NewEnvelope, 'recipients'> {
  readonly recipients: readonly QueuedRecipient[];
  /** One per route of the recipients. */
  readonly routes: readonly RouteProgress[];
  readonly held: boolean;
  /** Stored bytes, in how many chunks, and their checksum: what is checked before relaying. */
  readonly bytes: number;
  readonly chunks: number;
  readonly crc32: number;
}

export const recordVersion = 1;

const Tag = {
  complete: 1,
  reversePath: 2,
  body: 3,
  smtpUtf8: 4,
  arrivedAtMs: 5,
  listener: 6,
  clientAddress: 7,
  clientName: 8,
  user: 9,
  sessionId: 10,
  held: 11,
  bytes: 12,
  chunks: 13,
  crc32: 14,
  recipient: 15,
  route: 16,
} as const;

const RecipientTag = { address: 1, route: 2, state: 3, lastReply: 4 } as const;
const RouteTag = { route: 1, nextAttemptAtMs: 2, attempts: 3, tried: 4 } as const;

const recipientStates: readonly RecipientState[] = ['pending', 'delivered', 'failed'];
const bodies = [undefined, '7BIT', '8BITMIME'] as const;

// UTF-8 takes at most three bytes for each UTF-16 unit.
const utf8BytesPerUnit = 3;
const fieldHeaderBytes = 5;

/** Grows once to the largest envelope seen; what it made is copied out. */
class FieldWriter {
  #buffer = Buffer.allocUnsafeSlow(4096);
  #at = 0;

  start(): void {
    this.#at = this.#buffer.writeUInt8(recordVersion, 0);
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

const writer = new FieldWriter();

export function encodeRecord(record: MessageRecord): Buffer {
  writer.start();
  writer.text(Tag.reversePath, record.reversePath);
  writer.number(Tag.body, bodies.indexOf(record.body));
  writer.number(Tag.smtpUtf8, Number(record.smtpUtf8));
  writer.number(Tag.arrivedAtMs, record.arrivedAtMs);
  writer.text(Tag.listener, record.listener);
  writer.text(Tag.clientAddress, record.clientAddress);
  writer.text(Tag.clientName, record.clientName);
  writer.text(Tag.user, record.user);
  writer.text(Tag.sessionId, record.sessionId);
  writer.number(Tag.held, Number(record.held));
  writer.number(Tag.bytes, record.bytes);
  writer.number(Tag.chunks, record.chunks);
  writer.number(Tag.crc32, record.crc32);
  for (const recipient of record.recipients) writer.group(Tag.recipient, () => writeRecipient(recipient));
  for (const route of record.routes) writer.group(Tag.route, () => writeRoute(route));
  writer.number(Tag.complete, 1);
  return writer.finish();
}

function writeRecipient(recipient: QueuedRecipient): void {
  writer.text(RecipientTag.address, recipient.address);
  writer.text(RecipientTag.route, recipient.route);
  writer.number(RecipientTag.state, recipientStates.indexOf(recipient.state));
  writer.text(RecipientTag.lastReply, recipient.lastReply);
}

function writeRoute(route: RouteProgress): void {
  writer.text(RouteTag.route, route.route);
  writer.number(RouteTag.nextAttemptAtMs, route.nextAttemptAtMs);
  writer.number(RouteTag.attempts, route.attempts);
  writer.number(RouteTag.tried, Number(route.tried));
}

/** The fields of one level: the last of each tag, and all of those that repeat. */
class Fields {
  readonly #single = new Map<number, Buffer>();
  readonly #repeated = new Map<number, Buffer[]>();

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

/**
 * @throws PosternError SPOOL_FORMAT for a record of a newer version, SPOOL_CORRUPT when the checksum or a field is wrong
 */
export function decodeRecord(bytes: Buffer): MessageRecord {
  if (bytes.length < 5) throw corrupt('an envelope is too short');
  const end = bytes.length - 4;
  if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32LE(end))
    throw corrupt('an envelope fails its checksum');
  const version = bytes.readUInt8(0);
  if (version > recordVersion)
    throw new PosternError(
      'SPOOL_FORMAT',
      `envelope version ${version}; this Postern reads up to ${recordVersion}`,
    );
  const fields = new Fields(bytes.subarray(1, end), [Tag.recipient, Tag.route]);
  if (fields.number(Tag.complete) !== 1) throw corrupt('an envelope is not complete');
  return {
    reversePath: fields.text(Tag.reversePath),
    body: bodies[fields.number(Tag.body)],
    smtpUtf8: fields.number(Tag.smtpUtf8) === 1,
    arrivedAtMs: fields.number(Tag.arrivedAtMs),
    listener: fields.text(Tag.listener),
    clientAddress: fields.text(Tag.clientAddress),
    clientName: fields.text(Tag.clientName),
    user: fields.text(Tag.user),
    sessionId: fields.text(Tag.sessionId),
    held: fields.number(Tag.held) === 1,
    bytes: fields.number(Tag.bytes),
    chunks: fields.number(Tag.chunks),
    crc32: fields.number(Tag.crc32),
    recipients: fields.all(Tag.recipient).map(readRecipient),
    routes: fields.all(Tag.route).map(readRoute),
  };
}

function readRecipient(bytes: Buffer): QueuedRecipient {
  const fields = new Fields(bytes, []);
  const state = recipientStates[fields.number(RecipientTag.state)];
  if (state === undefined) throw corrupt('a recipient has an unknown state');
  return {
    address: fields.text(RecipientTag.address),
    route: fields.text(RecipientTag.route),
    state,
    lastReply: fields.text(RecipientTag.lastReply),
  };
}

function readRoute(bytes: Buffer): RouteProgress {
  const fields = new Fields(bytes, []);
  return {
    route: fields.text(RouteTag.route),
    nextAttemptAtMs: fields.number(RouteTag.nextAttemptAtMs),
    attempts: fields.number(RouteTag.attempts),
    tried: fields.number(RouteTag.tried) === 1,
  };
}

function corrupt(reason: string): PosternError {
  return new PosternError('SPOOL_CORRUPT', reason);
}
