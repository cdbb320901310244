/**
 * From a recorded run to a verdict: crash images of many moments, each opened by the queue and held against what its
 * senders had been told by then.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { CrashImages, imageModes, type ImageMode } from './crash-images.js';
import { ImageChecker, type ImageReport } from './image-checker.js';
import { inMemory } from './in-memory.js';
import { toNanoseconds } from './monotonic.js';
import type { Sent } from './oracle.js';
import type { Random } from '../support/random.js';
import type { Operation } from './recording.js';

export interface Run {
  readonly operations: readonly Operation[];
  /** What was recorded: the data directory. */
  readonly root: string;
  readonly sent: ReadonlyMap<string, Sent>;
  /** When a message was first out of our hands: from then on it may be gone. */
  readonly deliveredAtMs: ReadonlyMap<string, number>;
  /** No image is of a later moment. */
  readonly endMs: number;
}

interface ImageFault {
  readonly image: string;
  readonly mode: ImageMode;
  readonly atMs: number;
  readonly faults: readonly string[];
}

export interface PowerLossVerdict {
  readonly images: number;
  /** Writes that were not on disk for sure, all images together. */
  readonly unsureWrites: number;
  /** Acknowledged messages that had to be there, all images together. */
  readonly required: number;
  readonly faulty: readonly ImageFault[];
}

/** Tried at so many moments, each with one way of losing what was not synced. */
export async function tryImages(run: Run, images: number, random: Random): Promise<PowerLossVerdict> {
  // Images are read once: memory is as good as a disk for them.
  const base = mkdtempSync(join(inMemory, 'postern-images-'));
  const checker = new ImageChecker();
  const builder = new CrashImages(run.operations, run.root);
  const verdict = { images, unsureWrites: 0, required: 0, faulty: [] as ImageFault[] };
  try {
    for (let n = 0; n < images; n++) {
      const atMs = momentOf(run, random);
      const mode = random.pick(imageModes);
      const target = join(base, `image-${n}`);
      verdict.unsureWrites += builder.write(target, toNanoseconds(atMs), mode, random);
      const report = await checker.check(target, random.chance(0.25));
      const { required, faults } = judgeImage(report, run, atMs);
      verdict.required += required;
      if (faults.length > 0) verdict.faulty.push({ image: `${n}`, mode, atMs, faults });
      rmSync(target, { recursive: true });
    }
  } finally {
    await checker.close();
    rmSync(base, { recursive: true, force: true });
  }
  return verdict;
}

// From the making of a queue file to its first commit.
const makingMs = 5;

/**
 * One in five each: at any time; in the middle of a sync, when a whole commit is not sure; in the middle of a write;
 * while a file is made; just after a sender had its 250.
 */
function momentOf(run: Run, random: Random): number {
  const [first] = run.operations;
  if (first === undefined) throw new Error('nothing was recorded');
  const startMs = Number(first.beginNs) / 1e6;
  const kind = random.between(0, 4);
  const acked = kind === 4 ? [...run.sent.values()].filter(({ outcome }) => outcome === 'acked') : [];
  if (acked.length > 0) return Math.min(run.endMs, random.pick(acked).answeredAtMs + 0.001);
  if (kind === 0) return startMs + random.next() * (run.endMs - startMs);
  const wanted = (['sync', 'write', 'create'] as const)[kind - 1];
  const { beginNs, endNs } = random.pick(run.operations.filter(({ op }) => op === wanted));
  const lengthMs = wanted === 'create' ? makingMs : Number(endNs - beginNs) / 1e6;
  return Math.min(run.endMs, Number(beginNs) / 1e6 + random.next() * lengthMs);
}

/** What is wrong with what the queue found, for what its senders had been told by then; `required` had to be there. */
export function judgeImage(
  { messages, damaged }: ImageReport,
  { sent, deliveredAtMs }: Pick<Run, 'sent' | 'deliveredAtMs'>,
  atMs: number,
): { required: number; faults: string[] } {
  const faults = [...damaged];
  const present = new Set<string>();
  for (const { id, sha256, error } of messages) {
    present.add(id);
    const origin = sent.get(id);
    if (error !== undefined) faults.push(`unreadable: ${error}`);
    else if (origin === undefined) faults.push(`invented: ${id}`);
    else if (origin.sha256 !== sha256) faults.push(`changed: ${id}`);
    else if (origin.outcome === 'refused' && origin.answeredAtMs <= atMs)
      faults.push(`refused and stored: ${id}`);
  }
  let required = 0;
  for (const [id, { outcome, answeredAtMs }] of sent) {
    if (outcome !== 'acked' || answeredAtMs > atMs || (deliveredAtMs.get(id) ?? Infinity) <= atMs) continue;
    required += 1;
    if (!present.has(id)) faults.push(`lost: ${id}`);
  }
  return { required, faults };
}
