/** Makes a find small: takes out whatever is not needed for the fault, segments first, then ever smaller pieces. */
import type { Input } from './input.js';

const maxTries = 2000;

export function minimise(input: Input, isFaulty: (smaller: Input) => boolean): Input {
  let best = input;
  let tries = 0;
  let progress = true;
  const takes = (candidate: Input): boolean => {
    if (tries++ > maxTries || !isFaulty(candidate)) return false;
    best = candidate;
    return true;
  };
  while (progress && tries < maxTries) {
    progress = false;
    for (let at = best.segments.length - 1; at >= 0; at--)
      progress = takes({ ...best, segments: best.segments.toSpliced(at, 1) }) || progress;
    for (let at = 0; at < best.segments.length; at++) progress = shrink(best, at, takes) || progress;
  }
  return best;
}

function shrink(input: Input, at: number, takes: (candidate: Input) => boolean): boolean {
  let segment = input.segments[at] ?? Buffer.alloc(0);
  let progress = false;
  for (let size = Math.ceil(segment.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < segment.length;) {
      const shorter = Buffer.concat([segment.subarray(0, from), segment.subarray(from + size)]);
      if (takes({ ...input, segments: input.segments.with(at, shorter) })) {
        segment = shorter;
        progress = true;
      } else from += size;
    }
  }
  return progress;
}
