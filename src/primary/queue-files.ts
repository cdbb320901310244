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

/** Files that go to a worker together. */
export interface Adoption {
  readonly files: string[];
  /** As Spool.adopt has it: attempts that were under way in them count against their messages. */
  readonly blame: boolean;
}

export class QueueFiles {
  /** Adopted files only: file → incarnation of the worker it was given to. */
  readonly #adopter = new Map<string, string>();
  /** Whose owner ended by something that a message may have caused, and which nobody has read to the end since. */
  readonly #blamed = new Set<string>();

  /**
   * Gives the orphans at home in `slot` to a worker; the names to tell it, those of a blamed death apart.
   * @param living incarnations of all processes that may have files open
   */
  adopt(
    files: readonly QueueFile[],
    living: ReadonlySet<string>,
    to: { slot: number; slots: number; incarnation: string },
  ): Adoption[] {
    const orphans = files.filter(
      (file) => !living.has(this.#ownerOf(file)) && homeSlot(file, to.slots) === to.slot,
    );
    for (const { file } of orphans) this.#adopter.set(file, to.incarnation);
    return [false, true]
      .map((blame) => ({ blame, files: orphans.map(({ file }) => file).filter(this.#isBlamed(blame)) }))
      .filter(({ files }) => files.length > 0);
  }

  /** A worker that owned these has ended by something that a message may have caused. */
  blame(files: readonly string[]): void {
    for (const file of files) this.#blamed.add(file);
  }

  /** The file was read to its end: what its last owner left under way has been counted. */
  wasRead(file: string): void {
    this.#blamed.delete(file);
  }

  ownedBy(files: readonly QueueFile[], incarnation: string): string[] {
    return files.filter((file) => this.#ownerOf(file) === incarnation).map(({ file }) => file);
  }

  /** Forgets the files that are no longer on disk. */
  keepOnly(files: ReadonlySet<string>): void {
    for (const file of this.#adopter.keys()) if (!files.has(file)) this.#adopter.delete(file);
    for (const file of this.#blamed) if (!files.has(file)) this.#blamed.delete(file);
  }

  #isBlamed(blame: boolean): (file: string) => boolean {
    return (file) => this.#blamed.has(file) === blame;
  }

  #ownerOf(file: QueueFile): string {
    return this.#adopter.get(file.file) ?? file.incarnation;
  }
}
