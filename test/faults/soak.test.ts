/**
 * Churn for as long as asked (`npm run soak -- --minutes N [--faults]`): small and large messages in and out, period after
 * period; after each the queue must be empty and the oracle content, and what must not grow is noted: memory of the
 * workers, bytes and number of queue files, time of a commit. CI runs two short periods, which show that the harness works.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';

import { memoryOf } from '../support/processes.js';
import { faultsOf } from './oracle.js';
import { Random, seedOfRun } from '../support/random.js';
import { percentile, record, sized } from './results.js';
import { Rig, blowKinds } from './rig.js';

const seconds = sized('FAULTS_SOAK_SECONDS', 6);
const periodSeconds = Math.min(sized('FAULTS_SOAK_PERIOD', 3), seconds);
const withFaults = process.env['FAULTS_SOAK_FAULTS'] === '1';
const senders = sized('FAULTS_SOAK_SENDERS', 24);
const workers = 2;
const mib = 2 ** 20;
// Of two workers: a generation of 256 MiB each, and what LMDB's free pages add.
const maxQueueBytes = workers * 400 * mib;
// Below this many samples a trend says nothing.
const samplesForTrend = 12;

let rig: Rig | undefined;

afterEach(async () => {
  await rig?.dispose();
  rig = undefined;
});

interface Sample {
  readonly messages: number;
  readonly anonymousMib: number;
  readonly queueMib: number;
  readonly files: number;
  readonly commitMs: number;
}

interface Commits {
  readonly seconds: number;
  readonly count: number;
}

async function commitsOf(of: Rig): Promise<Commits> {
  return {
    seconds: await of.postern.metric('postern_queue_commit_seconds_sum'),
    count: await of.postern.metric('postern_queue_commit_seconds_count'),
  };
}

function queueFiles(of: Rig): number[] {
  const queue = join(of.postern.dataDir, 'queue');
  return readdirSync(queue, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.mdb'))
    .map((name) => statSync(join(queue, name)).size);
}

async function period(of: Rig, random: Random): Promise<Sample> {
  const before = await commitsOf(of);
  const load = of.load({ senders, random, large: 0.02 });
  const until = performance.now() + periodSeconds * 1000;
  if (withFaults) await sleep(random.between(0, periodSeconds * 500)).then(() => blow(of, random));
  await sleep(Math.max(0, until - performance.now()));
  await load.stop();
  await of.drained(120_000);
  const verdict = await of.judge();
  expect(faultsOf(verdict), JSON.stringify(verdict).slice(0, 5_000)).toEqual([]);
  expect(of.troubles).toEqual([]);
  of.forget();
  const after = await commitsOf(of);
  const sizes = queueFiles(of);
  // After a start of the primary the totals begin again.
  const count = after.count - (after.count >= before.count ? before.count : 0);
  const spent = after.seconds - (after.count >= before.count ? before.seconds : 0);
  return {
    messages: verdict.acked,
    anonymousMib: Math.round(
      Math.max(...of.postern.workerPids().map((pid) => memoryOf(pid, 'RssAnon'))) / mib,
    ),
    queueMib: Math.round(sizes.reduce((sum, size) => sum + size, 0) / mib),
    files: sizes.length,
    commitMs: Number(((spent / Math.max(1, count)) * 1000).toFixed(2)),
  };
}

async function blow(of: Rig, random: Random): Promise<void> {
  const kind = random.pick(blowKinds);
  await of.kill(kind, random.between(0, workers - 1));
  if (kind === 'primary' || kind === 'everything') await of.startAgain();
  else await of.allReady();
}

/** The median of the last third against that of the second: the first warms up. */
function growth(samples: readonly Sample[], of: (sample: Sample) => number): number {
  const third = Math.floor(samples.length / 3);
  const median = (part: readonly Sample[]): number => percentile(part.map(of), 0.5);
  return median(samples.slice(-third)) - median(samples.slice(third, 2 * third));
}

test(
  'G-28 G-29: churn of small and large messages: nothing is lost, nothing is doubled without a fault, and nothing grows',
  { timeout: seconds * 5_000 + 240_000 },
  async () => {
    const seed = seedOfRun('FAULTS_SEED');
    const random = new Random(seed);
    rig = await Rig.start({ workers });
    const samples: Sample[] = [];
    const startedAtMs = performance.now();
    while (performance.now() - startedAtMs < seconds * 1000) {
      samples.push(await period(rig, random));
      process.stdout.write(
        `soak ${Math.round((performance.now() - startedAtMs) / 1000)} s: ${JSON.stringify(samples.at(-1))}\n`,
      );
    }
    const messages = samples.reduce((sum, sample) => sum + sample.messages, 0);
    const memoryGrowthMib =
      samples.length < samplesForTrend ? 0 : growth(samples, (sample) => sample.anonymousMib);
    const commitGrowthMs =
      samples.length < samplesForTrend ? 0 : growth(samples, (sample) => sample.commitMs);
    const worst = {
      queueMib: Math.max(...samples.map(({ queueMib }) => queueMib)),
      files: Math.max(...samples.map(({ files }) => files)),
      anonymousMib: Math.max(...samples.map(({ anonymousMib }) => anonymousMib)),
      commitMs: Math.max(...samples.map(({ commitMs }) => commitMs)),
    };
    record(withFaults ? 'soak with faults' : 'soak', {
      ids: withFaults ? ['G-28'] : ['G-29'],
      summary: `${messages} messages in ${Math.round(seconds / 60)} min, ${rig.blows.length} blows, lost 0, empty after each of ${samples.length} periods; at most ${worst.files} files of ${worst.queueMib} MiB together, RssAnon of a worker ${worst.anonymousMib} MiB (last third against the second: ${memoryGrowthMib} MiB), a commit ${worst.commitMs} ms (${commitGrowthMs.toFixed(2)} ms)`,
      seed,
      figures: {
        messages,
        seconds,
        blows: rig.blows.length,
        memoryGrowthMib,
        commitGrowthMs,
        worst,
        samples,
      },
    });
    expect(worst.queueMib * mib).toBeLessThan(maxQueueBytes);
    expect(worst.files).toBeLessThanOrEqual(workers);
    expect(memoryGrowthMib).toBeLessThan(24);
    expect(commitGrowthMs).toBeLessThan(5);
  },
);
