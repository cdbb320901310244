/** Whether new mail would find room on the file system of `dataDir`, by the reserve that the config wants kept. */
import { statfsSync, type StatsFs } from 'node:fs';
import { dirname } from 'node:path';
import { leastFreeBytes } from '../base/disk-reserve.js';
import { errorCodeOf } from '../base/errors.js';
import { formatBytes } from '../base/units.js';
import type { Config } from '../config/config.js';

/** Of a config whose data directory has no fault. */
export function diskWarning({ limits, workers, dataDir }: Config): string | undefined {
  const { blocks, bavail, bsize } = fileSystemOf(dataDir);
  const needed = leastFreeBytes(limits.diskReserve, workers);
  if (bavail * bsize >= needed) return undefined;
  const reserve = `limits.diskReserve (${formatBytes(limits.diskReserve)})`;
  if (blocks * bsize < needed)
    return `${reserve} is more than the file system of ${dataDir} holds (${formatBytes(blocks * bsize)}): all new mail will get 452; make the reserve smaller`;
  return `only ${formatBytes(bavail * bsize)} are free on the file system of ${dataDir}, and ${reserve} is kept: new mail will get 452; make room, or make the reserve smaller`;
}

/** `start` makes what is missing of the path. */
function fileSystemOf(path: string): StatsFs {
  try {
    return statfsSync(path);
  } catch (error) {
    if (errorCodeOf(error) !== 'ENOENT' || path === dirname(path)) throw error;
    return fileSystemOf(dirname(path));
  }
}
