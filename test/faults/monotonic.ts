/** CLOCK_MONOTONIC, the clock that the shim writes into its records: the same for all processes of the machine. */

/** Milliseconds, exact to some nanoseconds for the first months after boot. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function toNanoseconds(ms: number): bigint {
  return BigInt(Math.round(ms * 1e6));
}
