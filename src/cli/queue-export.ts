/**
 * `postern queue export`: writes messages of the running server to a file or a pipe while mail flows. Each message is
 * whole in it or not part of it; what arrives after the start is left out. The format is export-format.ts.
 */
import type { Hash } from 'node:crypto';
import { once } from 'node:events';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { describeError, errorCodeOf } from '../base/errors.js';
import { isNoSpace } from '../base/system-errors.js';
import { formatBytes } from '../base/units.js';
import { AdminClient, RefusedError } from './admin-client.js';
import { count } from './amounts.js';
import { configOption, type ConfigOption } from './config-file.js';
import { exportName, exportVersion, messageHash, pieceBytes } from './export-format.js';
import { exitCodes, FileError, UsageError } from './failure.js';
import { jsonOption, printJson, type JsonOption } from './output.js';
import { Progress } from './progress.js';
import { withFilters } from './queue-filter.js';
import { idsOf, selectIds, type ChoiceOptions } from './queue-ids.js';

// Small messages cost two calls each, and the answers are awaited together.
const messagesAhead = 8;
// A worker that is replaced is back, with its files read, well within it.
const retryWithinMs = 60_000;
const retryEveryMs = 500;

interface ExportOptions extends ConfigOption, JsonOption, ChoiceOptions {
  readonly to: string;
}

/** `bytes`: of the messages, not of the export. */
interface Summary {
  messages: number;
  bytes: number;
  /** Selected, but delivered or deleted before they were read. */
  gone: number;
  /** The server cannot read them whole. */
  damaged: number;
}

type LeftOut = 'gone' | 'damaged';

type Write = (text: string) => Promise<void>;

export function exportCommand(): Command {
  return withFilters(new Command('export'))
    .description('write messages with their envelopes to a file, for a backup or another server')
    .argument('[ids...]', 'queue ids; - reads them from stdin; without ids and filters: all messages')
    .requiredOption('--to <file>', 'the file to make; - is stdout')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(async (given: string[], options: ExportOptions) => {
      const client = new AdminClient(options);
      if (options.json && options.to === '-')
        throw new UsageError('--json has no place on stdout beside the export: name a file');
      const ids = given.length > 0 ? await idsOf(given) : await selectIds(client, options);
      const summary = await intoFile(options.to, (write) => exportAll(client, ids, write));
      if (options.json) printJson(summary);
      else process.stderr.write(`${describeSummary(summary)}\n`);
    });
}

function describeSummary({ messages, bytes, gone, damaged }: Summary): string {
  const left = gone === 0 ? '' : `; ${count(gone, 'message')} left the queue meanwhile`;
  const broken = damaged === 0 ? '' : `; ${count(damaged, 'message')} damaged`;
  return `${count(messages, 'message')} exported, ${formatBytes(bytes)}${left}${broken}`;
}

/** A file has its name only when it is whole and on disk. */
async function intoFile<T>(name: string, work: (write: Write) => Promise<T>): Promise<T> {
  if (name === '-') return work(writeStdout);
  const part = `${name}.part`;
  const file = await create(name, part);
  try {
    // write() may leave the rest of the text to its caller, as on a disk with little room; appendFile() does not.
    const result = await work((text) => onDisk(part, () => file.appendFile(text)));
    await onDisk(part, () => file.sync());
    await file.close();
    await rename(part, name);
    return result;
  } catch (error) {
    await file.close();
    await rm(part, { force: true });
    throw error;
  }
}

async function onDisk(part: string, change: () => Promise<unknown>): Promise<void> {
  try {
    await change();
  } catch (error) {
    const help = isNoSpace(error) ? 'make room there, or name a file on another disk' : 'name another file';
    throw new FileError(
      `${part} cannot be written: ${describeError(error)}. It was removed, and the queue is as it was; ${help}`,
      { cause: error },
    );
  }
}

/** Mail is private: only its owner may read the file. */
async function create(name: string, part: string): Promise<FileHandle> {
  try {
    await (await open(name, 'r')).close();
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return openNew(part);
    throw new UsageError(`${name} cannot be used: ${String(error)}`);
  }
  throw new UsageError(`${name} is there already; name a new file`);
}

async function openNew(part: string): Promise<FileHandle> {
  try {
    return await open(part, 'wx', 0o600);
  } catch (error) {
    const hint =
      errorCodeOf(error) === 'EEXIST' ? ': another export writes it, or one was cut off; remove it' : '';
    throw new UsageError(`${part} cannot be made${hint} (${String(error)})`);
  }
}

async function writeStdout(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
}

