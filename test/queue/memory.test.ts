/** The memory of a process of its own, by what the kernel calls RssAnon: LMDB's mapped pages do not count. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { SpoolBench } from './harness.js';
import { run } from './processes.js';

const mib = 2 ** 20;

let bench: SpoolBench;

beforeEach(async () => {
  bench = await SpoolBench.make();
});

afterEach(async () => {
  await bench.end();
});

describe('memory', { timeout: 120_000 }, () => {
  it('does not grow with the message: 200 MiB take at most 16 MiB more than 20 MiB, in and out (U-10)', async () => {
    const { stdout } = await run('large-message', [bench.directory]);
    const peaks: unknown = JSON.parse(stdout);
    expect(peaks).toMatchObject({ in20: expect.any(Number), out200: expect.any(Number) });
    const { in20, out20, in200, out200 } = peaks as Record<'in20' | 'out20' | 'in200' | 'out200', number>;
    expect(in200 - in20).toBeLessThanOrEqual(16 * mib);
    expect(out200 - out20).toBeLessThanOrEqual(16 * mib);
  });

  it('does not grow with the number of queue files: 100 rotations, and none of them stays', async () => {
    const { stdout } = await run('rotations', [bench.directory, '100'], { node: ['--expose-gc'] });
    const { megabytes, files } = JSON.parse(stdout) as { megabytes: number[]; files: number };
    // Data and lock of the file in use, and of the next if it is being made.
    expect(files).toBeLessThanOrEqual(4);
    // Warm-up of code and allocator is 20 MiB. An environment that is not let go holds some 128 KiB in every one.
    expect((megabytes.at(-1) ?? 0) - (megabytes[0] ?? 0)).toBeLessThanOrEqual(32);
  });
});
