/** One JSON line per event on stdout. Several processes share one pipe, so lines must stay whole. */
import { destination, pino, stdTimeFunctions, type Logger } from 'pino';

export type Log = Logger;
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

// Async, at most 4 KiB a write: a pipe takes that much in one piece, so lines of several processes do not tear.
// periodicFlush: without it the first 2 KiB would wait for more, and be lost at SIGKILL.
const stdout = { fd: 1, sync: false, minLength: 2048, maxWrite: 4096, periodicFlush: 200 };

/** The log of one process. `close` writes what is buffered, synchronously, before an exit. */
export function openLog(level: LogLevel, bindings: Record<string, unknown>): { log: Log; close: () => void } {
  const stream = destination(stdout);
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
      try {
        stream.flushSync();
      } catch {
        // stdout is gone (closed pipe): there is nobody left to tell.
      }
    },
  };
}
