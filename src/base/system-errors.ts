/** What the system said, whether Node says it (a name) or lmdb-js (a number). */
import { constants } from 'node:os';

const { ENOSPC, EDQUOT, EACCES, EPERM } = constants.errno;

export function isNoSpace(error: unknown): boolean {
  return hasCode(error, ['ENOSPC', 'EDQUOT', 'SPOOL_FULL', ENOSPC, EDQUOT]);
}

/** The user that we run as may not. */
export function isDenied(error: unknown): boolean {
  return hasCode(error, ['EACCES', 'EPERM', EACCES, EPERM]);
}

function hasCode(error: unknown, codes: readonly (string | number)[]): boolean {
  return error instanceof Error && 'code' in error && codes.some((code) => code === error.code);
}
