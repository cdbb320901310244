/**
 * What a server's processes use: CPU seconds and memory of a process and all its descendants, from /proc. Read while it
 * runs, because what a process used is gone with it.
 */
import { readdirSync, readFileSync } from 'node:fs';

// Linux counts CPU time for user space in 1/100 s on every machine (USER_HZ).
const ticksPerSecond = 100;

export class ServerUsage {
  #rootPid;
  /** @type {Map<number, number>} CPU seconds when first seen */
  #first = new Map();
  /** @type {Map<number, number>} CPU seconds when last seen */
  #last = new Map();
  peakRssBytes = 0;
  peakRssAnonBytes = 0;

  /** @param {number} rootPid */
  constructor(rootPid) {
    this.#rootPid = rootPid;
    for (const pid of processTree(rootPid)) this.#first.set(pid, cpuSeconds(pid) ?? 0);
  }

  sample() {
    let rss = 0;
    let anon = 0;
    for (const pid of processTree(this.#rootPid)) {
      const seconds = cpuSeconds(pid);
      if (seconds !== undefined) this.#last.set(pid, seconds);
      const memory = memoryBytes(pid);
      rss += memory.rss;
      anon += memory.anon;
    }
    this.peakRssBytes = Math.max(this.peakRssBytes, rss);
    this.peakRssAnonBytes = Math.max(this.peakRssAnonBytes, anon);
  }

  /** Used since the constructor, by all processes that were seen. */
  get cpuSeconds() {
    let sum = 0;
    for (const [pid, seconds] of this.#last) sum += seconds - (this.#first.get(pid) ?? 0);
    return sum;
  }
}

/** Of all processes now. PSS counts a page that several share in parts. @param {number} rootPid */
export function memoryOf(rootPid) {
  const sum = { rssBytes: 0, anonBytes: 0, pssBytes: 0 };
  for (const pid of processTree(rootPid)) {
    const { rss, anon } = memoryBytes(pid);
    sum.rssBytes += rss;
    sum.anonBytes += anon;
    sum.pssBytes +=
      kibibytes(
        readOr(() => readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')),
        'Pss',
      ) * 1024;
  }
  return sum;
}

/** @param {number} pid @returns {number[]} */
export function processTree(pid) {
  const children = readOr(() =>
    readdirSync(`/proc/${pid}/task`)
      .flatMap((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' '))
      .filter((text) => text !== '')
      .map(Number),
  );
  return [pid, ...(children ?? []).flatMap(processTree)];
}

/** @param {number} pid @returns {number | undefined} user and system time of all its threads */
function cpuSeconds(pid) {
  const stat = readOr(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  // The name in parentheses may contain spaces; fields 14 and 15 of proc(5) count from after it.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields === undefined ? undefined : (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** @param {number} pid */
function memoryBytes(pid) {
  const status = readOr(() => readFileSync(`/proc/${pid}/status`, 'utf8'));
  return { rss: kibibytes(status, 'VmRSS') * 1024, anon: kibibytes(status, 'RssAnon') * 1024 };
}

/** @param {string | undefined} text as proc(5) has it: a name, a colon, a number of kB @param {string} name */
function kibibytes(text, name) {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text ?? '')?.[1] ?? 0);
}

/** @template T @param {() => T} read @returns {T | undefined} undefined: the process is gone */
function readOr(read) {
  try {
    return read();
  } catch {
    return undefined;
  }
}
