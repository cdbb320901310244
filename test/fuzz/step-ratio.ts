/**
 * What twice the input costs, without a clock: how often each block of code ran, and how many bytes Buffer's own methods
 * went over. Not counted: what strings and patterns do.
 *
 * V8 counts in code alone that it compiles after it was told to, and not the calls that its optimizer takes out: this
 * file has to be there before what is counted.
 */
import { Session } from 'node:inspector';
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--no-opt');
setFlagsFromString('--no-lazy-feedback-allocation');
const inspector = new Session();
inspector.connect();
inspector.post('Profiler.enable', throwFault);
inspector.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true }, throwFault);

// Several reads of linear-cases.ts: within one, a search may go to its end.
const smallerBytes = 24 * 1024;

let bytes = 0;

/** @param input of so many bytes */
export function ratioOf(parse: (input: Buffer) => unknown, input: (bytes: number) => Buffer): number {
  const [once, twice] = [input(smallerBytes), input(2 * smallerBytes)];
  return stepsOf(() => parse(twice)) / stepsOf(() => parse(once));
}

/** The second run counts; the first compiles. */
export function stepsOf(work: () => void): number {
  const restore = countBytes();
  try {
    work();
    blocksRun();
    bytes = 0;
    work();
    return bytes + blocksRun();
  } finally {
    restore();
  }
}

/** Since the last call. */
function blocksRun(): number {
  let blocks = 0;
  inspector.post('Profiler.takePreciseCoverage', (fault, { result }) => {
    throwFault(fault);
    for (const { url, functions } of result)
      if (/\/(?:src|test)\//.test(url))
        for (const { ranges } of functions) for (const { count } of ranges) blocks += count;
  });
  return blocks;
}

function throwFault(fault: Error | null): void {
  if (fault !== null) throw fault;
}

/** @returns puts the methods back */
function countBytes(): () => void {
  const concat = Buffer.concat.bind(Buffer);
  const { copy, indexOf, toString } = Buffer.prototype;
  Buffer.concat = (list, totalLength) => {
    const joined = concat(list, totalLength);
    bytes += joined.length;
    return joined;
  };
  Buffer.prototype.copy = function copyCounted(
    this: Buffer,
    target: Uint8Array,
    at = 0,
    start = 0,
    end = this.length,
  ) {
    const copied = copy.call(this, target, at, start, end);
    bytes += copied;
    return copied;
  };
  Buffer.prototype.indexOf = function indexOfCounted(
    this: Buffer,
    value: string | number | Uint8Array,
    from?: number | BufferEncoding,
  ) {
    const start = typeof from === 'number' ? from : 0;
    const found = indexOf.call(this, value, start);
    bytes += (found < 0 ? this.length : found) - start;
    return found;
  };
  Buffer.prototype.toString = function toStringCounted(
    this: Buffer,
    encoding?: BufferEncoding,
    start = 0,
    end = this.length,
  ) {
    bytes += end - start;
    return toString.call(this, encoding, start, end);
  };
  return () => {
    Buffer.concat = concat;
    Object.assign(Buffer.prototype, { copy, indexOf, toString });
  };
}
