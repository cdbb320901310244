/**
 * What lies around a server fails it: the file system turns read-only (F-12), the clock jumps (F-30), memory is short
 * (F-32), nobody reads its log (F-36), files belong to somebody else. Each under load or over a filled queue, and each with what an operator sees.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';

import { startPostern } from '../support/postern.js';
import { memoryOf, until } from '../support/processes.js';
import { faultsOf } from './oracle.js';
import { Random, seedOfRun } from '../support/random.js';
import { Rig } from './rig.js';

const canMount = spawnSync('unshare', ['-m', 'true']).status === 0;
// Only root's processes hold rights that chmod does not bind, and `setpriv` takes them.
const canBeDenied = spawnSync('setpriv', ['--bounding-set=-dac_override', 'true']).status === 0;
const hasFaketime = spawnSync('faketime', ['--version']).error === undefined;
const mib = 2 ** 20;

let rig: Rig | undefined;
let directory: string | undefined;

afterEach(async () => {
  await rig?.dispose();
  rig = undefined;
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  directory = undefined;
});

function fresh(): string {
  directory = mkdtempSync(join(tmpdir(), 'postern-around-'));
  return directory;
}

/** Killed with a filled queue; its hop takes mail again. */
async function killedOverMail(dataDir: string, random: Random): Promise<Rig> {
  const started = (rig = await Rig.start({ config: { dataDir } }));
  started.hop.frozen = true;
  const load = started.load({ senders: 4, random, pauseMs: 5 });
  await until('a queue has formed', () => load.acked > 50);
  await load.stop();
  await started.kill('everything');
  started.hop.release();
  return started;
}

async function expectAllDelivered(of: Rig): Promise<void> {
  await of.drained(20_000);
  const verdict = await of.judge();
  expect(faultsOf(verdict), JSON.stringify(verdict).slice(0, 5_000)).toEqual([]);
  expect(of.troubles).toEqual([]);
}

