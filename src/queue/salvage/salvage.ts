/**
 * Brings a quarantined queue file's messages back into the queue: what is whole is stored again under its id, the rest
 * is reported. The file is kept, under another name. Beside mail, in pieces, with bounded memory.
 */
import { rename } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

import { syncDirectory } from '../../base/directory.js';
import { describeError, errorCodeOf, PosternError } from '../../base/errors.js';
import type { Log } from '../../base/log.js';
import type { SalvageReport } from '../../base/messages.js';
import { quarantineDirectory, salvagedName } from '../../base/spool-files.js';
import { formatVersion } from '../generation.js';
import type { RestoreWriter, Spool } from '../spool.js';
import { QueueFileReader, type FoundMessage } from './queue-file-reader.js';

export interface SalvageHost {
  /** `<dataDir>/queue` */
  readonly directory: string;
  readonly log: Log;
  /** Messages found, one at a time. */
  readonly count: (result: 'stored' | 'known' | 'unreadable') => void;
}

// Messages that wait for their commit together: they share its fsync. Their bytes are in the spool's own budget.
const maxUnderWay = 64;
// Of each kind in the log; the report has the number.
const maxLogged = 100;

/**
 * @param file in the quarantine of `host.directory`; afterwards `<file>.salvaged`
 * @throws PosternError NOT_FOUND, SPOOL_FORMAT (a newer version's: left as it is), and what ends the writing of the
 * queue; then the file stays, and what was stored so far is known the next time
 */
export async function salvageFile(spool: Spool, file: string, host: SalvageHost): Promise<SalvageReport> {
  const reader = await openQuarantined(file, host.directory);
  const salvage = new Salvage(spool, reader, file, host);
  try {
    await salvage.run();
  } finally {
    await reader.close();
  }
  const kept = salvagedName(file);
  await rename(file, kept);
  await syncDirectory(dirname(kept));
  return salvage.report(kept);
}

async function openQuarantined(file: string, directory: string): Promise<QueueFileReader> {
  if (dirname(file) !== quarantineDirectory(directory))
    throw new PosternError('NOT_FOUND', `${file} is not in ${quarantineDirectory(directory)}`);
  try {
    return await checked(await QueueFileReader.open(file), file);
  } catch (error) {
    if (errorCodeOf(error) !== 'ENOENT') throw error;
    throw new PosternError('NOT_FOUND', `there is no ${basename(file)} in the quarantine`, error);
  }
}

/** A newer version's records are not for us; a format record that is damaged is no reason to leave the rest. */
async function checked(reader: QueueFileReader, file: string): Promise<QueueFileReader> {
  const version = /^postern-spool (\d+)$/.exec((await reader.format())?.toString('latin1') ?? '')?.[1];
  if (Number(version ?? 0) <= formatVersion) return reader;
  await reader.close();
  throw new PosternError(
    'SPOOL_FORMAT',
    `${file} has format ${version}; this Postern reads up to ${formatVersion}`,
  );
}

class Salvage {
  readonly #spool: Spool;
  readonly #reader: QueueFileReader;
  readonly #file: string;
  readonly #host: SalvageHost;
  readonly #underWay = new Set<Promise<void>>();
  #failure: Error | undefined;
  #stored = 0;
  #known = 0;
  #uncertain = 0;
  #logged = 0;

  constructor(spool: Spool, reader: QueueFileReader, file: string, host: SalvageHost) {
    this.#spool = spool;
    this.#reader = reader;
    this.#file = file;
    this.#host = host;
  }

  async run(): Promise<void> {
    for await (const message of this.#reader.messages()) {
      await this.#take(message);
      if (this.#underWay.size >= maxUnderWay) await Promise.race(this.#underWay);
      if (this.#failure !== undefined) break;
    }
    await Promise.all(this.#underWay);
    if (this.#failure !== undefined) throw this.#failure;
    for (const [id, reason] of this.#reader.unreadable) this.#lose(id, reason);
  }

  report(kept: string): SalvageReport {
    const report = {
      file: kept,
      salvaged: this.#stored,
      known: this.#known,
      unreadable: this.#reader.unreadable.size,
      damagedPlaces: this.#reader.gaps,
    };
    const { damagedPlaces, unreadable, ...counts } = report;
    const facts = {
      event: 'queue.salvaged',
      ...counts,
      unreadable,
      uncertain: this.#uncertain,
      damaged_places: damagedPlaces,
    };
    const isWhole = unreadable === 0 && damagedPlaces === 0;
    const lost = damagedPlaces === 0 ? `${unreadable}` : `at least ${unreadable}`;
    const uncounted =
      damagedPlaces === 0 ? '' : ' (of those that were whole in damaged places nothing is left to count)';
    this.#host.log[isWhole ? 'warn' : 'error'](
      facts,
      isWhole
        ? 'all messages of a quarantined queue file are in the queue'
        : `what is whole in a quarantined queue file is in the queue; ${lost} messages${uncounted} are lost, unless they are found in the file by other means`,
    );
    return report;
  }

  async #take(message: FoundMessage): Promise<void> {
    const writer = this.#begin(message.id);
    if (writer === undefined) {
      this.#known++;
      this.#host.count('known');
      return;
    }
    try {
      for await (const chunk of message.body()) {
        writer.write(chunk);
        await room(writer);
      }
    } catch (error) {
      writer.abort();
      // Not whole: it comes again, or is reported in the end.
      if (errorCodeOf(error) !== 'SPOOL_CORRUPT') throw error;
      return;
    }
    this.#track(this.#commit(writer, message));
  }

  /** Undefined: the queue has it. */
  #begin(id: string): RestoreWriter | undefined {
    try {
      return this.#spool.restore(id);
    } catch (error) {
      if (errorCodeOf(error) === 'EXISTS') return undefined;
      throw error;
    }
  }

  async #commit(writer: RestoreWriter, { id, record, isCurrent }: FoundMessage): Promise<void> {
    await writer.commit(record);
    this.#stored++;
    this.#host.count('stored');
    if (isCurrent) return;
    this.#uncertain++;
    this.#log(id, 'stored as an older state of the file has it: it may have been delivered before');
  }

  #track(commit: Promise<void>): void {
    const tracked = commit
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(describeError(error));
      })
      .finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
  }

  #lose(id: string, reason: string): void {
    this.#host.count('unreadable');
    this.#log(id, reason);
  }

  #log(qid: string, reason: string): void {
    if (++this.#logged > maxLogged) return;
    this.#host.log.warn({ event: 'queue.salvage', file: this.#file, qid }, reason);
  }
}

function room(writer: RestoreWriter): Promise<void> {
  if (!writer.congested) return Promise.resolve();
  return new Promise((resolve) => {
    writer.onWritable = resolve;
  });
}
