/**
 * An export of the queue: text, one JSON object a line, written and read as a stream, so that it can go through a pipe
 * and holds queues of any size. It proves itself: each message carries its checksum, and the last line the number of
 * messages, so that neither a changed nor a cut-off export is taken for a whole one.
 *
 *   {"export":"postern-queue","version":1,"hostname":"mx1.example.org","at":"2026-03-01T12:00:00.000Z"}
 *   {"message":"1M81GXG2T3PYZNHK","bytes":700000,"envelope":{…}}     envelope: StoredEnvelope of queue/spool.ts
 *   {"data":"UmVjZWl2ZWQ6…"}                                         base64, at most 512 KiB of the stored message
 *   {"data":"…"}                                                      as many as there are bytes; none if there are none
 *   {"end":"1M81GXG2T3PYZNHK","sha256":"9f86d0…"}                     of the message line with its LF, then the bytes
 *   {"gone":"1M81GXG2T3PYZNHM"}                                       instead of "end": it left the queue while it was
 *                                                                     read, and is not part of the export
 *   {"messages":1}                                                    the last line: how many ended with "end"
 *
 * The reader here checks all of it and knows no server; queue-export.ts writes, queue-import.ts stores what is read.
 */
import { createHash, type Hash } from 'node:crypto';
import { PosternError } from '../base/errors.js';
import { isQueueId } from '../base/ids.js';

export const exportName = 'postern-queue';
export const exportVersion = 1;
export const pieceBytes = 512 * 1024;
// The envelope of a message with 100 000 recipients; everything else is far shorter.
const maxLineBytes = 48 * 1024 * 1024;
const lineFeed = 0x0a;

export interface ExportedMessage {
  readonly id: string;
  readonly bytes: number;
  readonly envelope: Readonly<Record<string, unknown>>;
}

/** What a reader is told, in this order for each message: message, data…, end or gone. Then total, once. */
export type ExportPart =
  | { readonly kind: 'message'; readonly message: ExportedMessage }
  | { readonly kind: 'data'; readonly data: Buffer }
  /** All its bytes were there, and the checksum is right. */
  | { readonly kind: 'end'; readonly message: ExportedMessage }
  | { readonly kind: 'gone'; readonly message: ExportedMessage }
  | { readonly kind: 'total'; readonly messages: number };

/** Hashes a message as the format says. */
export function messageHash(messageLine: string | Buffer): Hash {
  return createHash('sha256').update(messageLine).update('\n');
}

/** Checks while it reads. @throws PosternError BAD_IMPORT, with the line and the message at which it is wrong */
export async function* readExport(source: AsyncIterable<Buffer>): AsyncGenerator<ExportPart, void, void> {
  const check = new ExportCheck();
  for await (const line of linesOf(source, check)) {
    const part = check.line(line);
    if (part !== undefined) yield part;
  }
  check.finish();
}

/** Lines without their LF. @throws PosternError BAD_IMPORT */
async function* linesOf(
  source: AsyncIterable<Buffer>,
  check: ExportCheck,
): AsyncGenerator<Buffer, void, void> {
  let kept: Buffer[] = [];
  let keptBytes = 0;
  for await (const chunk of source) {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
      kept.push(chunk.subarray(start, end));
      yield kept.length === 1 && kept[0] !== undefined ? kept[0] : Buffer.concat(kept);
      kept = [];
      keptBytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) kept.push(chunk.subarray(start));
    keptBytes += chunk.length - start;
    if (keptBytes > maxLineBytes) throw check.faultAhead('the line is too long');
  }
  if (keptBytes > 0) throw check.faultAhead('it is cut off in the middle of this line');
}

class ExportCheck {
  #lines = 0;
  #state: 'start' | 'between' | 'message' | 'over' = 'start';
  #message: ExportedMessage | undefined;
  #last = '';
  #hash: Hash | undefined;
  #bytes = 0;
  #whole = 0;

