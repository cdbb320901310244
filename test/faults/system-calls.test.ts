/**
 * The n-th system call fails or is slow (G-02, F-06 to F-12): for n = 1…200 the n-th write, meta write, sync and open of
 * the queue's files, counted for the whole process, with EIO, ENOSPC, a short write, or two seconds late; once, or from
 * there on. First on the queue alone, every call of its life; then on a whole server under load. CI takes a sample of
 * both, `npm run faults -- --system-calls` takes all.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { until } from '../support/processes.js';
import { run as runProgram } from '../support/program.js';
import { readEvents, type Events } from './events.js';
import { ImageChecker } from './image-checker.js';
import { inMemory } from './in-memory.js';
import { faultsOf } from './oracle.js';
import { judgeImage } from './power-loss.js';
import { Random, seedOfRun } from '../support/random.js';
import { record, sized } from './results.js';
import { Rig } from './rig.js';
import { ControlPage, buildShim, shimEnvironment, whyNoShim, type Fault, type Shim } from './shim.js';

const lastN = 200;
// The queue of the first suite makes some eight files, with three calls each.
const lastOpen = 24;
/** Of all n × kinds, how many are tried; Infinity: all. */
const spoolRuns = sized('FAULTS_SPOOL_RUNS', 33);
const serverFaults = sized('FAULTS_SERVER_FAULTS', 8);
const seed = seedOfRun('FAULTS_SEED');
const missing = whyNoShim();

type Kind = Omit<Fault, 'nth'>;
const kinds: readonly Kind[] = [
  { call: 'write', kind: 'EIO' },
  { call: 'write', kind: 'ENOSPC' },
  { call: 'write', kind: 'ENOSPC', sticky: true },
  { call: 'write', kind: 'short' },
  { call: 'meta', kind: 'EIO' },
  { call: 'meta', kind: 'short' },
  { call: 'sync', kind: 'EIO' },
  { call: 'sync', kind: 'EIO', sticky: true },
  { call: 'sync', kind: 'ENOSPC' },
  { call: 'open', kind: 'EIO' },
  { call: 'open', kind: 'ENOSPC', sticky: true },
];

let shim: Shim | undefined;
let directory = '';
let control: ControlPage;
let rig: Rig | undefined;
const checker = new ImageChecker();

beforeAll(() => {
  if (missing !== undefined) return;
  shim = buildShim();
  directory = mkdtempSync(join(inMemory, 'postern-calls-'));
  control = new ControlPage(join(directory, 'control'));
});

afterAll(async () => {
  await checker.close();
  shim?.dispose();
  if (directory === '') return;
  control.close();
  rmSync(directory, { recursive: true });
});

afterEach(async () => {
  await rig?.dispose();
  rig = undefined;
});

function environment(root: string, anyProcess: boolean): Record<string, string> {
  if (shim === undefined) throw new Error('no shim');
  return shimEnvironment(shim, { root, control, anyProcess });
}

interface SpoolOutcome {
  readonly fault: Fault;
  readonly struck: number;
  readonly acked: number;
  readonly required: number;
  readonly faults: readonly string[];
  /** LMDB itself fell. */
  readonly fell: boolean;
}

async function runSpool(fault: Fault): Promise<SpoolOutcome> {
  const root = join(directory, 'spool');
  mkdirSync(root);
  control.arm(fault);
  const script = resolve(import.meta.dirname, 'children/faulty-disk.mjs');
  const { stdout, signal, stderr } = await runProgram(process.execPath, [script, join(root, 'queue')], {
    env: environment(root, true),
  });
  const { struck } = control;
  control.disarm();
  const events = readEvents(stdout.split('\n'));
  const report = await checker.check(root, true);
  rmSync(root, { recursive: true });
  const { required, faults } = judgeImage(report, events, Number.MAX_VALUE);
  const summary = stdout.slice(stdout.lastIndexOf('\n{') + 1);
  const fell = signal !== null && signal !== 'SIGKILL' && mayFell(fault);
  if (fell) return { fault, struck, acked: ackedOf(events), required, faults, fell };
  if (signal !== 'SIGKILL' || !summary.startsWith('{'))
    faults.push(`it ended by itself: ${signal} ${stderr.slice(-500)}`);
  else if ((JSON.parse(summary) as { unhandled: number }).unhandled > 0)
    faults.push('a rejection that nobody handled');
  return { fault, struck, acked: ackedOf(events), required, faults, fell };
}

/**
 * lmdb-js 3.5.6 itself falls over some errors: the open of a file that fails ends in SIGSEGV, and the words for a page
 * that cannot be written may be longer than the 100 bytes it has for them (README.md). The process dies, no mail does.
 */
function mayFell({ call, kind }: Fault): boolean {
  return call === 'open' || (call === 'write' && kind !== 'short');
}

function ackedOf({ sent }: Events): number {
  return [...sent.values()].filter(({ outcome }) => outcome === 'acked').length;
}

