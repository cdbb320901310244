/**
 * One message on its way to disk. It owns the bytes that are received and not yet committed: at most one partial
 * chunk, and the chunks being written. A small message stays in memory until its commit; once it has grown past the
 * bound (or memory is short) its chunks go to disk while it arrives, and the envelope follows in the last
 * transaction. The spool makes it, and takes the message over when it is durable.
 */
import assert from 'node:assert';
import { crc32 } from 'node:zlib';

import { PosternError, describeError } from '../base/errors.js';
import { BudgetGroup, type Budget } from './budget-group.js';
import type { BudgetMember, ByteBudget } from './byte-budget.js';
import { chunkBytes, giveBack, growBuffer } from './chunk-buffers.js';
import type { Generation } from './generation.js';
import { chunkKey, envelopeKey } from './keys.js';
import { encodeRecord, type MessageRecord } from './record.js';
import type { MessageWriter, NewEnvelope, RestoreWriter, StoredEnvelope } from './spool.js';
import { newRecord, restoredRecord, type StoredBody } from './transitions.js';

/** What a writer needs of its spool. */
export interface WriterHost {
  readonly budget: ByteBudget;
  readonly smallMessageBytes: number;
  /** The file that takes new messages. */
  readonly generation: Generation;
  /** Why nothing is taken now; undefined while all is well. */
  readonly refusal: PosternError | undefined;
  /** A new message is durable. */
  stored(id: string, record: MessageRecord, generation: Generation): void;
  /** One that has a history is. */
  restored(id: string, record: MessageRecord, generation: Generation): void;
  ended(writer: SpoolWriter, generation: Generation | undefined): void;
}

// Of one message, in memory: enough for 50 MB/s on a disk whose fdatasync takes 20 ms. Memory does not grow with it.
const windowBytes = 2 ** 20;

interface Chunk {
  readonly buffer: Buffer;
  readonly length: number;
}

/** All but the envelope, which is what new and restored messages differ in. */
export abstract class SpoolWriter implements BudgetMember {
  readonly id: string;
  readonly #host: WriterHost;
  readonly #budget: Budget;
  onWritable: (() => void) | undefined = undefined;
  #state: 'open' | 'committing' | 'done' = 'open';
  #bytes = 0;
  #crc32 = 0;
  /** Full chunks that are not submitted: only while the message may still be small. */
  #held: Chunk[] = [];
  #partial: Buffer | undefined = undefined;
  #partialLength = 0;
  #chunks = 0;
  #writingBytes = 0;
  #congested = false;
  /** Bytes of it were turned away, so that it cannot be committed any more, whatever there is room for by then. */
  #refusal: PosternError | undefined = undefined;
  /** Chosen when the first chunk is submitted: one message lies in one file. */
  #generation: Generation | undefined = undefined;

  /** @param shares budgets beside the spool's own that it counts on as well */
  constructor(id: string, host: WriterHost, shares: readonly ByteBudget[] = []) {
    this.id = id;
    this.#host = host;
    this.#budget = shares.length === 0 ? host.budget : new BudgetGroup([host.budget, ...shares]);
    this.#budget.join(this);
  }

  get bytes(): number {
    return this.#bytes;
  }

  get congested(): boolean {
    return this.#congested;
  }

