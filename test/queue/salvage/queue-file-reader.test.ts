import { createHash } from 'node:crypto';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { envelopeKey } from '../../../src/queue/keys.js';
import { SpoolBench, patternBytes, store } from '../harness.js';
import { change, pageBytes, pagesOfKind, readAll, wipePage } from './harness.js';

let bench: SpoolBench;
/** A file of a process that is gone, never written again. */
let original = '';
const bodies = new Map<string, Buffer>();
const delivered = new Set<string>();
const damaged = () => join(bench.directory, 'damaged.mdb');

beforeAll(async () => {
  bench = await SpoolBench.make();
  const { spool } = await bench.open();
  // Small ones in the leaves, large ones on pages of their own, some of each removed again: stale copies lie about.
  for (let i = 0; i < 160; i++) {
    const body = patternBytes(i % 16 === 0 ? 70_000 + i * 500 : 200 + i * 7, i + 1);
    bodies.set(await store(spool, body, { reversePath: `sender-${i}@example.org` }), body);
  }
  let n = 0;
  for (const id of bodies.keys()) {
    if (n++ % 3 !== 0) continue;
    await spool.delete(id);
    delivered.add(id);
  }
  for (const id of delivered) bodies.delete(id);
  [original = ''] = spool.openFiles();
  await spool.close();
});

afterAll(async () => {
  await bench.end();
});

async function damage(edit: (bytes: Buffer) => Buffer | void): Promise<ReturnType<typeof readAll>> {
  await copyFile(original, damaged());
  await change(damaged(), edit);
  return readAll(damaged());
}

const idsOf = (messages: readonly { id: string }[]) => messages.map(({ id }) => id).toSorted();
const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

function expectNoneInvented(reading: Awaited<ReturnType<typeof readAll>>): void {
  for (const { id, body } of reading.messages) {
    const stored = bodies.get(id);
    if (stored === undefined) expect(delivered.has(id)).toBe(true);
    else expect(digest(body)).toBe(digest(stored));
  }
  expect(new Set(idsOf(reading.messages)).size).toBe(reading.messages.length);
}

/** An envelope that lies in more than one leaf: where, newest first. */
function copied(bytes: Buffer): [string, number[]] | undefined {
  const leaves = pagesOfKind(bytes, 2)
    .map((page) => page * pageBytes)
    .toSorted((a, b) => Number(bytes.readBigUInt64LE(b + 8) - bytes.readBigUInt64LE(a + 8)));
  for (const id of bodies.keys()) {
    const places = leaves.flatMap((leaf) => {
      const at = bytes.subarray(leaf, leaf + pageBytes).indexOf(envelopeKey(id));
      return at < 0 ? [] : [leaf + at];
    });
    if (places.length > 1) return [id, places];
  }
  return undefined;
}

describe('F-13 a file that is whole', () => {
  test('gives back every message exactly, and none that was removed', async () => {
    const { messages, unreadable, gaps } = await readAll(original);
    expect([unreadable, gaps]).toEqual([[], 0]);
    expect(idsOf(messages)).toEqual([...bodies.keys()].toSorted());
    for (const { id, body, record, isCurrent } of messages) {
      expect(body.equals(bodies.get(id) ?? Buffer.alloc(0))).toBe(true);
      expect([record.bytes, isCurrent]).toEqual([body.length, true]);
      expect(record.reversePath).toMatch(/^sender-\d+@example\.org$/);
    }
  });

  test('an empty one gives nothing', async () => {
    const empty = await SpoolBench.make();
    const { spool } = await empty.open();
    const [file = ''] = spool.openFiles();
    const before = await readAll(file);
    await empty.end();
    expect(before).toEqual({ messages: [], unreadable: [], gaps: 0 });
  });
});

