import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { PosternError } from '../../src/base/errors.js';
import type { RestoreWriter, Spool, StoredEnvelope } from '../../src/queue/spool.js';
import { QueueImports } from '../../src/worker/queue-imports.js';
import { storedEnvelope } from './stored-envelope-sample.js';

/** Takes what it is given; congested as long as the test says. */
class FakeWriter implements RestoreWriter {
  readonly id: string;
  bytes = 0;
  congested = false;
  onWritable: (() => void) | undefined;
  committed: StoredEnvelope | undefined;
  aborts = 0;
  commitError: Error | undefined;

  constructor(id: string) {
    this.id = id;
  }

  write(slice: Buffer): void {
    this.bytes += slice.length;
  }

  commit(envelope: StoredEnvelope): Promise<void> {
    if (this.commitError !== undefined) return Promise.reject(this.commitError);
    this.committed = envelope;
    return Promise.resolve();
  }

  abort(): void {
    this.aborts++;
  }
}

function importsOver(idleMs?: number): { imports: QueueImports; writers: FakeWriter[] } {
  const writers: FakeWriter[] = [];
  const restore = (id: string): RestoreWriter => {
    const writer = new FakeWriter(id);
    writers.push(writer);
    return writer;
  };
  const spool: Pick<Spool, 'restore' | 'show'> = {
    restore,
    show: (id) => {
      throw new PosternError('NOT_FOUND', `no message ${id}`);
    },
  };
  return { imports: new QueueImports(spool, idleMs), writers };
}

const data = Buffer.from('Subject: x\r\n\r\n');

describe('a message of an export', () => {
  test('is stored when all its bytes came in order', async () => {
    const { imports, writers } = importsOver();
    await imports.begin('A');
    await imports.write('A', 0, data);
    await imports.write('A', data.length, data);
    await imports.commit('A', 2 * data.length, storedEnvelope);
    expect(writers[0]?.committed).toEqual(storedEnvelope);
    expect(writers[0]?.aborts).toBe(0);
    await expect(imports.write('A', 0, data)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('takes no piece twice and none behind a hole', async () => {
    const { imports, writers } = importsOver();
    await imports.begin('A');
    await imports.write('A', 0, data);
    await expect(imports.write('A', 0, data)).rejects.toMatchObject({ code: 'BAD_IMPORT' });
    await expect(imports.write('A', 999, data)).rejects.toMatchObject({ code: 'BAD_IMPORT' });
    expect(writers[0]?.bytes).toBe(data.length);
    await imports.commit('A', data.length, storedEnvelope);
    expect(writers[0]?.committed).toBeDefined();
  });

  test('is not stored when its length is another, and is over', async () => {
    const { imports, writers } = importsOver();
    await imports.begin('A');
    await imports.write('A', 0, data);
    await expect(imports.commit('A', data.length + 1, storedEnvelope)).rejects.toMatchObject({ code: 'BAD_IMPORT' });
    expect(writers[0]).toMatchObject({ committed: undefined, aborts: 1 });
    await expect(imports.commit('A', data.length, storedEnvelope)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  }); // prettier-ignore

  test('is not stored when its envelope is none', async () => {
    const { imports, writers } = importsOver();
    await imports.begin('A');
    await expect(imports.commit('A', 0, { recipients: [] })).rejects.toMatchObject({ code: 'BAD_IMPORT' });
    expect(writers[0]).toMatchObject({ committed: undefined, aborts: 1 });
  });

  test('whose commit fails is dropped, and the failure told', async () => {
    const { imports, writers } = importsOver();
    await imports.begin('A');
    const [writer] = writers;
    if (writer !== undefined) writer.commitError = new PosternError('SPOOL_COMMIT', 'the disk');
    await expect(imports.commit('A', 0, storedEnvelope)).rejects.toMatchObject({ code: 'SPOOL_COMMIT' });
    expect(writer?.aborts).toBe(1);
  });

  test('that is begun again starts from nothing', async () => {
    const { imports, writers } = importsOver();
    await imports.begin('A');
    await imports.write('A', 0, data);
    await imports.begin('A');
    expect(writers[0]?.aborts).toBe(1);
    await imports.write('A', 0, data);
    await imports.commit('A', data.length, storedEnvelope);
    expect(writers[1]?.committed).toBeDefined();
  });
});

test('the next piece waits until there is room', async () => {
  const { imports, writers } = importsOver();
  await imports.begin('A');
  const [writer] = writers;
  if (writer !== undefined) writer.congested = true;
  let isDone = false;
  const written = imports.write('A', 0, data).then(() => (isDone = true));
  await Promise.resolve();
  await expect(imports.write('A', data.length, data)).rejects.toMatchObject({ code: 'BAD_IMPORT' });
  expect(isDone).toBe(false);
  writer?.onWritable?.();
  await written;
  expect(writer?.onWritable).toBeUndefined();
});

test('a write that waits for room ends with its import', async () => {
  const { imports, writers } = importsOver();
  await imports.begin('A');
  if (writers[0] !== undefined) writers[0].congested = true;
  const written = imports.write('A', 0, data);
  imports.drop('A');
  await written;
  expect(writers[0]?.aborts).toBe(1);
});

test('no more are open than the bound allows', async () => {
  const { imports, writers } = importsOver();
  for (let n = 0; n < 16; n++) await imports.begin(`N${n}`);
  await expect(imports.begin('X')).rejects.toMatchObject({ code: 'POOL_FULL' });
  expect(writers[16]?.aborts).toBe(1);
  imports.drop('N3');
  await imports.begin('X');
  expect(writers).toHaveLength(18);
});

describe('an import that nobody goes on with', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('is dropped after a while, counted from its last piece', async () => {
    const { imports, writers } = importsOver(1_000);
    await imports.begin('A');
    vi.advanceTimersByTime(900);
    await imports.write('A', 0, data);
    vi.advanceTimersByTime(900);
    expect(writers[0]?.aborts).toBe(0);
    vi.advanceTimersByTime(200);
    expect(writers[0]?.aborts).toBe(1);
    await expect(imports.write('A', data.length, data)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('is not one that waits for room', async () => {
    const { imports, writers } = importsOver(1_000);
    await imports.begin('A');
    const [writer] = writers;
    if (writer !== undefined) writer.congested = true;
    const written = imports.write('A', 0, data);
    vi.advanceTimersByTime(5_000);
    expect(writer?.aborts).toBe(0);
    writer?.onWritable?.();
    await written;
    vi.advanceTimersByTime(1_100);
    expect(writer?.aborts).toBe(1);
  });

  test('is dropped when the worker stops', async () => {
    const { imports, writers } = importsOver(1_000);
    await imports.begin('A');
    await imports.begin('B');
    imports.close();
    expect(writers.map(({ aborts }) => aborts)).toEqual([1, 1]);
    vi.advanceTimersByTime(5_000);
    expect(writers.map(({ aborts }) => aborts)).toEqual([1, 1]);
  });
});
