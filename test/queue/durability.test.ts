/** Promise 1 on the built code: what is acknowledged is on disk, and after a failed commit nothing is acknowledged. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { listSpoolFiles } from '../../src/base/spool-files.js';
import { SpoolBench, bodyOf, leaseOne, patternBytes, until, listAll } from './harness.js';
import { Endless, run, whyNoStrace } from './processes.js';

const noStrace = whyNoStrace();
const traced = noStrace === undefined ? '' : ` (skipped: ${noStrace})`;

let bench: SpoolBench;

beforeEach(async () => {
  bench = await SpoolBench.make();
});

afterEach(async () => {
  await bench.end();
});

async function filesLeft(): Promise<string[]> {
  return (await listSpoolFiles(bench.directory)).map(({ file }) => file);
}

/** The calls between two marks, in the order in which they returned. */
function between(trace: readonly string[], name: string): string[] {
  const from = trace.findIndex((line) => line.includes(`MARK ${name} begin`));
  const to = trace.findIndex((line) => line.includes(`MARK ${name} committed`));
  expect(from).toBeGreaterThan(0);
  expect(to).toBeGreaterThan(from);
  return trace.slice(from + 1, to);
}

describe.skipIf(noStrace !== undefined)(`the order of system calls${traced}`, () => {
  it('is pages, fdatasync, meta page through O_DSYNC, and only then the acknowledgement (U-1)', async () => {
    const file = join(bench.directory, '..', 'trace');
    const calls = 'trace=openat,pwrite64,pwritev,writev,write,fdatasync';
    const { stderr } = await run('commit-order', [bench.directory], { strace: ['-e', calls, '-o', file] });
    expect(stderr).toContain('MARK large committed');
    const trace = (await readFile(file, 'utf8')).split('\n');
    const dsync = /O_DSYNC.*= (\d+)$/.exec(trace.find((line) => line.includes('O_DSYNC')) ?? '')?.[1];
    expect(dsync).toBeDefined();
    for (const name of ['small', 'large']) {
      const lines = between(trace, name);
      const synced = lines.findLastIndex((line) => /fdatasync(\(| resumed).*= 0$/.test(line));
      const pages = lines.findLastIndex(
        (line) => /(pwritev|writev|pwrite64)\(/.test(line) && !line.includes(`(${dsync},`),
      );
      const meta = lines.findLastIndex((line) => line.includes(`pwrite64(${dsync},`));
      expect(pages, name).toBeGreaterThanOrEqual(0);
      expect(synced, name).toBeGreaterThan(pages);
      expect(meta, name).toBeGreaterThan(synced);
    }
  });
});

/** What a process reports whose disk takes one message and no more. */
const refusedAll = {
  outcomes: ['SPOOL_COMMIT', 'SPOOL_COMMIT', 'SPOOL_COMMIT'],
  later: ['SPOOL_COMMIT', 'SPOOL_COMMIT', 'SPOOL_COMMIT'],
  failed: ['SPOOL_COMMIT'],
  full: [],
  unhandled: 0,
  listed: 1,
};

/** And of one whose disk has room for one message and no more: it need not end. */
const refusedForSpace = {
  ...refusedAll,
  outcomes: ['SPOOL_FULL', 'SPOOL_FULL', 'SPOOL_FULL'],
  later: ['SPOOL_FULL', 'SPOOL_FULL', 'SPOOL_FULL'],
  failed: [],
  full: [true],
};

async function onFailingDisk(inject: string, commitTimeoutMs: number): Promise<unknown> {
  const calls = inject.slice(0, inject.indexOf(':'));
  const { stdout } = await run('failing-disk', [bench.directory, String(commitTimeoutMs)], {
    strace: ['-e', `trace=${calls}`, '-e', `inject=${inject}`, '-o', '/dev/null'],
  });
  return JSON.parse(stdout);
}

describe.skipIf(noStrace !== undefined)(`a disk that fails${traced}`, () => {
  // The format record and the first message have committed by then; the counts are those of the one pool thread.
  it.each([
    ['EIO on fdatasync (U-5, F-08)', 'fdatasync:error=EIO:when=3+', refusedAll],
    ['EIO on the pages (F-07)', 'writev,pwritev:error=EIO:when=2+', refusedAll],
    ['ENOSPC on the pages (F-06)', 'writev,pwritev:error=ENOSPC:when=2+', refusedForSpace],
    ['EIO on the meta page (F-09)', 'pwrite64:error=EIO:when=4+', refusedAll],
  ])(
    'with %s: all in flight are refused, nothing of them is stored, the process lives',
    async (_name, inject, expected) => {
      expect(await onFailingDisk(inject, 20_000)).toEqual(expected);
      const { spool, told } = await bench.open();
      await spool.adopt(await filesLeft(), false);
      expect(told.damaged).toEqual([]);
      expect(await listAll(spool)).toMatchObject({ total: 1, messages: [{ bytes: 1000, state: 'active' }] });
    },
  );

  it('with EIO on the meta page: what cannot be read any more is not called damaged (F-09)', async () => {
    const file = join(bench.directory, 'alone.mdb');
    const { stdout } = await run('failed-environment', [file], {
      strace: ['-e', 'trace=pwrite64', '-e', 'inject=pwrite64:error=EIO:when=4+', '-o', '/dev/null'],
    });
    const refused = { commit: 'SPOOL_COMMIT', reads: ['SPOOL_CLOSED', 'SPOOL_CLOSED'] };
    expect(JSON.parse(stdout)).toEqual(refused);
  });

  it('with an fdatasync that does not return in time: all in flight are refused, closing does not hang (F-11)', async () => {
    expect(await onFailingDisk('fdatasync:delay_enter=4000000:when=3+', 500)).toEqual(refusedAll);
    const { spool, told } = await bench.open();
    await spool.adopt(await filesLeft(), false);
    expect(told.damaged).toEqual([]);
    // That commit may have reached the disk after all: its messages are duplicates then, never losses.
    expect([1, 4]).toContain((await listAll(spool)).total);
  });
});

describe('kill -9', { timeout: 120_000 }, () => {
  it('again and again while messages are stored loses none that was acknowledged (U-7, F-01)', async () => {
    const acknowledged = new Map<string, Buffer>();
    for (let life = 0; life < 5; life++) {
      const child = new Endless('append', [bench.directory, `life-${life}`, ...(await filesLeft())]);
      await until(() => child.lines.length > 20);
      await sleep(20 * life); // another moment of the work each time
      await child.kill();
      for (const line of child.lines) {
        const [, id = '', length, seed] = line.split(' ');
        acknowledged.set(id, patternBytes(Number(length), Number(seed)));
      }
    }
    const { spool, told } = await bench.open();
    await spool.adopt(await filesLeft(), false);
    expect(told.damaged).toEqual([]);
    expect(acknowledged.size).toBeGreaterThan(100);
    const { active } = spool.stats().messages;
    expect(active).toBeGreaterThanOrEqual(acknowledged.size);
    for (let i = 0; i < active; i++) {
      const lease = await leaseOne(spool);
      const body = await bodyOf(lease);
      // Not all that is there was acknowledged, but all that was acknowledged is there, and as it was sent.
      const sent = acknowledged.get(lease.message.id);
      if (sent !== undefined) expect(body.equals(sent)).toBe(true);
      acknowledged.delete(lease.message.id);
    }
    expect([...acknowledged.keys()]).toEqual([]);
  });
});
