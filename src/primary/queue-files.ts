/**
 * Which process owns which queue file. A file belongs to the worker whose incarnation its name carries, until the
 * primary gives it to another one. Files without a living owner are orphans; each has one slot where it is at home,
 * whose worker adopts it. Pure: the listing of the disk is the caller's.
 */

/** As `listSpoolFiles` gives them. */
export interface QueueFile {
  readonly slot: number;
  readonly file: string;
  readonly incarnation: string;
}

/**
 * The slot whose worker adopts a file: its own, or, when that slot no longer exists (fewer cores than yesterday), one
 * found by a hash, so that the files of a lost slot spread and each has the same home whoever asks.
 */
export function homeSlot(file: QueueFile, slots: number): number {
  if (file.slot < slots) return file.slot;
  let hash = 0x811c9dc5; // FNV-1a, 32 bits
  for (const character of file.file) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return (hash >>> 0) % slots;
}

export class QueueFiles {
  /** Adopted files only: file → incarnation of the worker it was given to. */
  readonly #adopter = new Map<string, string>();

  /**
   * Gives the orphans at home in `slot` to a worker; the names to tell it.
   * @param living incarnations of all processes that may have files open
   */
  adopt(
    files: readonly QueueFile[],
    living: ReadonlySet<string>,
    to: { slot: number; slots: number; incarnation: string },
  ): string[] {
    const orphans = files.filter(
      (file) => !living.has(this.#ownerOf(file)) && homeSlot(file, to.slots) === to.slot,
    );
    for (const { file } of orphans) this.#adopter.set(file, to.incarnation);
    return orphans.map(({ file }) => file);
  }

  ownedBy(files: readonly QueueFile[], incarnation: string): string[] {
    return files.filter((file) => this.#ownerOf(file) === incarnation).map(({ file }) => file);
  }

  /** Forgets the files that are no longer on disk. */
  keepOnly(files: ReadonlySet<string>): void {
    for (const file of this.#adopter.keys()) if (!files.has(file)) this.#adopter.delete(file);
  }

  #ownerOf(file: QueueFile): string {
    return this.#adopter.get(file.file) ?? file.incarnation;
  }
}
