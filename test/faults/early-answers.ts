/**
 * Which messages were acknowledged before the record shows them on disk: what a disk that holds nothing but what is sure
 * must have lost when the power goes just after their 250. A sound build has none.
 */
import { toNanoseconds } from './monotonic.js';
import type { Run } from './power-loss.js';
import type { RecordedTree, TreeNode } from './recorded-tree.js';
import type { Operation } from './recording.js';

/** Just after a sender had read its 250. */
export interface Answer {
  readonly id: string;
  readonly atMs: number;
}

/** After the time at which the sender noted it. */
export const justAfterMs = 0.001;

/** All answers in the order of their time whose messages had to be kept then: no hop had them. */
export function answersOf({ sent, deliveredAtMs, endMs }: Omit<Run, 'operations' | 'root'>): Answer[] {
  return [...sent]
    .filter(([, { outcome }]) => outcome === 'acked')
    .map(([id, { answeredAtMs }]) => ({ id, atMs: answeredAtMs + justAfterMs }))
    .filter(({ id, atMs }) => atMs <= endMs && (deliveredAtMs.get(id) ?? Infinity) > atMs)
    .sort((a, b) => a.atMs - b.atMs);
}

/** @param answers of the same run */
export function earlyAnswers(tree: RecordedTree, answers: readonly Answer[]): Answer[] {
  const links = linksOf(tree.root);
  const copies = copiesOf(tree.files);
  return answers.filter(({ id, atMs }) => {
    const atNs = toNanoseconds(atMs);
    return !(copies.get(id) ?? []).some(
      (copy) => isStored(copy, atNs) && hasSureName(copy.file, links, atNs),
    );
  });
}

interface Copy {
  readonly file: TreeNode;
  readonly write: Operation;
}

const marker = Buffer.from('X-Test-Id: ');
const mostIdBytes = 64;

/** By the id of the message: the writes in which it stands. */
function copiesOf(files: readonly TreeNode[]): Map<string, Copy[]> {
  const found = new Map<string, Copy[]>();
  for (const file of files) {
    for (const write of file.writes) {
      const { data } = write;
      for (let at = data.indexOf(marker); at >= 0; at = data.indexOf(marker, at + 1)) {
        const idAt = at + marker.length;
        const end = data.indexOf('\r', idAt);
        if (end < 0 || end - idAt > mostIdBytes) continue;
        const id = data.toString('latin1', idAt, end);
        const copies = found.get(id);
        if (copies === undefined) found.set(id, [{ file, write }]);
        else copies.push({ file, write });
      }
    }
  }
  return found;
}

/** Its pages are sure, and so is what the queue wrote when they had been synced: the meta page that makes them count. */
function isStored({ file, write }: Copy, atNs: bigint): boolean {
  const isSure = file.sureAt(atNs);
  if (!isSure(write)) return false;
  const sync = file.syncs.find(({ beginNs }) => beginNs >= write.endNs);
  const meta = sync && file.writes.find(({ beginNs }) => beginNs >= sync.endNs);
  return meta !== undefined && isSure(meta);
}

interface Link {
  readonly parent: TreeNode;
  readonly endNs: bigint;
}

/** Of every file and directory below this one: what gave it a name. */
function linksOf(directory: TreeNode, links = new Map<TreeNode, Link[]>()): Map<TreeNode, Link[]> {
  for (const { endNs, changes } of directory.names) {
    for (const change of changes) {
      if (change.kind === 'unlink') continue;
      const { node } = change;
      const known = links.get(node);
      if (known !== undefined) known.push({ parent: directory, endNs });
      else {
        links.set(node, [{ parent: directory, endNs }]);
        linksOf(node, links);
      }
    }
  }
  return links;
}

/** The root is there without one. */
function hasSureName(node: TreeNode, links: ReadonlyMap<TreeNode, readonly Link[]>, atNs: bigint): boolean {
  const given = links.get(node);
  if (given === undefined) return true;
  return given.some(
    ({ parent, endNs }) => endNs <= parent.sureBeforeNs(atNs) && hasSureName(parent, links, atNs),
  );
}
