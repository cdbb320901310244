/** What a command that failed says on stderr, and its exit code. */
import { describeError, PosternError } from '../base/errors.js';
import { isSystemError } from '../base/system-errors.js';
import { ConfigError } from '../config/faults.js';

export const exitCodes = { done: 0, failed: 1, usage: 2 } as const;

/** Wrong usage that commander cannot see. */
export class UsageError extends Error {}

/** The system refused something with a file that it does not name: a write to an open one. */
export class FileError extends Error {}

export function report(error: unknown): number {
  if (error instanceof ConfigError) {
    const count = error.faults.length === 1 ? '1 fault' : `${error.faults.length} faults`;
    process.stderr.write(`${error.format()}\npostern: the config has ${count}; nothing was done.\n`);
    return exitCodes.usage;
  }
  process.stderr.write(`postern: ${describeError(error)}\n`);
  if (error instanceof UsageError) return exitCodes.usage;
  if (isBug(error)) process.stderr.write(`${error.stack ?? ''}\n`);
  return exitCodes.failed;
}

/** Neither an error of ours nor one of the system: its stack is what a report needs. */
function isBug(error: unknown): error is Error {
  if (error instanceof PosternError || error instanceof FileError || isSystemError(error)) return false;
  return error instanceof Error;
}
