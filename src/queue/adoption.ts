/**
 * Taking over a file of a process that is gone: every envelope into the index, every chunk without an envelope out
 * of the file. In slices, so that mail goes in and out meanwhile.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

import { describeError } from '../base/errors.js';
import type { Generation } from './generation.js';
import { chunkKey, chunksAfter, envelopesAfter, idOf } from './keys.js';
import { decodeRecord, type MessageRecord } from './record.js';

export interface AdoptionHost {
  /** True: the process goes down, stop. */
  readonly stopped: boolean;
  found(id: string, record: MessageRecord, generation: Generation): void;
  damaged(id: string, reason: string, generation: Generation): void;
  /** After each slice. */
  sliceDone(): void;
}

// A slice of 200 envelopes takes one or two milliseconds.
const sliceKeys = 200;

export async function scanGeneration(generation: Generation, host: AdoptionHost): Promise<void> {
  await scanEnvelopes(generation, host);
  // Where an envelope cannot be read, chunks only look as if they had none: they are for salvage.
  if (generation.damaged === 0) await removeOrphans(generation, host);
}

async function scanEnvelopes(generation: Generation, host: AdoptionHost): Promise<void> {
  let last = '';
  for (;;) {
    const { start, end } = envelopesAfter(last);
    const keys = host.stopped ? [] : generation.keys(start, end, sliceKeys);
    if (keys.length === 0) return;
    for (const key of keys) {
      last = idOf(key);
      scanOne(generation, last, host);
    }
    host.sliceDone();
    await nextTurn();
  }
}

function scanOne(generation: Generation, id: string, host: AdoptionHost): void {
  let record: MessageRecord;
  try {
    const bytes = generation.envelope(id);
    if (bytes === undefined) return;
    record = decodeRecord(bytes);
  } catch (error) {
    host.damaged(id, describeError(error), generation);
    return;
  }
  host.found(id, record, generation);
}

/** What a large message left whose envelope never came: its process died, or its client did. */
async function removeOrphans(generation: Generation, host: AdoptionHost): Promise<void> {
  let last = '';
  let seen = 0;
  for (;;) {
    const { start, end } = chunksAfter(last);
    const [key] = host.stopped ? [] : generation.keys(start, end, 1);
    if (key === undefined) return;
    last = idOf(key);
    if (generation.envelope(last) === undefined)
      generation.committer.remove({ id: last, chunks: countChunks(generation, last) });
    if (++seen % sliceKeys === 0) await nextTurn();
  }
}

function countChunks(generation: Generation, id: string): number {
  return generation.keys(chunkKey(id, 0), chunkKey(id, 0xffff_ffff), 0xffff_ffff).length;
}
