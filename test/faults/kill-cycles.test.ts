/**
 * kill -9 of one worker, all workers, the primary or everything, at random moments under load, again and again; the
 * oracle judges after each batch of blows and a drain. `npm run faults -- --cycles 1000` runs it at length.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';

import { until } from '../support/processes.js';
import type { MailLoad } from './mail-load.js';
import { monotonicMs } from './monotonic.js';
import { faultsOf, type Verdict } from './oracle.js';
import { Random, seedOfRun } from '../support/random.js';
import { percentile, record, sized } from './results.js';
import { Rig, blowKinds, type BlowKind } from './rig.js';

const cycles = sized('FAULTS_CYCLES', 24);
// Between two looks of the oracle. What goes wrong early is told early, and a drain costs about two seconds.
const cyclesPerBatch = 50;
const workers = 2;
const seed = seedOfRun('FAULTS_SEED');

let rig: Rig | undefined;

afterEach(async () => {
  await rig?.dispose();
  rig = undefined;
});

interface Recoveries {
  /** From the kill of one worker until its slot accepts mail again. */
  readonly workerMs: number[];
  /** From the start of a new primary until all accept mail. */
  readonly startMs: number[];
  refusedWhileOneDied: number;
  /** Every slot accepted mail before the blow that comes: only then does a kill of one worker leave another. */
  allUp: boolean;
}

/** Half of the blows hit single workers: the others end all that runs, and say less per second. */
function pickBlow(random: Random): BlowKind {
  return random.chance(0.3) ? 'worker' : random.pick(blowKinds);
}

async function cycle(rig: Rig, load: MailLoad, random: Random, recoveries: Recoveries): Promise<void> {
  await sleep(random.between(1, 500));
  const kind = pickBlow(random);
  const refusedBefore = load.refusedConnections;
  const wereUp = recoveries.allUp;
  recoveries.allUp = false;
  const atMs = monotonicMs();
  await rig.kill(kind, random.between(0, workers - 1));
  if (kind === 'primary' || kind === 'everything') {
    const startedAtMs = monotonicMs();
    await rig.startAgain();
    recoveries.startMs.push(monotonicMs() - startedAtMs);
    await rig.allReady();
    recoveries.allUp = true;
    return;
  }
  // Now and then the next blow falls while the new worker starts or adopts what the dead one left.
  if (random.chance(0.2)) return;
  await rig.allReady();
  recoveries.allUp = true;
  if (kind !== 'worker' || !wereUp) return;
  recoveries.workerMs.push(monotonicMs() - atMs);
  recoveries.refusedWhileOneDied += load.refusedConnections - refusedBefore;
}

async function batch(rig: Rig, random: Random, blows: number, recoveries: Recoveries): Promise<void> {
  const load = rig.load({ senders: 10, random, pauseMs: 4 });
  await until('mail flows', () => load.acked >= 20);
  for (let n = 0; n < blows; n++) {
    await cycle(rig, load, random, recoveries);
    const { acked } = load;
    await until('mail flows again', () => load.acked > acked, 40_000);
  }
  await load.stop();
  await rig.drained();
}

function expectSound(verdict: Verdict, rig: Rig): void {
  expect(faultsOf(verdict), JSON.stringify({ seed, ...verdict }).slice(0, 20_000)).toEqual([]);
  expect(rig.troubles).toEqual([]);
}

test(
  `F-01 F-02 F-03 G-01 G-03 G-16 C-052 C-053: kill -9 of one worker, all workers, the primary or everything, at random moments under load, loses no acknowledged message`,
  { timeout: 60_000 + cycles * 6_000 },
  async () => {
    const random = new Random(seed);
    rig = await Rig.start({ workers });
    const recoveries: Recoveries = { workerMs: [], startMs: [], refusedWhileOneDied: 0, allUp: true };
    for (let done = 0; done < cycles; done += cyclesPerBatch) {
      await batch(rig, random, Math.min(cyclesPerBatch, cycles - done), recoveries);
      const verdict = await rig.judge();
      process.stdout.write(
        `kill cycles: ${rig.blows.length} of ${cycles}, ${verdict.acked} acknowledged, ${verdict.lost.length} lost, ${verdict.duplicates.length} twice\n`,
      );
      expectSound(verdict, rig);
    }
    report(await rig.judge(), rig, recoveries);
    expect(recoveries.refusedWhileOneDied).toBe(0);
    expect(recoveries.workerMs.length).toBeGreaterThan(0);
  },
);

function report(verdict: Verdict, rig: Rig, { workerMs, startMs, refusedWhileOneDied }: Recoveries): void {
  const kinds = Object.fromEntries(
    blowKinds.map((kind) => [kind, rig.blows.filter((blow) => blow.kind === kind).length]),
  );
  const { sent, acked, refused, unknown, delivered, duplicates } = verdict;
  const perBlow = rig.blows.map((blow) => duplicates.filter((duplicate) => duplicate.blow === blow).length);
  const figures = {
    cycles: rig.blows.length,
    kinds,
    sent,
    acked,
    refused,
    unknown,
    delivered,
    lost: verdict.lost.length,
    duplicates: duplicates.length,
    unexplained: verdict.unexplained.length,
    duplicatesAfterOneBlow: Math.max(...perBlow),
    workerBackMs: { median: Math.round(percentile(workerMs, 0.5)), max: Math.round(Math.max(...workerMs)) },
    startMs: { median: Math.round(percentile(startMs, 0.5)), max: Math.round(Math.max(0, ...startMs)) },
    refusedWhileOneDied,
  };
  record('kill cycles', {
    ids: ['G-01', 'G-03', 'G-16'],
    summary: `${figures.cycles} cycles, ${acked} acknowledged, lost ${figures.lost}; ${duplicates.length} delivered twice, each across a kill (at most ${figures.duplicatesAfterOneBlow} after one); a killed worker's slot accepts again after ${figures.workerBackMs.median} ms (max ${figures.workerBackMs.max}), refused connections meanwhile ${refusedWhileOneDied}`,
    seed,
    figures,
  });
}
