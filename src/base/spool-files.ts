/**
 * Which files a queue directory holds, by name alone: `slot-<slot>/<incarnation>-<n>.mdb`. The primary lists them
 * to hand the files of dead processes to live workers, and moves one aside that keeps killing its readers. What is
 * inside a file is the queue's business; nothing here opens one.
 */
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { syncDirectory } from './directory.js';
import { errorCodeOf } from './errors.js';

export interface SpoolFile {
  readonly slot: number;
  /** Full path: the directory that was listed, joined with slot folder and name. */
  readonly file: string;
  /** Of the process that made it. */
  readonly incarnation: string;
}

const slotPattern = /^slot-(\d{1,6})$/;
const filePattern = /^(.+)-(\d{1,9})\.mdb$/;
const quarantineName = 'quarantine';
const salvagedSuffix = '.salvaged';

export function slotDirectory(directory: string, slot: number): string {
  return join(directory, `slot-${slot}`);
}

/** @param n counts the generations of one process, from 0 */
export function spoolFilePath(directory: string, slot: number, incarnation: string, n: number): string {
  return join(slotDirectory(directory, slot), `${incarnation}-${n}.mdb`);
}

/** Where files go that are not to be opened again: nobody lists them as queue files. */
export function quarantineDirectory(directory: string): string {
  return join(directory, quarantineName);
}

/** Of a quarantined file whose messages are back in the queue; it is kept for the operator. */
export function salvagedName(file: string): string {
  return file + salvagedSuffix;
}

/** LMDB keeps its reader table in a second file beside the data. */
export function lockFileOf(file: string): string {
  return `${file}-lock`;
}

/** What a slot keeps of the disk for bad times. */
export function reserveFileOf(slotPath: string): string {
  return join(slotPath, 'reserve');
}

/** Where there are fewer workers than there were, nobody would ever take the reserves of the others. */
export async function removeReservesBeyond(directory: string, slots: number): Promise<void> {
  for (const name of await namesIn(directory)) {
    const slot = slotPattern.exec(name)?.[1];
    if (slot !== undefined && Number(slot) >= slots)
      await rm(reserveFileOf(join(directory, name)), { force: true });
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    // No such directory: nothing was ever queued here.
    if (errorCodeOf(error) === 'ENOENT' || errorCodeOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}

async function listSlot(directory: string, slot: number): Promise<SpoolFile[]> {
  const slotPath = slotDirectory(directory, slot);
  const files: SpoolFile[] = [];
  for (const name of await namesIn(slotPath)) {
    const incarnation = filePattern.exec(name)?.[1];
    if (incarnation !== undefined) files.push({ slot, file: join(slotPath, name), incarnation });
  }
  return files;
}

/** All queue files below `<dataDir>/queue`, quarantined ones left out, ordered by slot and name. */
export async function listSpoolFiles(directory: string): Promise<SpoolFile[]> {
  const files: SpoolFile[] = [];
  for (const name of await namesIn(directory)) {
    const slot = slotPattern.exec(name)?.[1];
    if (slot !== undefined) files.push(...(await listSlot(directory, Number(slot))));
  }
  return files.sort((a, b) => a.slot - b.slot || (a.file < b.file ? -1 : 1));
}

/**
 * Moves a file to `<directory>/quarantine/`, where nobody lists it, and returns its new path. The bytes stay as they
 * are; its lock file goes, because it describes readers that are dead.
 */
export async function quarantineSpoolFile(directory: string, file: string): Promise<string> {
  const target = quarantineDirectory(directory);
  await mkdir(target, { recursive: true, mode: 0o700 });
  const moved = join(target, `${basename(dirname(file))}-${basename(file)}`);
  await rename(file, moved);
  await rm(lockFileOf(file), { force: true });
  await syncDirectory(target);
  await syncDirectory(dirname(file));
  return moved;
}

/** The slot that a quarantined file was in; undefined where its name does not say. */
export function slotOfQuarantined(file: string): number | undefined {
  const slot = /^slot-(\d{1,6})-/.exec(basename(file))?.[1];
  return slot === undefined ? undefined : Number(slot);
}

/** Full paths of the salvaged ones that nobody has removed, ordered by name. */
export async function listSalvagedFiles(directory: string): Promise<string[]> {
  const target = quarantineDirectory(directory);
  const names = (await namesIn(target)).filter((name) => name.endsWith(salvagedSuffix));
  return names.sort().map((name) => join(target, name));
}

/** Full paths of the files that were moved aside and not yet salvaged, ordered by name. */
export async function listQuarantinedFiles(directory: string): Promise<string[]> {
  const target = quarantineDirectory(directory);
  const names = (await namesIn(target)).filter((name) => name.endsWith('.mdb'));
  return names.sort().map((name) => join(target, name));
}
