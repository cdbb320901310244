import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, open, readFile, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { PosternError } from '../../src/base/errors.js';
import { listSpoolFiles, spoolFilePath } from '../../src/base/spool-files.js';
import { formatVersion } from '../../src/queue/generation.js';
import { chunkKey, envelopeKey, formatKey } from '../../src/queue/keys.js';
import { LmdbEnv } from '../../src/queue/lmdb-env.js';
import { decodeRecord, encodeRecord, type MessageRecord } from '../../src/queue/record.js';
import type { NewEnvelope, Spool } from '../../src/queue/spool.js';
import {
  SpoolBench,
  bodyOf,
  deliverAll,
  leaseOne,
  patternBytes,
  result,
  store,
  until,
  listAll,
} from './harness.js';

let bench: SpoolBench;

beforeEach(async () => {
  bench = await SpoolBench.make();
});

afterEach(async () => {
  await bench.end();
});

/** What a process that is gone leaves: the path of its file. */
async function leave(fill: (spool: Spool) => Promise<void>): Promise<string> {
  const { spool } = await bench.open();
  await fill(spool);
  const [file] = spool.openFiles();
  await spool.close();
  return file ?? '';
}

/** Changes a file as no Postern would. */
async function tamper(file: string, change: (env: LmdbEnv) => void): Promise<void> {
  const env = new LmdbEnv(file, 10_000);
  await env.batch(() => change(env));
  await env.close();
}

/** In the file itself: the map shows it at once. */
async function damageWhileOpen(file: string, ids: readonly string[]): Promise<void> {
  const bytes = await readFile(file);
  const handle = await open(file, 'r+');
  for (const id of ids) {
    const key = envelopeKey(id);
    for (let at = bytes.indexOf(key); at >= 0; at = bytes.indexOf(key, at + 1))
      await handle.write(Buffer.from([0xff]), 0, 1, at + key.length + 30);
  }
  await handle.close();
}

function recipientsOf(count: number): NewEnvelope['recipients'] {
  return Array.from({ length: count }, (_, i) => ({ address: `r${i}@example.test`, route: 'office' }));
}

async function digest(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}

function strange(name: string): string {
  return join(bench.directory, 'slot-0', name);
}

async function write(name: string, content: Buffer): Promise<string> {
  await mkdir(dirname(strange(name)), { recursive: true });
  await writeFile(strange(name), content);
  return strange(name);
}