describe('F-13 one damaged page costs what is on it, and no more', () => {
  test('whatever page of the tree it is', async () => {
    const bytes = await readFile(original);
    const pages = [...pagesOfKind(bytes, 1), ...pagesOfKind(bytes, 2)];
    expect(pages.length).toBeGreaterThan(50);
    const perLeaf = 20;
    // Some of them: each is a reading of the whole file.
    for (const page of pages.filter((_, i) => i % 7 === 0)) {
      const reading = await damage((copy) => wipePage(copy, page));
      expectNoneInvented(reading);
      const lost = [...bodies.keys()].filter((id) => !reading.messages.some((message) => message.id === id));
      expect(lost.length).toBeLessThan(perLeaf);
    }
  });

  test('a branch page costs nothing: its leaves are found without it', async () => {
    const bytes = await readFile(original);
    for (const page of pagesOfKind(bytes, 1)) {
      const reading = await damage((copy) => wipePage(copy, page));
      expectNoneInvented(reading);
      expect(idsOf(reading.messages)).toEqual(expect.arrayContaining([...bodies.keys()]));
    }
  });

  test('a byte in a body makes that message unreadable, and only that', async () => {
    const [id = ''] = [...bodies].find(([, body]) => body.length > 70_000) ?? [];
    const middle = (bodies.get(id) ?? Buffer.alloc(0)).subarray(30_000, 30_064);
    const reading = await damage((bytes) => {
      const at = bytes.indexOf(middle);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
    });
    expect(reading.unreadable).toEqual([id]);
    expect(reading.messages).toHaveLength(bodies.size - 1);
    expectNoneInvented(reading);
  });

  test('an envelope that fails its checksum comes from an older copy of its page, and is said to be older', async () => {
    const [id, [newest]] = copied(await readFile(original)) ?? ['', []];
    const reading = await damage((bytes) => {
      const at = (newest ?? 0) + 17 + 20;
      bytes[at] = (bytes[at] ?? 0) ^ 4;
    });
    expect(reading.unreadable).toEqual([]);
    expect(reading.messages.find((message) => message.id === id)?.isCurrent).toBe(false);
    expect(idsOf(reading.messages)).toEqual([...bodies.keys()].toSorted());
  });
});

describe('F-13 damaged meta pages', () => {
  test.each([0, 1])('without meta page %i nothing of what was acknowledged is missing', async (number) => {
    const reading = await damage((bytes) => wipePage(bytes, number));
    expectNoneInvented(reading);
    expect(idsOf(reading.messages)).toEqual(expect.arrayContaining([...bodies.keys()]));
  });

  test('without both the root is found by its age; all may have been delivered before', async () => {
    const reading = await damage((bytes) => {
      wipePage(bytes, 0);
      wipePage(bytes, 1);
    });
    expect(idsOf(reading.messages)).toEqual([...bodies.keys()].toSorted());
    expect(reading.messages.some(({ isCurrent }) => isCurrent)).toBe(false);
  });
});

describe('F-13 a file that is cut short', () => {
  test.each([0.9, 0.5, 0.2, 0.01])(
    'at %d of its length: what is in the rest comes out whole',
    async (share) => {
      const reading = await damage((bytes) => bytes.subarray(0, Math.floor(bytes.length * share)));
      expectNoneInvented(reading);
      if (share === 0.9) expect(reading.messages.length).toBeGreaterThan(bodies.size / 4);
    },
  );

  test.each([0, 1, 23, 4095, 4096, 8192])('at %d bytes', async (length) => {
    const reading = await damage((bytes) => bytes.subarray(0, length));
    expect(reading.messages).toEqual([]);
  });
});

describe('a file of something else', () => {
  test('gives nothing', async () => {
    await writeFile(damaged(), patternBytes(300_000, 9));
    expect(await readAll(damaged())).toMatchObject({ messages: [], unreadable: [] });
  });
});

describe('F-13 property: random damage', () => {
  test('never throws, never gives a message that is not what was stored', async () => {
    const bytes = await readFile(original);
    const flips = fc.array(fc.tuple(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 })), {
      minLength: 1,
      maxLength: 200,
    });
    // Most of the file is bodies; what is told of the tree lies in the headers and lists of its pages.
    const header = fc.array(
      fc.tuple(
        fc.integer({ min: 0, max: Math.floor(bytes.length / pageBytes) - 1 }),
        fc.integer({ min: 0, max: 200 }),
        fc.integer({ min: 1, max: 255 }),
      ),
      { maxLength: 60 },
    );
    const cut = fc.option(fc.nat({ max: bytes.length }), { freq: 3 });
    await fc.assert(
      fc.asyncProperty(flips, header, cut, async (flipped, headers, length) => {
        const copy = Buffer.from(bytes);
        for (const [at, mask] of flipped) copy[at] = (copy[at] ?? 0) ^ mask;
        for (const [page, offset, mask] of headers) {
          const at = page * pageBytes + offset;
          copy[at] = (copy[at] ?? 0) ^ mask;
        }
        await writeFile(damaged(), copy.subarray(0, length ?? copy.length));
        expectNoneInvented(await readAll(damaged()));
      }),
      { numRuns: 30 },
    );
  });
});