  get #inMemoryBytes(): number {
    return this.#held.length * chunkBytes + this.#partialLength;
  }

  write(slice: Buffer): void {
    this.#bytes += slice.length;
    // commit() will say so, the bytes need no memory until then.
    this.#refusal ??= this.#host.refusal;
    if (this.#refusal !== undefined) return;
    assert(this.#state === 'open', 'write after commit or abort');
    this.#keep(slice);
    this.#budget.received(slice.length);
    if (this.#bytes > this.#host.smallMessageBytes) this.#submitHeld();
    this.#feelCongestion();
  }

  /** @param durable what to tell the spool then */
  protected async commitRecord(
    make: (stored: StoredBody) => MessageRecord,
    durable: (record: MessageRecord, generation: Generation) => void,
  ): Promise<void> {
    const refusal = this.#refusal ?? this.#host.refusal;
    if (refusal !== undefined) {
      this.abort();
      throw refusal;
    }
    assert(this.#state === 'open', 'commit after commit or abort');
    this.#state = 'committing';
    this.#budget.leave(this);
    const sentAhead = this.#chunks > 0;
    try {
      await this.#commitLast(make, durable);
      this.#end();
    } catch (error) {
      if (this.#generation !== undefined && sentAhead) void this.#removeChunks(this.#generation);
      else this.#end();
      throw error;
    }
  }

  abort(): void {
    if (this.#state !== 'open') return;
    this.#budget.leave(this);
    this.#state = 'done';
    this.#forgetHeld();
    if (this.#generation === undefined) this.#end();
    else void this.#removeChunks(this.#generation);
  }

  wake(): void {
    this.#congested = false;
    this.onWritable?.();
  }

  spill(): number {
    const bytes = this.#inMemoryBytes;
    if (bytes === 0) return 0;
    this.#sealPartial();
    this.#submitHeld();
    return bytes;
  }

  #keep(slice: Buffer): void {
    let from = 0;
    while (from < slice.length) {
      const part = Math.min(slice.length - from, chunkBytes - this.#partialLength);
      const length = this.#partialLength + part;
      if (this.#partial === undefined || this.#partial.length < length)
        this.#partial = growBuffer(this.#partial, this.#partialLength, length);
      slice.copy(this.#partial, this.#partialLength, from, from + part);
      this.#partialLength = length;
      from += part;
      if (length === chunkBytes) this.#sealPartial();
    }
  }

  #sealPartial(): void {
    if (this.#partial === undefined || this.#partialLength === 0) return;
    // Here and not per slice: a body whose every line has a stuffed dot comes in slices of a few bytes.
    this.#crc32 = crc32(this.#partial.subarray(0, this.#partialLength), this.#crc32);
    this.#held.push({ buffer: this.#partial, length: this.#partialLength });
    this.#partial = undefined;
    this.#partialLength = 0;
  }

  #submitHeld(): void {
    const held = this.#held;
    this.#held = [];
    for (const chunk of held) this.#submit(chunk);
  }

  #submit(chunk: Chunk): void {
    const generation = this.#pinGeneration();
    const key = chunkKey(this.id, this.#chunks++);
    const value = chunk.buffer.subarray(0, chunk.length);
    this.#writingBytes += chunk.length;
    this.#budget.submitted(chunk.length);
    generation.takenBytes += chunk.length;
    void this.#await(
      generation.committer.submit('bulk', {
        bytes: chunk.length,
        messages: 0,
        write: (env) => env.put(key, value),
      }),
      chunk,
    );
  }

  async #await(written: Promise<void>, chunk: Chunk): Promise<void> {
    try {
      await written;
      giveBack(chunk.buffer);
    } catch (error) {
      // The spool knows of a failed commit from the committer; the client hears of either from commit().
      this.#refusal ??= asRefusal(error);
    }
    this.#chunkWritten(chunk);
  }

  #chunkWritten(chunk: Chunk): void {
    this.#writingBytes -= chunk.length;
    this.#budget.written(chunk.length);
    if (this.#congested && this.#state === 'open' && this.#writingBytes <= windowBytes / 2)
      this.#resumeWhenRoom();
  }

  #resumeWhenRoom(): void {
    if (this.#budget.exhausted) this.#budget.wait(this);
    else this.wake();
  }

  #feelCongestion(): void {
    if (this.#congested) return;
    if (this.#writingBytes >= windowBytes) this.#congested = true;
    else if (this.#budget.exhausted) {
      this.#congested = true;
      this.#budget.wait(this);
    }
  }

  #pinGeneration(): Generation {
    if (this.#generation === undefined) {
      this.#generation = this.#host.generation;
      this.#generation.writers++;
    }
    return this.#generation;
  }

  /** What is still in memory and the envelope, in one transaction: the message exists from here on. */
  async #commitLast(
    make: (stored: StoredBody) => MessageRecord,
    durable: (record: MessageRecord, generation: Generation) => void,
  ): Promise<void> {
    const budget = this.#budget;
    const lane = this.#chunks > 0 ? 'bulk' : 'urgent';
    const bytes = this.#inMemoryBytes;
    this.#sealPartial();
    const firstIndex = this.#chunks;
    const last = this.#held;
    this.#held = [];
    this.#chunks += last.length;
    const record = make({ bytes: this.#bytes, chunks: this.#chunks, crc32: this.#crc32 });
    const encoded = encodeRecord(record);
    const generation = this.#pinGeneration();
    generation.takenBytes += bytes + encoded.length;
    budget.submitted(bytes);
    try {
      await generation.committer.submit(lane, {
        bytes: bytes + encoded.length,
        messages: 1,
        write: (env) => {
          last.forEach((chunk, i) => {
            env.put(chunkKey(this.id, firstIndex + i), chunk.buffer.subarray(0, chunk.length));
          });
          env.put(envelopeKey(this.id), encoded);
        },
      });
      for (const chunk of last) giveBack(chunk.buffer);
      durable(record, generation);
    } finally {
      budget.written(bytes);
    }
  }

  async #removeChunks(generation: Generation): Promise<void> {
    try {
      // Behind its chunks in their lane: what is on disk by then is removed again.
      await generation.committer.submit('bulk', {
        bytes: 0,
        messages: 0,
        whenFull: 'wait',
        write: () => undefined,
      });
      generation.committer.remove({ id: this.id, chunks: this.#chunks });
    } catch {
      // A failed commit, known to the spool: the chunks are swept up when the file is adopted.
    } finally {
      this.#end();
    }
  }

  #end(): void {
    this.#state = 'done';
    this.#forgetHeld();
    if (this.#generation !== undefined) this.#generation.writers--;
    this.#host.ended(this, this.#generation);
  }

  #forgetHeld(): void {
    const bytes = this.#inMemoryBytes;
    for (const chunk of this.#held) giveBack(chunk.buffer);
    if (this.#partial !== undefined) giveBack(this.#partial);
    this.#held = [];
    this.#partial = undefined;
    this.#partialLength = 0;
    if (bytes > 0) this.#budget.dropped(bytes);
  }
}

function asRefusal(error: unknown): PosternError {
  return error instanceof PosternError
    ? error
    : new PosternError('SPOOL_COMMIT', describeError(error), error);
}

export class NewMessageWriter extends SpoolWriter implements MessageWriter {
  readonly #host: WriterHost;

  constructor(id: string, host: WriterHost, shares?: readonly ByteBudget[]) {
    super(id, host, shares);
    this.#host = host;
  }

  async commit(envelope: NewEnvelope): Promise<void> {
    assert(envelope.recipients.length > 0, 'a message without recipients');
    await this.commitRecord(
      (stored) => newRecord(envelope, stored),
      (record, generation) => this.#host.stored(this.id, record, generation),
    );
  }
}

export class StoredMessageWriter extends SpoolWriter implements RestoreWriter {
  readonly #host: WriterHost;

  constructor(id: string, host: WriterHost) {
    super(id, host);
    this.#host = host;
  }

  async commit(envelope: StoredEnvelope): Promise<void> {
    assert(envelope.recipients.length > 0, 'a message without recipients');
    await this.commitRecord(
      (stored) => restoredRecord(envelope, stored),
      (record, generation) => this.#host.restored(this.id, record, generation),
    );
  }
}
