/** What a command that failed says on stderr, and its exit code. */
import { describeError, PosternError } from '../base/errors.js';
import { ConfigError } from '../config/faults.js';

export const exitCodes = { done: 0, failed: 1, usage: 2 } as const;

/** Wrong usage that commander cannot see. */
export class UsageError extends Error {}

export function report(error: unknown): number {
  if (error instanceof ConfigError) {
    const count = error.faults.length === 1 ? '1 fault' : `${error.faults.length} faults`;
    process.stderr.write(`${error.format()}\npostern: the config has ${count}; nothing was done.\n`);
    return exitCodes.usage;
  }
  process.stderr.write(`postern: ${describeError(error)}\n`);
  if (error instanceof UsageError) return exitCodes.usage;
  // Anything else than our own errors is a bug: its stack is what a report needs.
  if (!(error instanceof PosternError) && error instanceof Error)
    process.stderr.write(`${error.stack ?? ''}\n`);
  return exitCodes.failed;
}