describe('a file of a process that is gone', () => {
  it('is served like an own one, and goes when it is empty', async () => {
    const bodies = [patternBytes(300, 1), patternBytes(300_000, 2)];
    const ids: string[] = [];
    const file = await leave(async (spool) => {
      for (const body of bodies) ids.push(await store(spool, body));
      await leaseOne(spool);
    });
    const { spool, told } = await bench.open();
    const due: string[] = [];
    spool.onDue = (route) => due.push(route);
    await spool.adopt([file], false);
    expect(told.phases).toEqual(['opening', 'scanning', 'idle']);
    expect(due).toContain('office');
    for (const body of bodies) {
      const lease = await leaseOne(spool);
      // The first attempt may have begun before the process died.
      expect(lease.message.attempts).toBe(2);
      expect((await bodyOf(lease)).equals(body)).toBe(true);
      await spool.settle(lease, [result('delivered')], 0);
    }
    await until(() => told.retired.length > 0);
    expect(told.retired).toEqual([file]);
    expect(existsSync(file) || existsSync(`${file}-lock`)).toBe(false);
    expect(spool.stats().files).toBe(1);
  });

  it('brings holds, failures, attempts and due times with it', async () => {
    const next = Date.now() + 3_600_000;
    const ids: string[] = [];
    const file = await leave(async (spool) => {
      for (let i = 0; i < 3; i++) ids.push(await store(spool, patternBytes(10)));
      await spool.hold(ids[0] ?? '');
      await spool.settle(await leaseOne(spool), [result('failed')], 0);
      await spool.settle(await leaseOne(spool), [result('pending')], next);
    });
    const { spool } = await bench.open();
    await spool.adopt([file], false);
    expect(ids.map((id) => spool.show(id).state)).toEqual(['held', 'failed', 'deferred']);
    expect(spool.due().get('office')).toMatchObject({ count: 1, earliestAtMs: next });
    expect((await leaseOne(spool, 'office', next)).message.attempts).toBe(2);
    await spool.close();
    const third = await bench.open();
    await third.spool.adopt([file], false);
    expect((await leaseOne(third.spool, 'office', next)).message.attempts).toBe(3);
  });

  it('that is gone by now is no trouble', async () => {
    const { spool, told } = await bench.open();
    await spool.adopt([spoolFilePath(bench.directory, 0, 'gone', 0)], false);
    expect(told.damaged).toEqual([]);
    expect(existsSync(spoolFilePath(bench.directory, 0, 'gone', 0))).toBe(false);
  });

  it('with many messages is scanned while new mail is taken', async () => {
    const file = await leave(async (spool) => {
      await Promise.all(Array.from({ length: 3000 }, (_, i) => store(spool, patternBytes(50, i))));
    });
    const { spool } = await bench.open();
    const adopted = spool.adopt([file], false);
    let stored = 0;
    let over = false;
    const during = (async () => {
      while (!over) {
        await store(spool, patternBytes(10));
        stored++;
      }
    })();
    await adopted;
    over = true;
    await during;
    expect(spool.stats().messages.active).toBe(3000 + stored);
    expect(stored).toBeGreaterThan(0);
  });

  it('with envelopes of any size is scanned whole: a slice that one of them fills, and more of them than one slice takes', async () => {
    const ids: string[] = [];
    const file = await leave(async (spool) => {
      for (const count of [1, 6_000, 3_000, 1, 1_000, 1_000, 1_000, 1])
        ids.push(await store(spool, patternBytes(100), { recipients: recipientsOf(count) }));
    });
    const { spool, told } = await bench.open();
    await spool.adopt([file], false);
    const { messages: found } = await listAll(spool);
    expect(found.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    expect(found.map(({ recipients }) => recipients.length).toSorted((a, b) => a - b)).toEqual([
      1, 1, 1, 1_000, 1_000, 1_000, 3_000, 6_000,
    ]);
    expect(told.damaged).toEqual([]);
  });

  it('loses chunks whose envelope never came', async () => {
    const file = await leave(async (spool) => {
      await store(spool, patternBytes(10));
    });
    await tamper(file, (env) => {
      for (let i = 0; i < 300; i++) env.put(chunkKey('0ORPHAN000000000', i), Buffer.alloc(10));
      env.put(chunkKey('ZORPHAN000000000', 0), Buffer.alloc(10));
    });
    const first = await bench.open();
    await first.spool.adopt([file], false);
    await first.spool.close();
    const env = new LmdbEnv(file, 10_000);
    expect(env.keys(Buffer.from([0]), Buffer.from([0xff]), 1_000).map((key) => key.charAt(0))).toEqual([
      'b',
      'e',
      'f',
    ]);
    await env.close();
    const { spool, told } = await bench.open();
    await spool.adopt([file], false);
    await deliverAll(spool);
    await until(() => told.retired.length > 0);
    expect(told.damaged).toEqual([]);
  });

  it('with a message that is known from another file gives it once, as the copy that saw more attempts', async () => {
    const file = await leave(async (spool) => {
      await store(spool, patternBytes(10));
    });
    const copy = spoolFilePath(bench.directory, 0, 'copy', 0);
    await copyFile(file, copy);
    const second = await bench.open();
    await second.spool.adopt([copy], false);
    const lease = await leaseOne(second.spool);
    await second.spool.settle(lease, [result('pending')], 0);
    await second.spool.close();
    for (const files of [
      [file, copy],
      [copy, file],
    ]) {
      const { spool } = await bench.open();
      for (const [i, path] of files.entries()) await copyFile(path, strange(`try-${i}.mdb`));
      await spool.adopt([strange('try-0.mdb'), strange('try-1.mdb')], false);
      expect(await listAll(spool)).toMatchObject({
        total: 1,
        messages: [{ attempts: 2, state: 'deferred' }],
      });
      expect(await deliverAll(spool)).toEqual([lease.message.id]);
      await until(() => spool.stats().files === 1);
    }
  });
});

describe('a file that cannot be used', () => {
  it('of a newer format is refused by name and left untouched (F-39)', async () => {
    const file = await leave(async (spool) => {
      await store(spool, patternBytes(10));
    });
    await tamper(file, (env) => env.put(formatKey, Buffer.from(`postern-spool ${formatVersion + 1}`)));
    const before = await digest(file);
    const { spool, told } = await bench.open();
    await spool.adopt([file], false);
    expect(told.damaged).toEqual([{ file, reason: expect.stringContaining(`format ${formatVersion + 1}`) }]);
    expect(await digest(file)).toBe(before);
    expect((await listAll(spool)).total).toBe(0);
    expect(spool.stats().files).toBe(1);
  });

  it('of somebody else is reported and left: garbage, another LMDB, text', async () => {
    const other = strange('other-0.mdb');
    await mkdir(dirname(other), { recursive: true });
    await tamper(other, (env) => env.put(Buffer.from('key'), Buffer.from('value')));
    const files = [
      await write('noise-0.mdb', patternBytes(100_000)),
      await write('short-0.mdb', Buffer.from('hello')),
      other,
    ];
    const before = await Promise.all(files.map(digest));
    const { spool, told } = await bench.open();
    await spool.adopt(files, false);
    expect(told.damaged.map(({ file }) => file)).toEqual(files);
    for (const { reason } of told.damaged) expect(reason).toMatch(/not a queue file/);
    expect(await Promise.all(files.map(digest))).toEqual(before);
  });

  it('that its process had only just made holds nothing and goes', async () => {
    const none = await write('none-0.mdb', Buffer.alloc(0));
    const bare = strange('bare-0.mdb');
    const env = new LmdbEnv(bare, 10_000);
    await env.close();
    const { spool, told } = await bench.open();
    await spool.adopt([none, bare], false);
    await until(() => told.retired.length === 2);
    expect(told.damaged).toEqual([]);
    expect((await listSpoolFiles(bench.directory)).length).toBe(1);
  });

  it('is found truncated before it is mapped, at any length: never a SIGBUS (F-13)', async () => {
    const file = await leave(async (spool) => {
      for (let i = 0; i < 40; i++) await store(spool, patternBytes(20_000, i));
    });
    const whole = (await readFile(file)).length;
    const { spool, told } = await bench.open();
    const lengths = [100, 4096, 8192, 20_000, Math.floor(whole / 2), whole - 4096];
    for (const length of lengths) {
      const cut = strange(`cut-${length}.mdb`);
      await copyFile(file, cut);
      await truncate(cut, length);
      await spool.adopt([cut], false);
    }
    expect(told.damaged.length).toBe(lengths.length);
    expect(spool.stats()).toMatchObject({ files: 1, messages: { active: 0 } });
  });

  it('as to one envelope: the others are served, the file stays with what is damaged in it', async () => {
    let bad = '';
    let good = '';
    const file = await leave(async (spool) => {
      bad = await store(spool, patternBytes(10));
      good = await store(spool, patternBytes(10));
    });
    await tamper(file, (env) => {
      const bytes = env.get(envelopeKey(bad)) ?? Buffer.alloc(0);
      bytes[20] = (bytes[20] ?? 0) ^ 1;
      env.put(envelopeKey(bad), bytes);
    });
    const { spool, told } = await bench.open();
    await spool.adopt([file], false);
    expect(told.damaged).toEqual([{ file, id: bad, reason: expect.stringContaining('checksum') }]);
    expect(await deliverAll(spool)).toEqual([good]);
    await spool.close();
    expect(existsSync(file)).toBe(true);
  });

  it('as to envelopes that were sound when they were scanned: reported when needed, and out of the queue', async () => {
    const ids: string[] = [];
    const file = await leave(async (spool) => {
      for (let i = 0; i < 3; i++) ids.push(await store(spool, patternBytes(10)));
    });
    const { spool, told } = await bench.open();
    await spool.adopt([file], false);
    await damageWhileOpen(file, ids.slice(0, 2));
    expect(await spool.list({}, { offset: 0, limit: 1 })).toMatchObject({ messages: [{ id: ids[2] }] });
    expect(told.damaged.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    expect(await deliverAll(spool)).toEqual(ids.slice(2));
    expect(spool.stats()).toMatchObject({ messages: { active: 0 }, files: 2 });
  });

  it.each([
    [
      'a flipped bit',
      (env: LmdbEnv, id: string) => env.put(chunkKey(id, 1), Buffer.alloc(65_512, 1)),
      /checksum/,
    ],
    ['a missing chunk', (env: LmdbEnv, id: string) => env.remove(chunkKey(id, 1)), /chunk 1 of 4 is missing/],
    [
      'a short chunk',
      (env: LmdbEnv, id: string) => env.put(chunkKey(id, 3), Buffer.alloc(9)),
      /bytes instead of/,
    ],
  ])('as to a body with %s: its last chunk is never given out (F-13)', async (_name, change, reason) => {
    let id = '';
    const file = await leave(async (spool) => {
      id = await store(spool, patternBytes(200_000));
    });
    await tamper(file, (env) => change(env, id));
    const { spool } = await bench.open();
    await spool.adopt([file], false);
    const lease = await leaseOne(spool);
    let bytes = 0;
    const read = async (): Promise<void> => {
      for await (const chunk of lease.body()) bytes += chunk.length;
    };
    await expect(read()).rejects.toMatchObject({
      code: 'SPOOL_CORRUPT',
      message: expect.stringMatching(reason),
    });
    expect(bytes).toBeLessThan(200_000);
  });
});

describe('a spool that closes while it adopts', () => {
  it('keeps the file that it has not scanned, and every message in it', async () => {
    const ids: string[] = [];
    const file = await leave(async (spool) => {
      for (let i = 0; i < 3; i++) ids.push(await store(spool, patternBytes(10)));
    });
    const { spool, told } = await bench.open();
    const adopted = spool.adopt([file], false);
    while (!told.phases.includes('opening')) await Promise.resolve();
    await spool.close();
    await adopted;
    // The primary takes 'idle' for read to its end.
    expect(told.phases).not.toContain('idle');
    expect(existsSync(file)).toBe(true);
    const { spool: next } = await bench.open();
    await next.adopt([file], false);
    expect((await deliverAll(next)).toSorted()).toEqual(ids.toSorted());
  });
});

/** The record of a message as a move leaves it: the old copy in one file, a changed one in another. */
async function twoCopies(newer: Partial<MessageRecord>): Promise<{ id: string; files: string[] }> {
  let id = '';
  const file = await leave(async (spool) => {
    id = await store(spool, patternBytes(10));
  });
  const moved = spoolFilePath(bench.directory, 0, 'moved', 0);
  await copyFile(file, moved);
  await tamper(moved, (env) => {
    const record = decodeRecord(env.get(envelopeKey(id)) ?? Buffer.alloc(0));
    env.put(envelopeKey(id), encodeRecord({ ...record, ...newer }));
  });
  return { id, files: [file, moved] };
}

describe('a message in two files', () => {
  it('is the one that was moved, whichever file is read first: what an operator did after the move stays', async () => {
    const { id, files } = await twoCopies({ moves: 1, held: true });
    for (const order of [files, files.toReversed()]) {
      const { spool } = await bench.open();
      for (const [i, path] of order.entries()) await copyFile(path, strange(`both-${i}.mdb`));
      await spool.adopt([strange('both-0.mdb'), strange('both-1.mdb')], false);
      expect(await listAll(spool)).toMatchObject({ total: 1, messages: [{ id, state: 'held' }] });
      await spool.delete(id);
      await until(() => spool.stats().files === 1);
    }
  });
});

describe('a commit that fails', () => {
  it('to a file of another process is told by its name first', async () => {
    const file = await leave(async (spool) => {
      await store(spool, patternBytes(10));
    });
    const { spool, told } = await bench.open();
    await spool.adopt([file], false);
    const [id = ''] = await spool.select({});
    const failing = vi.spyOn(LmdbEnv.prototype, 'batch');
    failing.mockRejectedValueOnce(new PosternError('SPOOL_COMMIT', 'the disk is broken'));
    await expect(spool.hold(id)).rejects.toMatchObject({ code: 'SPOOL_COMMIT' });
    expect(told.phases).toEqual(['opening', 'scanning', 'idle', 'draining']);
    expect(told.failed).toHaveLength(1);
    failing.mockRestore();
  });
});

describe('a data directory that cannot be used', () => {
  it('is refused with what to do', async () => {
    await mkdir(bench.directory, { recursive: true });
    await writeFile(join(bench.directory, 'slot-0'), 'a file where a folder should be');
    await expect(bench.open()).rejects.toMatchObject({
      code: 'DATA_DIR_UNUSABLE',
      message: expect.stringContaining('make it writable'),
    });
  });
});