function inMountsOf(pid: number, ...command: string[]): void {
  const { status, stderr } = spawnSync('nsenter', ['-t', String(pid), '-m', ...command], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
}

describe.skipIf(!canMount)(
  `a file system of its own${canMount ? '' : ' (no right to mount: run as root)'}`,
  () => {
    test('F-12: the file system becomes read-only: mail is refused with 4xx, and flows again when it can be written', async () => {
      const dataDir = fresh();
      const mount = `mount -t tmpfs -o size=256m tmpfs "$1" && shift && exec "$@"`;
      rig = await Rig.start({
        config: { dataDir },
        wrapper: ['unshare', '-m', 'sh', '-c', mount, 'sh', dataDir],
      });
      const { postern } = rig;
      const load = rig.load({ senders: 4, random: new Random(seedOfRun('FAULTS_SEED')), pauseMs: 10 });
      await until('mail flows', () => load.acked > 20);
      await rig.blow('read-only', async () => {
        // Memory mapped for writing (LMDB's reader table) keeps a plain remount away; a bind mount over it does not.
        inMountsOf(postern.pid, 'mount', '--bind', dataDir, dataDir);
        inMountsOf(postern.pid, 'mount', '-o', 'remount,bind,ro', dataDir);
        for (const pid of postern.workerPids()) process.kill(pid, 'SIGKILL');
        await until(
          'the log names it',
          () => postern.log.some(({ event }) => event === 'worker.unable'),
          30_000,
        );
        inMountsOf(postern.pid, 'umount', dataDir);
      });
      const { acked } = load;
      await until('mail flows again', () => load.acked > acked + 20, 40_000);
      await load.stop();
      for (const code of load.refusals.keys()) expect(code).toMatch(/^4/);
      const unable = postern.log.find(({ event }) => event === 'worker.unable');
      expect(unable?.['err']).toMatch(/read-only file system/i);
      rig.postern = postern;
      // Its files are below a mount that only it sees: whether they are gone cannot be looked up from here.
      await until(
        'all is delivered',
        () => [...load.sent].every(([id, sent]) => sent.outcome !== 'acked' || rig?.hop.takenIds.has(id)),
        60_000,
      );
      expect(faultsOf(await rig.judge())).toEqual([]);
    }, 120_000);
  },
);

describe.skipIf(!canBeDenied)(
  `permissions${canBeDenied ? '' : ' (no right to give up the rights of root)'}`,
  () => {
    // What chmod says binds root, too, without these.
    const withoutRights = ['setpriv', '--bounding-set=-dac_override,-dac_read_search'];

    test('a queue file that it may not open: mail flows, the log says whose right is missing, and nothing of it is lost', async () => {
      const random = new Random(seedOfRun('FAULTS_SEED'));
      rig = await killedOverMail(fresh(), random);
      const slot = join(rig.postern.dataDir, 'queue/slot-0');
      const files = readdirSync(slot).filter((name) => name.endsWith('.mdb'));
      for (const name of files) chmodSync(join(slot, name), 0);
      rig.postern = await startPostern({ again: rig.postern, wrapper: withoutRights });
      const denied = await until('the log names it', () =>
        rig?.postern.log.find(({ event }) => event === 'queue.damaged'),
      );
      expect(denied['file']).toBe(join(slot, files[0] ?? ''));
      expect(denied['reason']).toMatch(/EACCES.*user that Postern runs as, and restart/);
      const after = rig.load({ senders: 2, random, pauseMs: 5 });
      await until('new mail is accepted', () => after.acked > 20);
      await after.stop();
      expect(await rig.postern.stop()).toEqual({ code: 0, signal: null });
      for (const name of files) chmodSync(join(slot, name), 0o600);
      rig.postern = await startPostern({ again: rig.postern, wrapper: withoutRights });
      await expectAllDelivered(rig);
    }, 120_000);

    test('a queue folder that it may not write: the start ends and names it', async () => {
      rig = await Rig.start({ config: { dataDir: fresh() } });
      await rig.postern.stop();
      const slot = join(rig.postern.dataDir, 'queue/slot-0');
      chmodSync(slot, 0o500);
      const refused = await startPostern({
        again: rig.postern,
        wrapper: withoutRights,
        waitUntilReady: false,
      });
      expect(await refused.exited).toEqual({ code: 1, signal: null });
      const reason = refused.log.find(({ event }) => event === 'start.failed');
      expect(reason).toMatchObject({ code: 'DATA_DIR_UNUSABLE' });
      expect(reason?.msg).toContain(slot);
      expect(reason?.msg).toContain('make it writable for the user that Postern runs as');
      chmodSync(slot, 0o700);
      rig.postern = await startPostern({ again: rig.postern });
    }, 60_000);
  },
);

describe.skipIf(!hasFaketime)(`the clock${hasFaketime ? '' : ' (faketime is not installed)'}`, () => {
  test.each([
    ['an hour ahead', '+1h'],
    ['an hour behind', '-1h'],
    ['ten years ahead', '+10y'],
  ])(
    'F-30: %s after a restart: nothing bounces, what waits is delivered, new mail moves',
    async (_name, offset) => {
      const root = fresh();
      mkdirSync(join(root, 'data'));
      const random = new Random(seedOfRun('FAULTS_SEED'));
      rig = await killedOverMail(join(root, 'data'), random);
      const again = await startPostern({
        again: rig.postern,
        wrapper: ['faketime', '-f', offset],
        // Only the wall clock jumps, as it does on a machine whose clock is set.
        env: { DONT_FAKE_MONOTONIC: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' },
      });
      rig.postern = again;
      const after = rig.load({ senders: 2, random, pauseMs: 5 });
      await until('new mail is accepted', () => after.acked > 20);
      await after.stop();
      await expectAllDelivered(rig);
      expect(rig.hop.notified.size).toBe(0);
    },
    120_000,
  );
});

test('F-32: with a small budget of bytes, hundreds of large messages at once are slowed or refused, and memory stays bounded', async () => {
  const budgetMiB = 32;
  rig = await Rig.start({
    workers: 1,
    config: { limits: { diskReserve: '1MiB', bytesInFlight: `${budgetMiB}MiB` } },
  });
  const { postern } = rig;
  const [pid = 0] = postern.workerPids();
  const idle = memoryOf(pid, 'RssAnon');
  const load = rig.load({ senders: 120, random: new Random(seedOfRun('FAULTS_SEED')), large: 1 });
  let peak = 0;
  await until(
    'they are taken',
    () => {
      peak = Math.max(peak, memoryOf(pid, 'RssAnon'));
      return load.acked > 250;
    },
    60_000,
  );
  await load.stop();
  expect(postern.workerPids()).toEqual([pid]);
  // G-13's 1.2 budgets, and what V8 lets pile up before it collects.
  expect(peak - idle).toBeLessThan(1.2 * budgetMiB * mib + 160 * mib);
  for (const code of load.refusals.keys()) expect(code).toMatch(/^4/);
  await expectAllDelivered(rig);
}, 120_000);

test('F-36: nobody reads the log: mail flows, lines are dropped and counted, memory is bounded, and a stop ends it', async () => {
  const fifo = join(fresh(), 'log');
  expect(spawnSync('mkfifo', [fifo]).status).toBe(0);
  // Held open and never read: a pipe of 64 KiB that fills.
  const reader = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
  try {
    rig = await Rig.start({
      wrapper: ['sh', '-c', 'log=$1; shift; exec "$@" >"$log"', 'sh', fifo],
      config: { log: { level: 'trace' } },
    });
    const load = rig.load({ senders: 8, random: new Random(seedOfRun('FAULTS_SEED')), large: 0 });
    const { postern } = rig;
    await until(
      'lines are dropped',
      async () => (await postern.metric('postern_log_lines_dropped_total')) > 0,
      90_000,
    );
    const { acked } = load;
    await until('mail flows on', () => load.acked > acked + 100, 40_000);
    await load.stop();
    await expectAllDelivered(rig);
    for (const pid of postern.workerPids()) expect(memoryOf(pid, 'RssAnon')).toBeLessThan(300 * mib);
    const exit = await postern.stop();
    expect(exit).toEqual({ code: 0, signal: null });
  } finally {
    closeSync(reader);
  }
}, 180_000);
