/**
 * Registers benches with vitest (`npm run build && npx vitest bench --run --project unit --dir bench/micro`; `npm run bench` does it):
 * a bounded time each, and a line with what matters to a mail server: nanoseconds per operation and MB/s, from the
 * median. The name carries operations and bytes, so that the same can be had from vitest's JSON report.
 */
import { createRequire } from 'node:module';
import { bench } from 'vitest';

// Enough samples for a steady median on a busy machine, little enough that all micro benches take seconds.
const measureMs = 300;
const warmupMs = 100;

/**
 * The built module, as it runs in production. Not by `import`: vitest would rewrite it, and every imported constant
 * would become a call to a getter (a byte loop took 20 times as long).
 *
 * @param path below dist/
 */
export function built(path: string): unknown {
  return createRequire(import.meta.url)(`../../dist/${path}`);
}

/**
 * @param work one sample; long enough (tens of microseconds) that reading the clock does not matter
 * @param operations in one sample: lines, paths, chunks
 * @param bytes in one sample
 */
export function benchOf(name: string, work: () => void, operations: number, bytes: number): void {
  // vitest throws its samples away before anybody can ask for their median.
  const samples: number[] = [];
  bench(
    `${name} [${operations} ops, ${bytes} bytes]`,
    () => {
      const startMs = performance.now();
      work();
      samples.push(performance.now() - startMs);
    },
    {
      time: measureMs,
      warmupTime: warmupMs,
      teardown: (_task, mode) => {
        if (mode === 'run') console.log(row(name, median(samples), operations, bytes));
        samples.length = 0;
      },
    },
  );
}

function median(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN;
}

function row(name: string, milliseconds: number, operations: number, bytes: number): string {
  const nanoseconds = ((milliseconds * 1e6) / operations).toFixed(1);
  const rate = (bytes / 1e3 / milliseconds).toFixed(0);
  return `${name.padEnd(58)} ${nanoseconds.padStart(10)} ns/op ${rate.padStart(7)} MB/s`;
}
