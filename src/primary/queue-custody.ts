/**
 * The queue files on disk as the supervisor deals with them: gives each one without a living owner to a worker, and
 * judges deaths for what they say of a file. Which file belongs to whom is queue-files.ts, whose fault a death was
 * death-attribution.ts; here are the listing, the moving away and the log.
 */
import { describeError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { attributeDeath, mayBeAMessages, mayBeTheDisk, type Blame, type Death } from './death-attribution.js';
import { DeathLedger } from './death-ledger.js';
import { QueueFiles, type Adoption, type QueueFile } from './queue-files.js';
import type { WorkerProcess } from './worker-process.js';

/** The queue directory; base/spool-files in the program. */
export interface QueueDirectory {
  list(): Promise<QueueFile[]>;
  /** What was moved away, salvaged, and is kept until somebody removes it. */
  listSalvaged(): Promise<string[]>;
  /** Moves a file away; where to. */
  quarantine(file: string): Promise<string>;
  /** Whether a new file beside this one can be written, to the disk. */
  takesFilesBeside(file: string): Promise<boolean>;
}

// Told in the status.
const maxSalvagedTold = 100;

export class QueueCustody {
  #quarantined: string[];
  readonly #directory: QueueDirectory;
  readonly #log: Log;
  readonly #files = new QueueFiles();
  readonly #ledger = new DeathLedger();

  /** @param quarantined what earlier runs moved away */
  constructor(directory: QueueDirectory, quarantined: readonly string[], log: Log) {
    this.#directory = directory;
    this.#quarantined = [...quarantined];
    this.#log = log;
  }

  /** Paths of queue files that were moved away and not yet salvaged. */
  get quarantined(): readonly string[] {
    return this.#quarantined;
  }

  /** Salvaged files that lie there still; a bounded number of them. */
  async salvaged(): Promise<string[]> {
    try {
      return (await this.#directory.listSalvaged()).slice(0, maxSalvagedTold);
    } catch {
      // A disk that cannot be read is told of by everything else.
      return [];
    }
  }

  /** Its messages are back in the queue, or somebody took it away. */
  release(path: string): void {
    this.#quarantined = this.#quarantined.filter((other) => other !== path);
  }

  /**
   * The files that a worker is to adopt: those at home in its slot whose owner is dead. From then on they are its own.
   * @param claim asked when the disk has been read: who lives by then, or undefined if the worker can take none anymore
   */
  async adopt(
    worker: WorkerProcess,
    slots: number,
    claim: () => ReadonlySet<string> | undefined,
  ): Promise<Adoption[]> {
    const files = await this.#list();
    const living = claim();
    if (living === undefined) return [];
    const { slot, incarnation } = worker;
    return this.#files.adopt(files, living, { slot, slots, incarnation });
  }

  /** Logs a death, and moves away the files that have now been the end of three workers. */
  async holdInquest(worker: WorkerProcess): Promise<void> {
    const files = this.#files.ownedBy(await this.#list(), worker.incarnation);
    const { signal = null, code: exitCode = null } = worker.exit ?? {};
    const { phase, leased, wasSilent, commitFailedIn } = worker;
    const unable = worker.unable !== undefined;
    const death: Death = { signal, exitCode, phase, leased, files, unable, wasSilent, commitFailedIn };
    const blame = await this.#unlessTheDisk(attributeDeath(death), mayBeTheDisk(death));
    if (mayBeAMessages(death)) this.#files.blame(files);
    this.#report(worker, blame);
    for (const file of this.#ledger.record(blame))
      await this.#quarantine(file, 'a queue file ended three workers and was moved away');
  }

  /** A worker has closed this file and cannot use it. */
  async setAside(file: string, reason: string): Promise<void> {
    await this.#quarantine(file, `a queue file cannot be used and was moved away: ${reason}`);
  }

  /** Where no new file can be written either, it is not the old one's fault: a full disk must not quarantine it. */
  async #unlessTheDisk(blame: Blame, suspect: boolean): Promise<Blame> {
    const [file] = blame.kind === 'none' || !suspect ? [] : blame.files;
    if (file === undefined) return blame;
    return (await this.#directory.takesFilesBeside(file)) ? blame : { kind: 'none' };
  }

  wasRead(file: string): void {
    this.#ledger.wasRead(file);
    this.#files.wasRead(file);
  }

  #report(worker: WorkerProcess, blame: Blame): void {
    const { slot, pid, state, exit, phase, initialised } = worker;
    if (state === 'draining' && (exit?.code === 0 || !initialised)) {
      this.#log.info({ event: 'worker.drained', slot, worker_pid: pid }, 'a worker has drained');
      return;
    }
    // It has said why, and leaves no mail behind: the reload or the start that wanted it tells the rest.
    if (worker.unable !== undefined && blame.kind === 'none') {
      const { code } = worker.unable;
      this.#log.info({ event: 'worker.ended', slot, worker_pid: pid, code }, 'a worker that could not start');
      return;
    }
    const how = { signal: exit?.signal ?? null, exit_code: exit?.code ?? null };
    const facts = {
      event: 'worker.died',
      slot,
      worker_pid: pid,
      ...how,
      blame: blame.kind,
      file: blame.kind === 'commit' ? blame.files[0] : phase?.file,
    };
    this.#log.error(facts, 'a worker died');
  }

  async #quarantine(file: string, what: string): Promise<void> {
    try {
      const path = await this.#directory.quarantine(file);
      this.#quarantined.push(path);
      this.#log.error({ event: 'queue.quarantined', file, path }, what);
    } catch (error) {
      const facts = { event: 'queue.quarantine_failed', file, error: describeError(error) };
      this.#log.error(facts, 'a queue file that is of no use cannot be moved away');
    }
  }

  async #list(): Promise<QueueFile[]> {
    try {
      const files = await this.#directory.list();
      const names = new Set(files.map(({ file }) => file));
      this.#files.keepOnly(names);
      this.#ledger.keepOnly(names);
      return files;
    } catch (error) {
      // Nothing is lost: the files stay where they are and are found by the next listing that works.
      const facts = { event: 'queue.listing_failed', error: describeError(error) };
      this.#log.error(facts, 'the queue files cannot be listed');
      return [];
    }
  }
}
