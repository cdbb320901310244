/**
 * The B-tree of a queue file walked from its root, in order of keys: which leaves it leads to, and between which keys
 * it leads nowhere any more. Branch keys are not used: a leaf says itself what it holds.
 */
import type { PageFile } from './page-file.js';
import type { Leaf } from './pages.js';

export interface LeafPlace {
  readonly page: number;
  readonly first: string;
  readonly last: string;
}

/** Records may be missing between these two keys, both excluded. */
export interface Gap {
  readonly after: string;
  readonly before: string;
}

export interface TreeSurvey {
  /** Ordered by key. */
  readonly leaves: readonly LeafPlace[];
  readonly gaps: readonly Gap[];
  readonly records: number;
}

/** Beyond every key of ours, which are latin1. */
const beyondAllKeys = '\u00ff';
export const everything: Gap = { after: '', before: beyondAllKeys };

/** In the place of a page: here is something missing. */
const missing = -1;

export async function surveyTree(file: PageFile, root: number | undefined): Promise<TreeSurvey> {
  const walk = new Walk(file);
  if (root !== undefined) await walk.from(root);
  return walk.end();
}

class Walk {
  readonly #file: PageFile;
  /** Each page once: a pointer that was damaged may lead in a circle. */
  readonly #visited: Uint8Array;
  readonly #leaves: LeafPlace[] = [];
  readonly #gaps: Gap[] = [];
  #records = 0;
  #last = '';
  /** Something is missing after #last. */
  #isOpen = false;

  constructor(file: PageFile) {
    this.#file = file;
    this.#visited = new Uint8Array(file.pages);
  }

  async from(root: number): Promise<void> {
    const left = [root];
    for (;;) {
      const number = left.pop();
      if (number === undefined) return;
      const page = await this.#visit(number);
      if (page === undefined) this.#isOpen = true;
      else if (page.kind === 'leaf') this.#takeLeaf(number, page);
      else if (page.isDamaged)
        left.push(...page.children.flatMap((child) => [missing, child]).toReversed(), missing);
      else left.push(...page.children.toReversed());
    }
  }

  end(): TreeSurvey {
    this.#close(beyondAllKeys);
    return {
      leaves: this.#leaves.toSorted((a, b) => (a.first < b.first ? -1 : 1)),
      gaps: this.#gaps,
      records: this.#records,
    };
  }

  async #visit(number: number): ReturnType<PageFile['treePage']> {
    if (this.#visited[number] !== 0) return undefined; // visited, or out of the file
    this.#visited[number] = 1;
    return this.#file.treePage(number);
  }

  #takeLeaf(page: number, leaf: Leaf): void {
    const [first, last] = [leaf.nodes[0]?.key, leaf.nodes.at(-1)?.key];
    if (first === undefined || last === undefined) {
      this.#isOpen = true;
      return;
    }
    this.#leaves.push({ page, first, last });
    this.#records += leaf.nodes.length;
    if (first > this.#last && !leaf.isDamaged) {
      this.#close(first);
      this.#last = last;
    }
    // A leaf that lost some of its records may have lost any between its neighbours.
    else this.#isOpen = true;
  }

  #close(before: string): void {
    if (this.#isOpen) this.#gaps.push({ after: this.#last, before });
    this.#isOpen = false;
  }
}
