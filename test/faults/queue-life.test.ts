/**
 * The long life of a queue by itself (`npm run soak -- --queue --messages 3000000`): millions of messages through
 * thousands of queue files in one process (children/queue-churn.mjs). Everything that was stored is settled exactly once,
 * and neither the files, nor what they take of the disk, nor memory grows. CPU of the ninth tenth against
 * the second, and commit time measured by those of a small queue beside it (children/yardstick.mjs), are recorded: the first warms
 * up, and in the last the queue runs empty. CI takes some thousands of messages through files that are smaller still.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, expect, test } from 'vitest';

import { seedOfRun } from '../support/random.js';
import { record, sized } from './results.js';

const messages = sized('FAULTS_QUEUE_MESSAGES', 5_000);
const isLong = messages >= 1_000_000;
const mib = 2 ** 20;
const generationBytes = isLong ? (3 * mib) / 2 : mib / 2;
const backlog = isLong ? 8_000 : 1_000;
// A large message is 1 MiB at most, the others 4 KiB; LMDB takes whole pages, of a small body two and some of its
// envelope. What is deferred for seconds keeps its file until it is moved.
const bytesPerBacklogged = 16_384;
const maxFiles = isLong ? 100 : 40;
const maxQueueBytes = backlog * bytesPerBacklogged + maxFiles * (generationBytes + 2 * mib);
// The collector's own choice of heap size moves by as much.
const maxGrowthMib = 48;

let directory = '';

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

interface Tenth {
  readonly settled: number;
  readonly rssAnonMib: number;
  readonly queueMib: number;
  readonly files: number;
  readonly cpuSecondsPer1000: number;
  readonly commitSecondsPer1000: number;
  readonly messagesPerCommit: number;
  readonly yardstickSecondsPerCommit: number;
}

interface End {
  readonly stored: number;
  readonly settled: number;
  readonly deferred: number;
  readonly bytes: number;
  readonly queued: number;
  readonly left: number;
  readonly wrong: readonly string[];
  readonly retired: number;
  readonly failed: number;
  readonly damaged: number;
  readonly filesLeft: number;
  readonly samples: readonly Tenth[];
}

/** Runs the churn to its end; how it ended: an assertion of LMDB is a SIGABRT. */
async function churn(seed: number): Promise<{ readonly how: string; readonly end: End | undefined }> {
  const script = resolve(import.meta.dirname, 'children/queue-churn.mjs');
  const args = [join(directory, 'queue'), messages, generationBytes, backlog, seed].map(String);
  const child = spawn(process.execPath, ['--expose-gc', script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let end: End | undefined;
  const exited = new Promise<string>((done) => {
    child.once('close', (code, signal) => done(signal ?? `exit ${code}`));
  });
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('end ')) end = JSON.parse(line.slice(4)) as End;
    else process.stdout.write(`queue life: ${line}\n`);
  }
  return { how: await exited, end };
}

test(
  'G-29: a queue alone through thousands of files: each message settled exactly once, files, disk and memory do not grow',
  { timeout: 120_000 + messages * 10 },
  async () => {
    directory = mkdtempSync(join(tmpdir(), 'postern-life-'));
    const seed = seedOfRun('FAULTS_SEED');
    const { how, end } = await churn(seed);
    expect(how).toBe('exit 0');
    expect(end).toMatchObject({
      stored: messages,
      settled: messages,
      queued: 0,
      left: 0,
      wrong: [],
      failed: 0,
      damaged: 0,
      filesLeft: 0,
    });
    if (end === undefined) return;
    const [, second] = end.samples;
    const ninth = end.samples.at(-2);
    if (second === undefined || ninth === undefined) throw new Error('fewer than two tenths');
    const ratio = (of: (tenth: Tenth) => number): number => Number((of(ninth) / of(second)).toFixed(2));
    const cpuRatio = ratio((tenth) => tenth.cpuSecondsPer1000);
    const commitRatio = ratio((tenth) => tenth.commitSecondsPer1000 / tenth.yardstickSecondsPerCommit);
    const growthMib = ninth.rssAnonMib - second.rssAnonMib;
    const queueMib = Math.max(...end.samples.map((tenth) => tenth.queueMib));
    const files = Math.max(...end.samples.map((tenth) => tenth.files));
    record('queue life', {
      ids: ['G-29'],
      summary: `${messages} messages, ${Math.round(end.bytes / mib)} MiB, ${end.deferred} of them deferred once, through ${end.retired} queue files of one process: each settled exactly once; at most ${files} files of ${queueMib} MiB together; RssAnon ${second.rssAnonMib} MiB in the second tenth, ${ninth.rssAnonMib} in the ninth; the ninth against the second: CPU per message × ${cpuRatio}, commit time per message × ${commitRatio}, measured by the commits of a small queue beside it`,
      seed,
      figures: { ...end, backlog, generationBytes, cpuRatio, commitRatio, growthMib },
    });
    // Fewer than bytes by size: a file takes all that is committed while the next one is made.
    expect(end.retired).toBeGreaterThan(isLong ? 100 : 4);
    expect(queueMib * mib).toBeLessThan(maxQueueBytes);
    expect(files).toBeLessThanOrEqual(maxFiles);
    expect(growthMib).toBeLessThanOrEqual(maxGrowthMib);
  },
);
