/**
 * The search for a line's end that lost against native search (bench/micro/line-reader.bench.ts). Kept as a second
 * opinion in the tests.
 */
const CR = 13;
const LF = 10;

/** The index behind the first CR LF at or after `from`, or -1. */
export function byteLoopLine(bytes: Buffer, from: number): number {
  let previous = 0;
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === LF && previous === CR) return at + 1;
    previous = byte;
  }
  return -1;
}
