/**
 * All leaves in a queue file, also those that its tree does not lead to: what they hold is from some time before. Pages
 * inside a message's bytes cannot pass for leaves, because a page number has NULs and no mail with a NUL gets in.
 */
import { KeyCover } from './key-cover.js';
import { PageFile } from './page-file.js';
import { parseTreePage, type Leaf } from './pages.js';
import type { Gap } from './tree-survey.js';

const blockBytes = 2 ** 20;
// Copies of a leaf that lie about; the newest are the likeliest to be whole.
const maxCandidates = 8;

/** Keys after `after` and before `before`, in leaves of transaction `since` and later. */
export interface SweptGap extends Gap {
  readonly since: number;
}

export interface SweepOrder {
  /** First character of the keys that are looked for. */
  readonly kind: string;
  readonly gaps: readonly SweptGap[];
  /** Keys that are wanted in every version. */
  readonly wants: (key: string) => boolean;
  /** Leaves of later transactions were never committed. */
  readonly until: number;
}

/** By key: the pages of leaves that hold it, newest first. */
export type Sweep = ReadonlyMap<string, readonly number[]>;

interface SweptLeaf {
  readonly page: number;
  readonly transaction: number;
}

export async function sweep(file: PageFile, order: SweepOrder): Promise<Sweep> {
  const leaves: SweptLeaf[] = [];
  for await (const { page, leaf } of allLeaves(file)) {
    if (leaf.transaction <= order.until && leaf.nodes.some(({ key }) => isWanted(key, leaf, order)))
      leaves.push({ page, transaction: leaf.transaction });
  }
  leaves.sort((a, b) => b.transaction - a.transaction);
  return gather(file, order, leaves);
}

/**
 * Of two leaves over the same keys the newer one knows better: a key that is only in the older one was removed in
 * between, and its message delivered.
 */
async function gather(file: PageFile, order: SweepOrder, leaves: readonly SweptLeaf[]): Promise<Sweep> {
  const found = new Map<string, number[]>();
  const cover = new KeyCover();
  for (const { page } of leaves) {
    const leaf = await file.treePage(page);
    if (leaf?.kind !== 'leaf') continue;
    for (const { key } of leaf.nodes) {
      const pages = found.get(key);
      if (pages !== undefined) {
        if (pages.length < maxCandidates) pages.push(page);
      } else if (isWanted(key, leaf, order) && (order.wants(key) || !cover.has(key))) found.set(key, [page]);
    }
    const [first, last] = [leaf.nodes[0]?.key, leaf.nodes.at(-1)?.key];
    if (first !== undefined && last !== undefined && !leaf.isDamaged) cover.add(first, last);
  }
  return found;
}

function isWanted(key: string, leaf: Leaf, { kind, gaps, wants }: SweepOrder): boolean {
  if (!key.startsWith(kind)) return false;
  if (wants(key)) return true;
  return gaps.some(({ after, before, since }) => after < key && key < before && leaf.transaction >= since);
}

/** Whether an envelope or a chunk lies anywhere in a file, also where no tree leads to it. */
export async function holdsMessages(path: string): Promise<boolean> {
  const file = await PageFile.open(path);
  try {
    for await (const { leaf } of allLeaves(file))
      if (leaf.nodes.some(({ key }) => key.length > 1)) return true;
    return false;
  } finally {
    await file.close();
  }
}

async function* allLeaves(file: PageFile): AsyncGenerator<{ readonly page: number; readonly leaf: Leaf }> {
  const pagesPerBlock = blockBytes / file.pageBytes;
  for (let start = 0; start < file.pages; start += pagesPerBlock) {
    const pages = Math.min(pagesPerBlock, file.pages - start);
    const block = await file.bytes(start, 0, pages * file.pageBytes);
    for (let i = 0; i < pages; i++) {
      const at = i * file.pageBytes;
      // A block with a bad sector is read again page by page.
      const bytes =
        block?.subarray(at, at + file.pageBytes) ?? (await file.bytes(start + i, 0, file.pageBytes));
      const leaf = bytes === undefined ? undefined : parseTreePage(bytes, start + i);
      if (leaf?.kind === 'leaf') yield { page: start + i, leaf };
    }
  }
}
