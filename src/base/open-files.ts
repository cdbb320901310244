/** How many files this process may have open, and how many of them clients may take (F-31). Linux; elsewhere unknown. */
import { readFileSync } from 'node:fs';

// Queue files, relay connections, pool threads, log, channel: what a worker has open beside its clients. With these to
// itself it goes on storing and delivering while clients are turned away.
const reservedFiles = 512;

/** The soft limit of this process, which its workers inherit (Node raises it to the hard limit at start). */
export function openFilesLimit(): number | undefined {
  return process.platform === 'linux'
    ? parseOpenFilesLimit(readFileSync('/proc/self/limits', 'utf8'))
    : undefined;
}

export function parseOpenFilesLimit(limits: string): number | undefined {
  const limit = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return limit === undefined ? undefined : Number(limit);
}

/** Of the connections that the config allows, those that leave the process its own files; at least half of a low limit. */
export function connectionsWithin(limit: number | undefined, wanted: number): number {
  if (limit === undefined) return wanted;
  return Math.min(wanted, limit - Math.min(reservedFiles, Math.floor(limit / 2)));
}
