/**
 * The files and directories of a recorded run, each with all that was done to it, and what of that was sure at a moment.
 * Strict: only what was synced is sure.
 *
 * - A write is sure once an fsync or fdatasync of its file began after the write had ended, and has ended by then; a
 *   write through O_DSYNC is sure when it has ended.
 * - A name in a directory (new, renamed, removed) is sure once an fsync of that directory began after it.
 */
import { basename, dirname } from 'node:path';

import type { Operation } from './recording.js';

type NameChange =
  | { readonly kind: 'link'; readonly name: string; readonly node: TreeNode }
  | { readonly kind: 'unlink'; readonly name: string };

export interface Dated {
  readonly beginNs: bigint;
  readonly endNs: bigint;
}

export class TreeNode {
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

  /** Of its writes. */
  sureAt(atNs: bigint): (write: Operation) => boolean {
    const sureBeforeNs = this.sureBeforeNs(atNs);
    return ({ endNs, durable }) => endNs <= sureBeforeNs || (durable && endNs <= atNs);
  }
}

export class RecordedTree {
  readonly root = new TreeNode(true);
  /** Every file that was made in the run, the removed ones among them. */
  readonly files: TreeNode[] = [];

  /** @param root the directory that was recorded; it was there, and its own name sure, before the run */
  constructor(operations: readonly Operation[], root: string) {
    // Inode numbers are used again: each belongs to the last file made with it. The root's is learnt from its path.
    const byInode = new Map<bigint, TreeNode>();
    const byPath = new Map<string, TreeNode>([[root, this.root]]);
    const parentOf = (path: string): TreeNode => {
      const parent = byPath.get(dirname(path));
      if (parent === undefined) throw new Error(`${path} was made in a directory that is not in the record`);
      return parent;
    };
    for (const operation of operations) {
      const { op, path, to, inode } = operation;
      if (op === 'create' || op === 'mkdir') {
        const node = new TreeNode(op === 'mkdir');
        byInode.set(inode, node);
        byPath.set(path, node);
        if (op === 'create') this.files.push(node);
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
        const node = path === root ? this.root : byInode.get(inode);
        // Files that were there before the run (none of the queue's) are not looked at.
        if (node === undefined) continue;
        if (op === 'sync') node.syncs.push(dated(operation));
        else node.writes.push(operation);
      }
    }
  }
}

function dated({ beginNs, endNs }: Operation): Dated {
  return { beginNs, endNs };
}
