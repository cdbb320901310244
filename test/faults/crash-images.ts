/**
 * What a disk may hold after the power went at one moment of a recorded run (what is sure: recorded-tree.ts).
 *
 * Every write that has begun and is not sure may be there, may be missing, or may be there in some of its 512-byte
 * sectors, each for itself, in any order. Every change of a name that is not sure may have happened or not. Nothing that
 * lies below a missing name is there.
 *
 * Of overlapping writes a sector holds the last that reached it: that is what a page cache can do. File systems promise
 * more than this; what passes here passes on all of them.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Random } from '../support/random.js';
import type { RecordedTree, TreeNode } from './recorded-tree.js';
import type { Operation } from './recording.js';

/** Which of the writes that are not sure have reached the disk. */
export const imageModes = [
  'none',
  'one',
  'all',
  'random',
  'torn',
  'small first',
  'newest',
  'oldest',
] as const;
export type ImageMode = (typeof imageModes)[number];

const sectorBytes = 512;

/** Writes the image to `target`, which must not exist yet. @returns how many writes were not sure */
export function writeImage(
  { root }: RecordedTree,
  target: string,
  atNs: bigint,
  mode: ImageMode,
  random: Random,
): number {
  mkdirSync(target, { recursive: true });
  return writeDirectory(root, target, atNs, mode, random);
}

function writeDirectory(
  node: TreeNode,
  target: string,
  atNs: bigint,
  mode: ImageMode,
  random: Random,
): number {
  const sureBeforeNs = node.sureBeforeNs(atNs);
  const entries = new Map<string, TreeNode>();
  for (const { beginNs, endNs, changes } of node.names) {
    if (beginNs > atNs) continue;
    const isSure = endNs <= sureBeforeNs;
    if (!isSure && !hasHappened(mode, random)) continue;
    for (const change of changes) {
      if (change.kind === 'link') entries.set(change.name, change.node);
      else entries.delete(change.name);
    }
  }
  let unsure = 0;
  for (const [name, entry] of entries) {
    const path = join(target, name);
    if (entry.isDirectory) {
      mkdirSync(path);
      unsure += writeDirectory(entry, path, atNs, mode, random);
    } else {
      const { bytes, unsureWrites } = contentOf(entry, atNs, mode, random);
      writeFileSync(path, bytes);
      unsure += unsureWrites;
    }
  }
  return unsure;
}

/** Of a change of a name that is not sure. */
function hasHappened(mode: ImageMode, random: Random): boolean {
  if (mode === 'none' || mode === 'one') return false;
  return mode === 'all' || random.chance(0.5);
}

function contentOf(
  node: TreeNode,
  atNs: bigint,
  mode: ImageMode,
  random: Random,
): { bytes: Buffer; unsureWrites: number } {
  const begun = node.writes.filter((write) => write.beginNs <= atNs);
  const isSure = node.sureAt(atNs);
  const unsure = begun.filter((write) => !isSure(write));
  const cut = random.between(0, unsure.length);
  const reaches = new Map(unsure.map((write, index) => [write, shareOf(write, index, cut, mode, random)]));
  const extent = Math.max(0, ...begun.map((write) => write.offset + write.data.length));
  const content = Buffer.alloc(extent);
  let size = 0;
  for (const write of begun) {
    const share = reaches.get(write) ?? 1;
    if (share === 0) continue;
    if (write.op === 'truncate') {
      content.fill(0, Math.min(write.offset, extent));
      size = write.offset;
      continue;
    }
    size = Math.max(size, copy(write, content, share, random));
  }
  return { bytes: content.subarray(0, size), unsureWrites: unsure.length };
}

/** The share of its sectors that a write which is not sure has on the disk. */
function shareOf(write: Operation, index: number, cut: number, mode: ImageMode, random: Random): number {
  switch (mode) {
    case 'none':
      return 0;
    case 'one':
      return index === cut ? 1 : 0;
    case 'all':
      return 1;
    case 'random':
      return random.chance(0.5) ? 1 : 0;
    case 'torn':
      return random.chance(0.3) ? 1 : random.next();
    case 'small first':
      // Meta pages without the pages that they point to.
      return write.data.length < 4096 ? 1 : random.chance(0.2) ? random.next() : 0;
    case 'newest':
      return index >= cut ? 1 : 0;
    case 'oldest':
      return index < cut ? 1 : 0;
  }
}

/** Where the part that arrived ends. */
function copy(write: Operation, content: Buffer, share: number, random: Random): number {
  if (share === 1) {
    write.data.copy(content, write.offset);
    return write.offset + write.data.length;
  }
  let end = 0;
  for (let at = 0; at < write.data.length;) {
    const next = Math.min(write.data.length, at + sectorBytes - ((write.offset + at) % sectorBytes));
    if (random.chance(share)) {
      write.data.copy(content, write.offset + at, at, next);
      end = write.offset + next;
    }
    at = next;
  }
  return end;
}
