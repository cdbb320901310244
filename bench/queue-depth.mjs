/** Samples how many messages wait in the server's queue while a case runs: is the relay as fast as the way in? */
import { setTimeout as sleep } from 'node:timers/promises';

/** Often enough to see a pile of half a second, seldom enough to cost next to nothing. */
const periodMs = 500;

/** @param {string} adminUrl @returns {{ stop: () => Promise<number[]> }} messages, one sample each half second */
export function watchQueueDepth(adminUrl) {
  /** @type {number[]} */
  const samples = [];
  let running = true;
  const done = (async () => {
    while (running) {
      samples.push(await depthOf(adminUrl));
      await sleep(periodMs);
    }
    return samples;
  })();
  const stop = () => {
    running = false;
    return done;
  };
  return { stop };
}

/** @param {string} adminUrl */
async function depthOf(adminUrl) {
  const text = await (await fetch(`${adminUrl}/metrics`)).text();
  const counts = [...text.matchAll(/^postern_queue_messages\{[^}]*\} (\d+)/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** @param {readonly number[]} samples */
export function describeDepth(samples) {
  const sorted = samples.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  return `queue depth each ${periodMs / 1000} s: median ${median}, most ${sorted.at(-1) ?? 0} (${samples.join(' ')})`;
}
