/**
 * At which moments of a recorded run the power goes, and what of the rest has reached the disk then: the same choice for
 * every build. A quarter just after a 250 and with as little as can be: first where the record says that this 250 came
 * too early, which a sound build never does, so that a broken one is found out whatever chance does. The rest is drawn.
 */
import { imageModes, type ImageMode } from './crash-images.js';
import { answersOf, earlyAnswers, justAfterMs, type Answer } from './early-answers.js';
import type { Run } from './power-loss.js';
import type { RecordedTree } from './recorded-tree.js';
import type { Random } from '../support/random.js';

export interface Moment {
  readonly atMs: number;
  readonly mode: ImageMode;
  /** The message whose 250 came too early, which this image cannot hold. */
  readonly early?: string;
}

export interface Choice {
  readonly moments: readonly Moment[];
  /** 250s of the whole run whose messages had to be kept when they had been read, and how many of them came too early. */
  readonly answers: number;
  readonly early: number;
}

export function chooseMoments(run: Run, tree: RecordedTree, images: number, random: Random): Choice {
  const answers = answersOf(run);
  const early = earlyAnswers(tree, answers);
  const afterAnswers = Math.ceil(images / 4);
  const moments = [
    ...spread(early, afterAnswers).map(({ id, atMs }): Moment => ({ atMs, mode: 'none', early: id })),
    ...spread(early.length > 0 ? [] : answers, afterAnswers).map(({ atMs }, index): Moment => ({
      atMs,
      mode: index % 2 === 0 ? 'none' : 'one',
    })),
  ];
  while (moments.length < images) moments.push({ atMs: drawn(run, random), mode: random.pick(imageModes) });
  return { moments, answers: answers.length, early: early.length };
}

/** So many, or all if there are fewer, from the first to the last in even steps. */
function spread(answers: readonly Answer[], most: number): Answer[] {
  if (answers.length <= most) return [...answers];
  return Array.from({ length: most }, (_, n) => answers[Math.floor((n * answers.length) / most)]).filter(
    (answer) => answer !== undefined,
  );
}

// From the making of a queue file to its first commit.
const makingMs = 5;

/**
 * One in five each: at any time; in the middle of a sync, when a whole commit is not sure; in the middle of a write;
 * while a file is made; just after a sender had its 250.
 */
function drawn(run: Run, random: Random): number {
  const [first] = run.operations;
  if (first === undefined) throw new Error('nothing was recorded');
  const startMs = Number(first.beginNs) / 1e6;
  const kind = random.between(0, 4);
  const acked = kind === 4 ? [...run.sent.values()].filter(({ outcome }) => outcome === 'acked') : [];
  if (acked.length > 0) return Math.min(run.endMs, random.pick(acked).answeredAtMs + justAfterMs);
  if (kind === 0) return startMs + random.next() * (run.endMs - startMs);
  const wanted = (['sync', 'write', 'create'] as const)[kind - 1];
  const { beginNs, endNs } = random.pick(run.operations.filter(({ op }) => op === wanted));
  const lengthMs = wanted === 'create' ? makingMs : Number(endNs - beginNs) / 1e6;
  return Math.min(run.endMs, Number(beginNs) / 1e6 + random.next() * lengthMs);
}
