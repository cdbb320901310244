/**
 * Power loss (F-04, G-04): the writes and syncs of a loaded server are recorded by the shim, and for many moments disks
 * are built that hold everything synced by then and some of the rest; see README.md beside this file. Builds that leave
 * out a sync must be found out. `npm run faults -- --power-loss` tries a thousand images.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { until } from '../support/processes.js';
import { Program } from '../support/program.js';
import { readEvents } from './events.js';
import { monotonicMs } from './monotonic.js';
import { tryImages, type PowerLossVerdict, type Run } from './power-loss.js';
import { Random, seedOfRun } from '../support/random.js';
import { readRecording } from './recording.js';
import { record, sized } from './results.js';
import { Rig } from './rig.js';
import { ControlPage, buildShim, shimEnvironment, whyNoShim, type Shim, type ShimOptions } from './shim.js';

const images = sized('FAULTS_IMAGES', 120);
// A longer run would make bigger images, not other ones; several short ones differ in what runs when.
const imagesPerRun = 60;
const loadMs = 1_500;
const seed = seedOfRun('FAULTS_SEED');
const missing = whyNoShim();

let shim: Shim | undefined;
let directory = '';
let rig: Rig | undefined;

beforeAll(() => {
  process.stdout.write(`power loss: seed ${seed}\n`);
  if (missing === undefined) shim = buildShim();
});

afterAll(() => shim?.dispose());

afterEach(async () => {
  await rig?.dispose();
  rig = undefined;
  rmSync(directory, { recursive: true, force: true });
});

function preload(root: string, options: Partial<ShimOptions> = {}): Record<string, string> {
  if (shim === undefined) throw new Error('no shim');
  return shimEnvironment(shim, { root, record: join(directory, 'record'), ...options });
}

/** A server under load, part of the mail delivered and part deferred, then killed. */
async function recordServer(random: Random, options: Partial<ShimOptions> = {}): Promise<Run> {
  directory = mkdtempSync(join(tmpdir(), 'postern-power-'));
  const root = join(directory, 'data');
  mkdirSync(root);
  rig = await Rig.start({
    workers: 1,
    env: preload(root, options),
    config: { dataDir: root },
    hop: { defers: (recipient) => recipient.startsWith('later') },
  });
  const load = rig.load({ senders: 6, random, pauseMs: 5, large: 0.05, recipients: ['now', 'later'] });
  await until('mail flows', () => load.acked >= 20);
  await sleep(loadMs);
  const endMs = monotonicMs();
  await rig.kill('everything');
  await load.stop();
  const deliveredAtMs = new Map(rig.hop.taken.toReversed().map(({ id, takenAtMs }) => [id, takenAtMs]));
  const run = {
    operations: readRecording(join(directory, 'record')),
    root,
    sent: load.sent,
    deliveredAtMs,
    endMs,
  };
  await rig.dispose();
  rig = undefined;
  return run;
}

/** The queue alone, with files so small that they come and go all the time. */
async function recordSpool(): Promise<Run> {
  directory = mkdtempSync(join(tmpdir(), 'postern-power-'));
  const root = join(directory, 'data');
  mkdirSync(root);
  const script = resolve(import.meta.dirname, 'children/churn.mjs');
  const child = new Program(process.execPath, [script, join(root, 'queue'), String(400_000)], {
    env: preload(root),
  });
  await until('messages are stored', () => child.stdout.length > 100);
  await sleep(loadMs);
  const endMs = monotonicMs();
  child.kill('SIGKILL');
  await child.exited;
  const { sent, deliveredAtMs } = readEvents(child.stdout);
  return { operations: readRecording(join(directory, 'record')), root, sent, deliveredAtMs, endMs };
}

const total = { runs: 0, images: 0, unsureWrites: 0, required: 0, acked: 0, answers: 0, early: 0, faulty: 0 };

function expectSound(verdict: PowerLossVerdict, run: Run): void {
  total.runs += 1;
  total.images += verdict.images;
  total.unsureWrites += verdict.unsureWrites;
  total.required += verdict.required;
  total.acked += [...run.sent.values()].filter(({ outcome }) => outcome === 'acked').length;
  total.answers += verdict.answers;
  total.early += verdict.early;
  total.faulty += verdict.faulty.length;
  expect(verdict.faulty.slice(0, 3), `seed ${seed}: ${JSON.stringify(verdict.faulty.slice(0, 3))}`).toEqual(
    [],
  );
  expect(verdict.early, `seed ${seed}: 250s before their messages were on disk`).toBe(0);
  expect(verdict.required).toBeGreaterThan(0);
  expect(verdict.unsureWrites).toBeGreaterThan(0);
}

describe.skipIf(missing !== undefined)(`power loss${missing === undefined ? '' : ` (${missing})`}`, () => {
  const timeout = 60_000 + images * 1_000;

  test(
    'F-04 G-04: whatever was not synced is lost: every image of a loaded server opens, is sound, and holds what was acknowledged',
    async () => {
      const random = new Random(seed);
      for (let done = 0; done < images / 2; done += imagesPerRun) {
        const run = await recordServer(random);
        expectSound(await tryImages(run, Math.min(imagesPerRun, images / 2 - done), random), run);
      }
    },
    timeout,
  );

  test(
    'F-04 G-04: … while queue files come, are emptied and go',
    async () => {
      const random = new Random(seed + 1);
      for (let done = 0; done < images / 2; done += imagesPerRun) {
        const run = await recordSpool();
        expect(run.operations.filter(({ op }) => op === 'create').length).toBeGreaterThan(2);
        expectSound(await tryImages(run, Math.min(imagesPerRun, images / 2 - done), random), run);
      }
      record('power loss', {
        ids: ['F-04', 'G-04'],
        summary: `${total.images} images of ${total.runs} runs, ${total.faulty} with a fault; ${total.unsureWrites} writes not synced at their moment, ${total.required} acknowledged messages required and found whole; of ${total.answers} 250s looked at in the record ${total.early} came before the message was on disk`,
        seed,
        figures: total,
      });
    },
    timeout,
  );

  test(
    'F-04 F-10: … while each sync takes a quarter of a second: no 250 is early',
    async () => {
      const random = new Random(seed + 3);
      const control = new ControlPage(join(tmpdir(), `postern-control-${process.pid}`));
      control.arm({ call: 'sync', kind: 'slow', nth: 1, delayMs: 250, sticky: true });
      try {
        const run = await recordServer(random, { control });
        const verdict = await tryImages(run, 30, random);
        expect(verdict.faulty, `seed ${seed}`).toEqual([]);
        expect(verdict.early, `seed ${seed}`).toBe(0);
        expect(control.struck).toBeGreaterThan(2);
      } finally {
        control.close();
      }
    },
    timeout,
  );

  test.each(['fdatasync', 'dsync', 'fsync'] as const)(
    'F-04: a build that leaves out its %s loses acknowledged mail in this check',
    async (noSync) => {
      const random = new Random(seed + 2);
      const run = await recordServer(random, { noSync });
      const { early, earlyAndKept, faulty } = await tryImages(run, 12, random);
      // By the record alone, and in the images: each 250 that came too early is of a message that is then gone.
      expect(early, `seed ${seed}`).toBeGreaterThan(0);
      expect(faulty.length, `seed ${seed}`).toBeGreaterThan(0);
      expect(earlyAndKept, `seed ${seed}`).toEqual([]);
    },
    timeout,
  );
});
