/**
 * What twice the input costs in CPU time, so that what else the machine does counts less: the least of several runs,
 * from 128 KiB to 1 MiB, as the mean of its three doublings. A ratio that is too large is measured again before it counts.
 */
const largestBytes = 1024 * 1024;
const doublings = 3;
const leastRuns = 3;
const mostRuns = 20;
const enoughMs = 60;
const attempts = 4;
// Below this the clock and the machine are measured, not the parser.
const leastMs = 0.2;
const suspiciousRatio = 2.5;

type Parse = (input: Buffer) => unknown;

export function ratioOf(parse: Parse, input: (bytes: number) => Buffer): number {
  const inputs = [input(largestBytes / 2 ** doublings), input(largestBytes)];
  let least = Infinity;
  for (let attempt = 0; attempt < attempts && least >= suspiciousRatio; attempt++)
    least = Math.min(least, measure(parse, inputs));
  return least;
}

/** The second run of all sizes counts, the first warms up. */
function measure(parse: Parse, inputs: readonly Buffer[]): number {
  for (const input of inputs) parse(input);
  const [least = 0, most = 0] = inputs.map((input) => timeOf(parse, input));
  // What takes no time at all stops at a bound of its own.
  return most < leastMs ? 0 : (most / Math.max(least, leastMs / doublings)) ** (1 / doublings);
}

/** The least of several runs, milliseconds of one call. */
function timeOf(parse: Parse, input: Buffer): number {
  let least = Infinity;
  let spent = 0;
  for (let run = 0; run < leastRuns || (run < mostRuns && spent < enoughMs); run++) {
    const before = process.cpuUsage();
    parse(input);
    const { user, system } = process.cpuUsage(before);
    const took = (user + system) / 1000;
    spent += took;
    least = Math.min(least, took);
  }
  return least;
}
