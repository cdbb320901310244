/**
 * Deaths counted per queue file. After three of one kind the file is named for quarantine. The counts live as long as
 * the primary: a restart of the service gives every file a fresh start.
 */
import type { Blame } from './death-attribution.js';

const deathsUntilQuarantine = 3;

type Kind = Exclude<Blame['kind'], 'none'>;
type Count = Record<Kind, number>;

export class DeathLedger {
  // Bounded by the queue files on disk: forgotten when a file was read to its end, quarantined or retired.
  readonly #counts = new Map<string, Count>();

  /** Counts one death; the files that have now been the end of three workers, each named once. */
  record(blame: Blame): string[] {
    if (blame.kind === 'none') return [];
    return blame.files.filter((file) => this.#isThird(file, blame.kind));
  }

  /** The file was read to its end: deaths while reading it were not its fault. */
  wasRead(file: string): void {
    const count = this.#counts.get(file);
    if (count === undefined) return;
    count.reading = 0;
    if (count.crash + count.commit === 0) this.#counts.delete(file);
  }

  /** Forgets the files that are no longer on disk. */
  keepOnly(files: ReadonlySet<string>): void {
    for (const file of this.#counts.keys()) if (!files.has(file)) this.#counts.delete(file);
  }

  #isThird(file: string, kind: Kind): boolean {
    const count = this.#counts.get(file) ?? { reading: 0, crash: 0, commit: 0 };
    this.#counts.set(file, count);
    count[kind] += 1;
    if (count[kind] < deathsUntilQuarantine) return false;
    this.#counts.delete(file);
    return true;
  }
}
