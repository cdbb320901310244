/** One JSON line per event on stdout. Several processes share one pipe, so lines must stay whole. */
import { destination, pino, stdTimeFunctions, type Logger } from 'pino';

export type Log = Logger;
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

// Async, at most 4 KiB a write: a pipe takes that much in one piece, so lines of several processes do not tear.
// periodicFlush: without it the first 2 KiB would wait for more, and be lost at SIGKILL.
// maxLength, in characters: what waits when nobody reads. More than that is dropped and counted; mail does not wait.
const stdout = {
  fd: 1,
  sync: false,
  minLength: 2048,
  maxWrite: 4096,
  periodicFlush: 200,
  maxLength: 2 ** 20,
};

let dropped = 0;

/** Lines of this process that stdout did not take in time. */
export function droppedLogLines(): number {
  return dropped;
}

/** The log of one process. `close` writes what is buffered, synchronously, before an exit, if anybody reads it. */
export function openLog(level: LogLevel, bindings: Record<string, unknown>): { log: Log; close: () => void } {
  const stream = destination(stdout);
  let isBlocked = false;
  stream.on('drop', () => {
    dropped++;
    isBlocked = true;
  });
  stream.on('drain', () => (isBlocked = false));
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
      // A synchronous write to a pipe that nobody reads would never return.
      if (isBlocked) return;
      try {
        stream.flushSync();
      } catch {
        // stdout is gone (closed pipe): there is nobody left to tell.
      }
    },
  };
}