  line(text: Buffer): ExportPart | undefined {
    this.#lines++;
    const line = this.#parse(text);
    switch (this.#state) {
      case 'start':
        return this.#begin(line);
      case 'between':
        return 'messages' in line ? this.#end(line['messages']) : this.#beginMessage(line, text);
      case 'message':
        return 'data' in line ? this.#data(line['data']) : this.#endMessage(line);
      case 'over':
        throw this.fault('there is more behind its last line');
    }
  }

  finish(): void {
    if (this.#state === 'start') throw this.fault('it is empty');
    if (this.#state !== 'over') throw this.fault('it is cut off: its last line is missing');
  }

  fault(what: string): PosternError {
    const where =
      this.#message !== undefined
        ? `in message ${this.#message.id}`
        : this.#last === ''
          ? 'before the first message'
          : `after message ${this.#last}`;
    return new PosternError('BAD_IMPORT', `the export is damaged at line ${this.#lines}, ${where}: ${what}`);
  }

  /** Of the line that has not come to its end. */
  faultAhead(what: string): PosternError {
    this.#lines++;
    return this.fault(what);
  }

  #parse(text: Buffer): Readonly<Record<string, unknown>> {
    let value: unknown;
    try {
      value = JSON.parse(text.toString('utf8'));
    } catch {
      throw this.fault('that is no JSON');
    }
    if (!isRecord(value)) throw this.fault('that is no JSON object');
    return value;
  }

  #begin(line: Readonly<Record<string, unknown>>): undefined {
    if (line['export'] !== exportName) throw this.fault('that is no export of `postern queue export`');
    const { version } = line;
    if (typeof version === 'number' && version > exportVersion) throw newerExport(version);
    if (version !== exportVersion)
      throw this.fault(`its version is ${String(version)}, and this Postern reads ${exportVersion}`);
    this.#state = 'between';
  }

  #beginMessage(line: Readonly<Record<string, unknown>>, text: Buffer): ExportPart {
    const { message: id, bytes, envelope } = line;
    if (typeof id !== 'string' || !isQueueId(id)) throw this.fault('expected a message with its id');
    if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0)
      throw this.fault(`the length of message ${id} is missing`);
    if (!isRecord(envelope)) throw this.fault(`the envelope of message ${id} is missing`);
    this.#state = 'message';
    this.#message = { id, bytes, envelope };
    this.#hash = messageHash(text);
    this.#bytes = 0;
    return { kind: 'message', message: this.#message };
  }

  #data(text: unknown): ExportPart {
    if (typeof text !== 'string' || text.length > pieceBytes * 2)
      throw this.fault('data is no text in pieces');
    const data = Buffer.from(text, 'base64');
    if (data.toString('base64') !== text) throw this.fault('data is not base64');
    this.#hash?.update(data);
    this.#bytes += data.length;
    if (this.#bytes > (this.#message?.bytes ?? 0)) throw this.fault('it has more bytes than announced');
    return { kind: 'data', data };
  }

  #endMessage(line: Readonly<Record<string, unknown>>): ExportPart {
    const message = this.#message;
    if (message === undefined) throw new TypeError('no message is open');
    if (line['gone'] === message.id) return this.#close({ kind: 'gone', message });
    if (line['end'] !== message.id) throw this.fault('expected its data or its end');
    if (this.#bytes !== message.bytes)
      throw this.fault(`it has ${this.#bytes} bytes, ${message.bytes} were announced`);
    if (line['sha256'] !== this.#hash?.digest('hex')) throw this.fault('its checksum is wrong');
    this.#whole++;
    return this.#close({ kind: 'end', message });
  }

  #close(part: ExportPart & { readonly message: ExportedMessage }): ExportPart {
    this.#last = part.message.id;
    this.#message = undefined;
    this.#state = 'between';
    return part;
  }

  #end(messages: unknown): ExportPart {
    if (messages !== this.#whole)
      throw this.fault(`it has ${this.#whole} messages, its last line says ${String(messages)}`);
    this.#state = 'over';
    return { kind: 'total', messages: this.#whole };
  }
}

function newerExport(version: number): PosternError {
  const message = `the export is of a newer Postern: its version is ${version}, this one reads ${exportVersion}. Import it with that Postern, or a later one`;
  return new PosternError('BAD_IMPORT', message);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
