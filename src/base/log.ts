/** One JSON line per event on stdout. Several processes share one pipe, so lines must stay whole. */
import { constants, fstatSync, openSync } from 'node:fs';

import { destination, pino, stdTimeFunctions, type Logger } from 'pino';

export type Log = Logger;
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

// Async, at most 4 KiB a write: a pipe takes that much in one piece, so lines of several processes do not tear.
// periodicFlush: without it the first 2 KiB would wait for more, and be lost at SIGKILL.
// maxLength, in characters: what waits when nobody reads. More than that is dropped and counted; mail does not wait.
const options = {
  sync: false,
  minLength: 2048,
  maxWrite: 4096,
  periodicFlush: 200,
  maxLength: 2 ** 20,
};

// When a process ends, sonic-boom tries this often, each a tenth of a second after the last, to write what is left.
const lastAttempts = 10;

let dropped = 0;

/** Lines of this process that stdout did not take in time. */
export function droppedLogLines(): number {
  return dropped;
}

/**
 * A pipe is opened once more, not to block: in one that nobody reads, a write would hold its thread for ever, and the
 * end of the process waits for its threads. (The first descriptor is shared with others and stays as it is.)
 */
function openStdout(): number {
  try {
    if (fstatSync(1).isFIFO()) return openSync('/proc/self/fd/1', constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    // No /proc, or no reader: as it was given to us.
  }
  return 1;
}

/** The log of one process. `close` writes what is buffered, synchronously, before an exit, if anybody reads it. */
export function openLog(level: LogLevel, bindings: Record<string, unknown>): { log: Log; close: () => void } {
  let attemptsLeft = Infinity;
  const retryEAGAIN = (): boolean => attemptsLeft-- > 0;
  const stream = destination({ ...options, fd: openStdout(), retryEAGAIN });
  stream.on('drop', () => dropped++);
  const log = pino(
    {
      level,
      base: { ...bindings, pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      messageKey: 'msg',
      // The words of `log.level`, not pino's numbers.
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
  return {
    log,
    close: () => {
      attemptsLeft = lastAttempts;
      try {
        stream.flushSync();
      } catch {
        // stdout is gone (closed pipe), or full and not read: there is nobody left to tell.
      }
    },
  };
}
