/** A log whose lines a test can read. */
import { pino } from 'pino';

import type { Log } from '../../src/base/log.js';

type LoggedLine = Record<string, unknown> & { readonly event?: string; readonly msg?: string };

export interface RecordingLog {
  readonly log: Log;
  /** Oldest first. */
  readonly lines: LoggedLine[];
  /** Names of the events logged, oldest first. */
  events(): (string | undefined)[];
}

export function recordingLog(): RecordingLog {
  const lines: LoggedLine[] = [];
  const write = (text: string): void => {
    const line: LoggedLine = JSON.parse(text);
    lines.push(line);
  };
  return { log: pino({ level: 'debug' }, { write }), lines, events: () => lines.map(({ event }) => event) };
}
