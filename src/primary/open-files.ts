/** Whether the process may open as many files as its config lets clients connect (F-31). Linux; elsewhere silent. */
import { readFile } from 'node:fs/promises';

import type { Log } from '../base/log.js';
import type { Config } from '../config/config.js';

// Queue files, relay connections, pool threads, log, channel: what a worker has open beside its clients.
const reservedFiles = 512;

/** The soft limit of this process, which its workers inherit (Node raises it to the hard limit at start). */
export function parseOpenFilesLimit(limits: string): number | undefined {
  const limit = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return limit === undefined ? undefined : Number(limit);
}

export async function warnOfFewOpenFiles(config: Config, log: Log): Promise<void> {
  if (process.platform !== 'linux') return;
  const limit = parseOpenFilesLimit(await readFile('/proc/self/limits', 'utf8'));
  const wanted = config.limits.connectionsPerWorker + reservedFiles;
  if (limit === undefined || limit >= wanted) return;
  log.warn(
    { event: 'service.few_open_files', limit, wanted },
    'a worker may not open as many files as clients may connect: raise LimitNOFILE (systemd) or ulimit -n, or lower limits.connectionsPerWorker',
  );
}
