/**
 * Where the tree of a queue file begins: its newest meta page says so. Where both are gone, the pages tell: whoever
 * commits writes every page from the root down anew, so the root is the newest page that no other newest page leads to.
 */
import type { SweptGap } from './leaf-sweep.js';
import type { PageFile } from './page-file.js';
import { everything, surveyTree, type TreeSurvey } from './tree-survey.js';

export interface NewestTree {
  readonly survey: TreeSurvey;
  readonly gaps: readonly SweptGap[];
  /** The newest transaction that may have been committed. */
  readonly transaction: number;
  /** False: there was no meta page to say so. */
  readonly isCommitted: boolean;
}

// Roots of the records and of the free list, and pages that were written and not committed.
const maxRoots = 16;

export async function findNewestTree(file: PageFile): Promise<NewestTree> {
  const [newest, older] = file.metas;
  if (newest === undefined) return withoutMeta(file);
  const survey = await surveyTree(file, newest.root);
  const gaps = survey.gaps.map((gap) => ({ ...gap, since: 0 }));
  // A pointer led to a leaf that is not the right one.
  if (gaps.length === 0 && survey.records !== newest.records) gaps.push({ ...everything, since: 0 });
  if (older !== undefined) return { survey, gaps, transaction: newest.transaction, isCommitted: true };
  // The other meta page may have been the newer one, by one transaction.
  const transaction = newest.transaction + 1;
  return { survey, gaps: [...gaps, { ...everything, since: transaction }], transaction, isCommitted: true };
}

async function withoutMeta(file: PageFile): Promise<NewestTree> {
  const { roots, transaction } = await newestRoots(file);
  let survey = await surveyTree(file, undefined);
  for (const root of roots) {
    const other = await surveyTree(file, root);
    if (other.records > survey.records) survey = other;
  }
  const gaps = survey.records === 0 ? [everything] : survey.gaps;
  return {
    survey,
    gaps: gaps.map((gap) => ({ ...gap, since: 0 })),
    transaction,
    isCommitted: false,
  };
}

async function newestRoots(file: PageFile): Promise<{ roots: readonly number[]; transaction: number }> {
  let transaction = 0;
  let newest: number[] = [];
  const children = new Set<number>();
  for (let number = 0; number < file.pages; number++) {
    const page = await file.treePage(number);
    if (page === undefined || page.transaction < transaction) continue;
    if (page.transaction > transaction) {
      transaction = page.transaction;
      newest = [];
      children.clear();
    }
    newest.push(number);
    if (page.kind === 'branch') for (const child of page.children) children.add(child);
  }
  return { roots: newest.filter((number) => !children.has(number)).slice(0, maxRoots), transaction };
}