async function exportAll(client: AdminClient, ids: readonly string[], write: Write): Promise<Summary> {
  const { hostname } = await client.call<{ hostname: string }>('GET', '/api/v1/status');
  const at = new Date().toISOString();
  await write(line({ export: exportName, version: exportVersion, hostname, at }));
  const exporter = new Exporter(client, write);
  await exporter.all(ids);
  await write(line({ messages: exporter.summary.messages }));
  return exporter.summary;
}

interface Head {
  readonly id: string;
  readonly bytes: number;
  readonly envelope: unknown;
  readonly firstPiece: Buffer;
}

class Exporter {
  readonly summary: Summary = { messages: 0, bytes: 0, gone: 0, damaged: 0 };
  readonly #client: AdminClient;
  readonly #write: Write;

  constructor(client: AdminClient, write: Write) {
    this.#client = client;
    this.#write = write;
  }

  async all(ids: readonly string[]): Promise<void> {
    const progress = new Progress('exported', ids.length);
    try {
      for await (const head of this.#heads(ids)) {
        if (typeof head === 'string') this.summary[head]++;
        else await this.#message(head);
        progress.add(1);
      }
    } finally {
      progress.end();
    }
  }

  /** In order, a few asked for ahead. */
  async *#heads(ids: readonly string[]): AsyncGenerator<Head | LeftOut, void, void> {
    const ahead: Promise<Head | LeftOut>[] = [];
    for (const id of ids) {
      const head = this.#head(id);
      // It is awaited below; until then a failure is not unhandled.
      head.catch(() => undefined);
      ahead.push(head);
      const first = ahead.length < messagesAhead ? undefined : ahead.shift();
      if (first !== undefined) yield await first;
    }
    for (const head of ahead) yield await head;
  }

  async #head(id: string): Promise<Head | LeftOut> {
    const [stored, firstPiece] = await Promise.all([
      this.#unlessLeftOut(id, () =>
        this.#client.call<{ bytes: number; envelope: unknown }>('GET', `/api/v1/queue/${id}/envelope`),
      ),
      this.#piece(id, 0),
    ]);
    if (typeof stored === 'string') return stored;
    if (typeof firstPiece === 'string') return firstPiece;
    return { id, bytes: stored.bytes, envelope: stored.envelope, firstPiece };
  }

  async #message(head: Head): Promise<void> {
    const { id, bytes, envelope } = head;
    const messageLine = JSON.stringify({ message: id, bytes, envelope });
    const hash = messageHash(messageLine);
    await this.#write(`${messageLine}\n`);
    const leftOut = await this.#body(head, hash);
    if (leftOut === undefined) {
      await this.#write(line({ end: id, sha256: hash.digest('hex') }));
      this.summary.messages++;
      this.summary.bytes += bytes;
    } else {
      await this.#write(line({ gone: id }));
      this.summary[leftOut]++;
    }
  }

  async #body({ id, bytes, firstPiece }: Head, hash: Hash): Promise<LeftOut | undefined> {
    let piece: Buffer | LeftOut = firstPiece;
    let at = 0;
    while (at < bytes) {
      if (at > 0) piece = await this.#piece(id, at);
      if (typeof piece === 'string') return piece;
      if (piece.length === 0 || at + piece.length > bytes) return this.#damaged(id, 'its length is wrong');
      hash.update(piece);
      await this.#write(line({ data: piece.toString('base64') }));
      at += piece.length;
    }
    return undefined;
  }

  #piece(id: string, offset: number): Promise<Buffer | LeftOut> {
    const path = `/api/v1/queue/${id}/message?offset=${offset}&limit=${pieceBytes}`;
    return this.#unlessLeftOut(id, () => this.#client.read(path));
  }

  /** Waits while the worker that has the message is being replaced. */
  async #unlessLeftOut<T>(id: string, call: () => Promise<T>): Promise<T | LeftOut> {
    const giveUpAtMs = performance.now() + retryWithinMs;
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        if (error.status === 404) return 'gone';
        if (error.status === 409) return this.#damaged(id, error.message);
        if (error.status !== 503 || performance.now() > giveUpAtMs) throw error;
        await sleep(retryEveryMs);
      }
    }
  }

  /** A backup of all the others is worth having: the exit code says that it is not all. */
  #damaged(id: string, reason: string): LeftOut {
    process.stderr.write(`postern: ${id} cannot be exported: ${reason}\n`);
    process.exitCode = exitCodes.failed;
    return 'damaged';
  }
}

function line(value: object): string {
  return `${JSON.stringify(value)}\n`;
}
