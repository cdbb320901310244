/**
 * From a recorded run to a verdict: crash images of many moments, each opened by the queue and held against what its
 * senders had been told by then.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { writeImage } from './crash-images.js';
import { ImageChecker, type ImageReport } from './image-checker.js';
import { inMemory } from './in-memory.js';
import { chooseMoments, type Moment } from './moments.js';
import { toNanoseconds } from './monotonic.js';
import type { Sent } from './oracle.js';
import type { Random } from '../support/random.js';
import { RecordedTree } from './recorded-tree.js';
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
  readonly moment: Moment;
  readonly faults: readonly string[];
}

export interface PowerLossVerdict {
  readonly images: number;
  /** Writes that were not on disk for sure, all images together. */
  readonly unsureWrites: number;
  /** Acknowledged messages that had to be there, all images together. */
  readonly required: number;
  readonly faulty: readonly ImageFault[];
  /** As in Choice. */
  readonly answers: number;
  readonly early: number;
  /** Those of them whose image held the message all the same: the record was misread. */
  readonly earlyAndKept: readonly string[];
}

/** Tried at so many moments, each with one way of losing what was not synced. */
export async function tryImages(run: Run, images: number, random: Random): Promise<PowerLossVerdict> {
  // Images are read once: memory is as good as a disk for them.
  const base = mkdtempSync(join(inMemory, 'postern-images-'));
  const checker = new ImageChecker();
  const tree = new RecordedTree(run.operations, run.root);
  const { moments, answers, early } = chooseMoments(run, tree, images, random);
  const faulty: ImageFault[] = [];
  const earlyAndKept: string[] = [];
  let unsureWrites = 0;
  let sumRequired = 0;
  try {
    for (const [n, moment] of moments.entries()) {
      const target = join(base, `image-${n}`);
      unsureWrites += writeImage(tree, target, toNanoseconds(moment.atMs), moment.mode, random);
      const report = await checker.check(target, random.chance(0.25));
      const { required, faults } = judgeImage(report, run, moment.atMs);
      sumRequired += required;
      if (faults.length > 0) faulty.push({ moment, faults });
      if (moment.early !== undefined && !faults.includes(`lost: ${moment.early}`))
        earlyAndKept.push(moment.early);
      rmSync(target, { recursive: true });
    }
  } finally {
    await checker.close();
    rmSync(base, { recursive: true, force: true });
  }
  return { images, unsureWrites, required: sumRequired, faulty, answers, early, earlyAndKept };
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