function* everyFault(): Generator<Fault> {
  for (let nth = 1; nth <= lastN; nth++)
    for (const kind of kinds) if (nth <= lastOfKind(kind)) yield { ...kind, nth };
}

function lastOfKind({ call }: Kind): number {
  return call === 'open' ? lastOpen : lastN;
}

function sample(random: Random): Fault[] {
  const all = [...everyFault()];
  if (spoolRuns >= all.length) return all;
  // Each kind in turn; early calls, which make the files, more often than late ones.
  return Array.from({ length: spoolRuns }, (_, index) => {
    const kind = kinds[index % kinds.length] ?? random.pick(kinds);
    return { ...kind, nth: random.chance(0.4) ? random.between(1, 12) : random.between(1, lastOfKind(kind)) };
  });
}

/** What is done to the server: the same calls, and slowness. */
const serverKinds: readonly Kind[] = [...kinds, { call: 'sync', kind: 'slow', delayMs: 2_000 }];

async function strike(rig: Rig, random: Random): Promise<Fault> {
  const kind = random.pick(serverKinds);
  // Opening happens at the start of a worker: there, the first calls of its life are hit, else those of a running one.
  const fresh = kind.call === 'open' || random.chance(0.3);
  const fault: Fault = { ...kind, fresh, nth: fresh ? random.between(1, 8) : random.between(1, lastN) };
  await rig.blow(`${fault.call} ${fault.kind} ${fault.nth}`, async () => {
    control.arm(fault);
    if (fresh) await rig.kill('worker', random.between(0, 1));
    // A worker that starts makes fewer calls than some n: then nothing was to be hit.
    await until('the fault strikes', () => control.struck > 0, fresh ? 3_000 : 30_000).catch(
      (error: unknown) => {
        if (!fresh) throw error;
      },
    );
    control.disarm();
    await rig.allReady();
  });
  return fault;
}

describe.skipIf(missing !== undefined)(
  `the n-th system call${missing === undefined ? '' : ` (${missing})`}`,
  () => {
    test(
      'F-06 F-07 F-08 F-09 G-02: of the queue alone: nothing acknowledged is lost, nothing refused is stored, nothing is damaged',
      async () => {
        const outcomes: SpoolOutcome[] = [];
        for (const fault of sample(new Random(seed))) outcomes.push(await runSpool(fault));
        const faulty = outcomes.filter(({ faults }) => faults.length > 0);
        const struck = outcomes.filter((outcome) => outcome.struck > 0);
        record('system calls of the queue', {
          ids: ['G-02'],
          summary: `${struck.length} runs with a failed call of ${outcomes.length} (n to ${lastN}, ${kinds.length} kinds), ${sum(outcomes, 'acked')} acknowledged, lost 0`,
          seed,
          figures: {
            runs: outcomes.length,
            struck: struck.length,
            acked: sum(outcomes, 'acked'),
            required: sum(outcomes, 'required'),
            faulty: faulty.length,
          },
        });
        expect(faulty.slice(0, 5), `seed ${seed}: ${JSON.stringify(faulty)}`.slice(0, 5_000)).toEqual([]);
        expect(struck.length).toBeGreaterThan(outcomes.length / 2);
      },
      60_000 + Math.min(spoolRuns, 4_000) * 3_000,
    );

    test(
      'F-06 F-07 F-08 F-09 F-10 G-02: of a server under load: it is answered 4xx or waits, the worker is replaced, no acknowledged message is lost',
      async () => {
        const random = new Random(seed + 1);
        const root = join(directory, 'data');
        mkdirSync(root);
        rig = await Rig.start({ env: environment(root, false), config: { dataDir: root } });
        const load = rig.load({ senders: 8, random, pauseMs: 5 });
        const strikes: Fault[] = [];
        for (let n = 0; n < serverFaults; n++) {
          const { acked } = load;
          await until('mail flows', () => load.acked > acked + 5, 40_000);
          strikes.push(await strike(rig, random));
        }
        await load.stop();
        await rig.drained(120_000);
        const verdict = await rig.judge();
        record('system calls of a server', {
          ids: ['G-02'],
          summary: `${strikes.length} faults under load, ${verdict.acked} acknowledged, ${verdict.refused} refused, lost ${verdict.lost.length}, no reply that never came`,
          seed,
          figures: {
            faults: strikes.length,
            acked: verdict.acked,
            refused: verdict.refused,
            lost: verdict.lost.length,
            duplicates: verdict.duplicates.length,
            hung: load.hung,
            refusals: Object.fromEntries(load.refusals),
          },
        });
        expect(faultsOf(verdict), JSON.stringify({ seed, strikes })).toEqual([]);
        expect(rig.troubles).toEqual([]);
        expect(load.hung).toBe(0);
        for (const code of load.refusals.keys()) expect(code).toMatch(/^4/);
      },
      120_000 + serverFaults * 20_000,
    );
  },
);

function sum(outcomes: readonly SpoolOutcome[], key: 'acked' | 'required'): number {
  return outcomes.reduce((total, outcome) => total + outcome[key], 0);
}
