/** What lmdb-js 3.5.6 does with the queue's options, pinned: an upgrade that changes one of these changes promise 1. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as lmdb from 'lmdb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let directory: string;
let db: lmdb.RootDatabase<Buffer, string>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-lmdb-'));
  db = lmdb.open<Buffer, string>({
    path: join(directory, 'facts.mdb'),
    noSubdir: true,
    encoding: 'binary',
    overlappingSync: false,
    eventTurnBatching: true,
    commitDelay: 0,
  });
});

afterAll(async () => {
  await db.close();
  await rm(directory, { recursive: true });
});

describe('lmdb-js', () => {
  it('resolves the outer promise of a batch with exactly true, and its writes can be read then (U-2)', async () => {
    const committed: unknown = await db.batch(() => {
      void db.put('a', Buffer.from('1'));
      void db.put('b', Buffer.from('2'));
      void db.remove('never there');
    });
    expect(committed).toBe(true);
    expect(db.get('b')?.toString()).toBe('2');
  });

  it('resolves false, and does not reject, when the condition of a write does not hold (U-3)', async () => {
    await db.put('there', Buffer.from('1'));
    expect(await db.ifNoExists('there', () => void db.put('there', Buffer.from('2')))).toBe(false);
    expect(db.get('there')?.toString()).toBe('1');
  });

  it('is done with a value once its promise has settled (U-4)', async () => {
    const value = Buffer.from('before');
    await db.batch(() => void db.put('kept', value));
    value.write('AFTER!');
    expect(db.get('kept')?.toString()).toBe('before');
  });

  it('stores what a value holds at the commit, not at the put: it must be left alone till then (U-4)', async () => {
    const value = Buffer.from('before');
    const committed = db.batch(() => void db.put('changed', value));
    value.write('CHANGE');
    await committed;
    expect(db.get('changed')?.toString()).toBe('CHANGE');
  });

  it('exports the map of stores that it never clears, by file name without extension', async () => {
    const stores: unknown = Reflect.get(lmdb, 'allDbs');
    expect(stores).toBeInstanceOf(Map);
    expect(stores instanceof Map && stores.has('facts')).toBe(true);
  });
});
