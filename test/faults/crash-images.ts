/**
 * What a disk may hold after the power went at one moment of a recorded run. Strict: only what was synced is sure.
 *
 * - A write is sure once an fsync or fdatasync of its file began after the write had ended, and has ended by then; a
 *   write through O_DSYNC is sure when it has ended. Every other write that has begun may be there, may be missing, or
 *   may be there in some of its 512-byte sectors, each for itself, in any order.
 * - A name in a directory (new, renamed, removed) is sure once an fsync of that directory began after it. Every other
 *   change of a name may have happened or not. Nothing that lies below a missing name is there.
 *
 * Of overlapping writes a sector holds the last that reached it: that is what a page cache can do. File systems promise
 * more than this; what passes here passes on all of them.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import type { Random } from '../support/random.js';
import type { Operation } from './recording.js';

/** Which of the writes that are not sure have reached the disk. */
export const imageModes = ['none', 'all', 'random', 'torn', 'small first', 'newest', 'oldest'] as const;
export type ImageMode = (typeof imageModes)[number];

const sectorBytes = 512;

type NameChange =
  | { readonly kind: 'link'; readonly name: string; readonly node: Node }
  | { readonly kind: 'unlink'; readonly name: string };

interface Dated {
  readonly beginNs: bigint;
  readonly endNs: bigint;
}

class Node {
  readonly syncs: Dated[] = [];
  /** Of a file. */
  readonly writes: Operation[] = [];
  /** Of a directory; a rename within it is two changes of one operation. */
  readonly names: (Dated & { readonly changes: readonly NameChange[] })[] = [];
  readonly isDirectory: boolean;

  constructor(isDirectory: boolean) {
    this.isDirectory = isDirectory;
  }

  /** The latest begin of a sync that had ended by then: what ended before it is sure. */
  sureBeforeNs(atNs: bigint): bigint {
    let latest = 0n;
    for (const { beginNs, endNs } of this.syncs) if (endNs <= atNs && beginNs > latest) latest = beginNs;
    return latest;
  }
}

export class CrashImages {
  readonly #root = new Node(true);

  /** @param root the directory that was recorded; it was there, and its own name sure, before the run */
  constructor(operations: readonly Operation[], root: string) {
    // Inode numbers are used again: each belongs to the last file made with it. The root's is learnt from its path.
    const byInode = new Map<bigint, Node>();
    const byPath = new Map<string, Node>([[root, this.#root]]);
    const parentOf = (path: string): Node => {
      const parent = byPath.get(dirname(path));
      if (parent === undefined) throw new Error(`${path} was made in a directory that is not in the record`);
      return parent;
    };
    for (const operation of operations) {
      const { op, path, to, inode } = operation;
      if (op === 'create' || op === 'mkdir') {
        const node = new Node(op === 'mkdir');
        byInode.set(inode, node);
        byPath.set(path, node);
        parentOf(path).names.push({
          ...dated(operation),
          changes: [{ kind: 'link', name: basename(path), node }],
        });
      } else if (op === 'unlink') {
        byPath.delete(path);
        parentOf(path).names.push({
          ...dated(operation),
          changes: [{ kind: 'unlink', name: basename(path) }],
        });
      } else if (op === 'rename') {
        const node = byPath.get(path);
        if (node === undefined) throw new Error(`${path} was renamed and is not in the record`);
        byPath.delete(path);
        byPath.set(to, node);
        // Never neither: journals keep a rename whole. Which side is sure is told by the directory that it went to.
        const changes: NameChange[] = [{ kind: 'link', name: basename(to), node }];
        if (dirname(to) === dirname(path)) changes.unshift({ kind: 'unlink', name: basename(path) });
        else
          parentOf(path).names.push({
            ...dated(operation),
            changes: [{ kind: 'unlink', name: basename(path) }],
          });
        parentOf(to).names.push({ ...dated(operation), changes });
      } else {
        const node = path === root ? this.#root : byInode.get(inode);
        // Files that were there before the run (none of the queue's) are not looked at.
        if (node === undefined) continue;
        if (op === 'sync') node.syncs.push(dated(operation));
        else node.writes.push(operation);
      }
    }
  }

  /** Writes the image to `target`, which must not exist yet. @returns how many writes were not sure */
  write(target: string, atNs: bigint, mode: ImageMode, random: Random): number {
    mkdirSync(target, { recursive: true });
    return writeDirectory(this.#root, target, atNs, mode, random);
  }
}

function dated({ beginNs, endNs }: Operation): Dated {
  return { beginNs, endNs };
}

function writeDirectory(node: Node, target: string, atNs: bigint, mode: ImageMode, random: Random): number {
  const sureBeforeNs = node.sureBeforeNs(atNs);
  const entries = new Map<string, Node>();
  for (const { beginNs, endNs, changes } of node.names) {
    if (beginNs > atNs) continue;
    const isSure = endNs <= sureBeforeNs;
    if (!isSure && !(mode === 'all' || (mode !== 'none' && random.chance(0.5)))) continue;
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

function contentOf(
  node: Node,
  atNs: bigint,
  mode: ImageMode,
  random: Random,
): { bytes: Buffer; unsureWrites: number } {
  const sureBeforeNs = node.sureBeforeNs(atNs);
  const begun = node.writes.filter((write) => write.beginNs <= atNs);
  const isSure = (write: Operation): boolean =>
    write.endNs <= sureBeforeNs || (write.durable && write.endNs <= atNs);
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
