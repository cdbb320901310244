/** Says so when the workers may not open as many files as the config lets clients connect (F-31). */
import { connectionsWithin, openFilesLimit } from '../base/open-files.js';
import type { Log } from '../base/log.js';
import type { Config } from '../config/config.js';

export function warnOfFewOpenFiles(config: Config, log: Log): void {
  const limit = openFilesLimit();
  const wanted = config.limits.connectionsPerWorker;
  const connections = connectionsWithin(limit, wanted);
  if (connections === wanted) return;
  log.warn(
    { event: 'service.few_open_files', limit, connections },
    `a worker may not open as many files as clients may connect, and takes ${connections} of them at most: raise LimitNOFILE (systemd) or ulimit -n, or lower limits.connectionsPerWorker`,
  );
}
