/** Values of a queue file by their keys: where its tree has them, and in leaves that a sweep found. */
import type { Sweep } from './leaf-sweep.js';
import type { PageFile } from './page-file.js';
import type { ValuePlace } from './pages.js';
import type { LeafPlace } from './tree-survey.js';

export class StoredValues {
  readonly #file: PageFile;
  readonly #leaves: readonly LeafPlace[];

  /** @param leaves ordered by key */
  constructor(file: PageFile, leaves: readonly LeafPlace[]) {
    this.#file = file;
    this.#leaves = leaves;
  }

  bytes(place: ValuePlace): Promise<Buffer | undefined> {
    return this.#file.value(place);
  }

  async inTree(key: string): Promise<ValuePlace | undefined> {
    let [low, high] = [0, this.#leaves.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#leaves[middle]?.first ?? '') <= key) low = middle + 1;
      else high = middle;
    }
    const leaf = this.#leaves[low - 1];
    return leaf === undefined ? undefined : this.#inLeaf(leaf.page, key);
  }

  /** The one in the tree first, then those of the sweep, newest first; none twice. */
  async versions(key: string, sweep: Sweep): Promise<{ place: ValuePlace; isInTree: boolean }[]> {
    const inTree = await this.inTree(key);
    const versions = inTree === undefined ? [] : [{ place: inTree, isInTree: true }];
    for (const page of sweep.get(key) ?? []) {
      const place = await this.#inLeaf(page, key);
      if (place !== undefined && !versions.some((version) => isSame(version.place, place)))
        versions.push({ place, isInTree: false });
    }
    return versions;
  }

  async #inLeaf(page: number, key: string): Promise<ValuePlace | undefined> {
    const leaf = await this.#file.treePage(page);
    return leaf?.kind === 'leaf' ? leaf.nodes.find((node) => node.key === key)?.value : undefined;
  }
}

function isSame(a: ValuePlace, b: ValuePlace): boolean {
  if (a.kind === 'inline') return b.kind === 'inline' && a.bytes.equals(b.bytes);
  return b.kind === 'pages' && a.page === b.page && a.bytes === b.bytes;
}
