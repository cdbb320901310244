/** What the system said, whether Node says it (a name) or lmdb-js (a number). */
import { constants } from 'node:os';

import { errorCodeOf } from './errors.js';

const { ENOSPC, EDQUOT, EACCES, EPERM } = constants.errno;

export function isNoSpace(error: unknown): boolean {
  return hasCode(error, ['ENOSPC', 'EDQUOT', 'SPOOL_FULL', ENOSPC, EDQUOT]);
}

/** The user that we run as may not. */
export function isDenied(error: unknown): boolean {
  return hasCode(error, ['EACCES', 'EPERM', EACCES, EPERM]);
}

// Of LMDB: a commit failed so that the environment gives nothing any more.
const mdbPanic = -30_795;

/**
 * What was in the environment is as it was on disk; this process cannot get at it any more. A read that has to begin a
 * transaction fails with EINVAL, and only its words tell (lmdb-js 3.5.6).
 */
export function isEnvironmentPanic(error: unknown): boolean {
  return hasCode(error, [mdbPanic]) || (error instanceof Error && error.message.includes('MDB_PANIC'));
}

/** A call to the system failed, and Node says which; most messages name the file too. */
export function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && errorCodeOf(error) !== undefined;
}

function hasCode(error: unknown, codes: readonly (string | number)[]): boolean {
  return error instanceof Error && 'code' in error && codes.some((code) => code === error.code);
}
