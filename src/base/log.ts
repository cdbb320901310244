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

// Clients name themselves in UTF-8, and JSON leaves these as they are: DEL and the C1 controls (U+009B begins a control
// sequence on many terminals), line and paragraph separators, and what turns the direction of text (attacks.md A-080).
const unprintable = /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

/** In a JSON line they stand in strings only, so each can be written as its escape. */
export function printableLine(line: string): string {
  // All ASCII, as most lines are: two native searches, a third of the expression's time.
  if (Buffer.byteLength(line) === line.length && !line.includes('\u007f')) return line;
  return line.replaceAll(unprintable, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

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
  // pino itself flushes after a fatal line.
  const lines = {
    write: (line: string) => stream.write(printableLine(line)),
    flushSync: () => stream.flushSync(),
  };
  const log = pino(
    {
      level,
      base: { ...bindings, pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      messageKey: 'msg',
      // The words of `log.level`, not pino's numbers.
      formatters: { level: (label) => ({ level: label }) },
    },
    lines,
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
